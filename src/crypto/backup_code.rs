//! Backup codes: 120 random bits in six groups of four, to write down and use once each.
//!
//! ```text
//! 7K3M-Q9TX-0ZVB-H2PC-WN5D-R8FG
//! ```
//!
//! The alphabet is Crockford's base32, without I, L, O and U. What people type is read forgivingly: either
//! case, with or without hyphens and spaces, O for 0 and I or L for 1. With more than 112 bits a plain hash
//! suffices to store them (ASVS 6.5.2, NIST SP 800-63B).

use super::random;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Codes in one set.
pub const SET: usize = 10;
const BYTES: usize = 15;
const CHARACTERS: usize = 24;
const GROUP: usize = 4;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Enters the hash, so that no other kind of secret has the same one.
const DOMAIN: &[u8] = b"portcullis backup code v1";

/// The text is not a backup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a backup code")]
pub struct BackupCodeError;

/// One backup code. `Debug` is redacted; memory is overwritten on drop.
#[derive(Clone)]
pub struct BackupCode(Zeroizing<[u8; BYTES]>);

impl BackupCode {
    /// A new random code.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// A new set of ten.
    #[must_use]
    pub fn generate_set() -> [Self; SET] {
        std::array::from_fn(|_| Self::generate())
    }

    /// Reads what a person typed.
    ///
    /// # Errors
    /// [`BackupCodeError`] unless it is 24 characters of the alphabet besides hyphens and spaces.
    pub fn parse(text: &str) -> Result<Self, BackupCodeError> {
        let mut code = Zeroizing::new([0; BYTES]);
        let mut places = code.chunks_exact_mut(5);
        let mut chunk: u64 = 0;
        let mut read = 0;
        for character in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
            chunk = chunk << 5 | u64::from(value(character).ok_or(BackupCodeError)?);
            read += 1;
            if read % 8 == 0 {
                // Eight characters are 40 bits: five bytes.
                let place = places.next().ok_or(BackupCodeError)?;
                place.copy_from_slice(&chunk.to_be_bytes()[3..]);
                chunk = 0;
            }
        }
        if read != CHARACTERS {
            return Err(BackupCodeError);
        }
        Ok(Self(code))
    }

    /// The code in groups, to show once.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut out = String::with_capacity(CHARACTERS + CHARACTERS / GROUP);
        for (index, chunk) in self.0.chunks_exact(5).enumerate() {
            let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for place in 0..8 {
                if place % GROUP == 0 && (index, place) != (0, 0) {
                    out.push('-');
                }
                let five = (bits >> (35 - 5 * place)).to_be_bytes()[7] & 31;
                out.push(char::from(ALPHABET[usize::from(five)]));
            }
        }
        out
    }

    /// What is stored and looked up: SHA-256.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(DOMAIN).chain_update(&self.0[..]).finalize().into()
    }
}

/// A character's five bits.
fn value(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let byte = u8::try_from(upper).ok()?;
    ALPHABET.iter().position(|known| *known == byte).and_then(|index| u8::try_from(index).ok())
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// ASVS: 6.5.2, 6.5.3, 6.5.4
    #[test]
    fn a_set_is_ten_different_codes_of_120_bits() {
        let hashes: HashSet<[u8; 32]> = BackupCode::generate_set().iter().map(BackupCode::hash).collect();
        assert_eq!(hashes.len(), 10);
        let code = BackupCode::generate().expose();
        let groups: Vec<&str> = code.split('-').collect();
        assert_eq!(groups.len(), 6, "{code}");
        assert!(groups.iter().all(|group| group.len() == 4));
        assert!(code.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)));
        assert_eq!(BYTES * 8, 120);
    }

    #[test]
    fn known_bytes_have_a_known_spelling() {
        let code =
            BackupCode(Zeroizing::new([0x00, 0x44, 0x32, 0x14, 0xc7, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0]));
        assert_eq!(code.expose(), "0123-4567-ZW00-0001-0000-0000");
    }

    #[test]
    fn what_people_type_is_read() {
        let code = BackupCode::parse("01AB-CDEF-GH11-KMN0-PQRS-TVWX").unwrap();
        for typed in [
            "01abcdefgh11kmn0pqrstvwx",
            "oiab cdef ghil kmno pqrs tvwx",
            "  OLAB-cdef--GHLI  KMNO-PQRS-TVWX ",
        ] {
            assert_eq!(BackupCode::parse(typed).unwrap().hash(), code.hash(), "{typed}");
        }
        for bad in [
            "",
            "123456",
            "01AB-CDEF-GH11-KMN0-PQRS-TVW",
            "01AB-CDEF-GH11-KMN0-PQRS-TVWXY",
            "01AB-CDEF-GH11-KMN0-PQRS-TVWU",
            "01AB_CDEF_GH11_KMN0_PQRS_TVWX",
            "01AB-CDEF-GH11-KMN0-PQRS-TVW\u{212a}",
            "01AB-CDEF-GH11-KMN0-PQRS-TVWX-01AB-CDEF",
        ] {
            assert!(BackupCode::parse(bad).is_err(), "{bad}");
        }
    }

    /// ASVS: 16.2.5
    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", BackupCode::generate()), "BackupCode(redacted)");
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; BYTES]) {
            let code = BackupCode(Zeroizing::new(bytes));
            let again = BackupCode::parse(&code.expose()).unwrap();
            prop_assert_eq!(again.0, code.0);
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "[0-9A-Za-z -]{20,40}|.*") {
            let _ = BackupCode::parse(&text);
        }
    }
}
