//! The text of a keyring, as kept in a file or an environment variable.
//!
//! ```text
//! # comment
//! current=2
//! 1:BASE64 of 32 bytes
//! 2:BASE64 of 32 bytes
//! ```
//!
//! Entries stand on lines of their own or are parted by commas. Base64 is standard or URL-safe, with or
//! without padding. Without `current=` the highest number is current. One bare key alone, in base64 or in
//! 64 hex digits, is key 1.

use super::Key;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use zeroize::Zeroizing;

/// Fewer different bytes than this do not come from a random generator (expected: 30 of 32).
const MIN_DISTINCT: usize = 16;

/// Everything that is wrong with a keyring's text. Shows line and key numbers, never key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the keyring is refused: {}", .problems.join("; "))]
pub struct KeyringError {
    /// One sentence each.
    pub problems: Vec<String>,
}

/// Reads keys and the current number.
pub(super) fn parse(text: &str) -> Result<(BTreeMap<u32, Key>, u32), KeyringError> {
    let mut keys: BTreeMap<u32, Key> = BTreeMap::new();
    let mut current = None;
    let mut bare = false;
    let mut problems = Vec::new();

    for (line, entry) in entries(text) {
        if let Some(value) = entry.strip_prefix("current=") {
            match (value.trim().parse::<u32>(), current) {
                (Ok(number), None) => current = Some(number),
                (Ok(_), Some(_)) => problems.push(format!("line {line}: `current` is given twice")),
                (Err(_), _) => problems.push(format!("line {line}: `current` is not a key number")),
            }
            continue;
        }
        let (number, key) = match entry.split_once(':') {
            Some((number, key)) => (number.trim().parse::<u32>().ok().filter(|n| *n > 0), key.trim()),
            None => {
                bare = true;
                (Some(1), entry)
            }
        };
        let Some(number) = number else {
            problems.push(format!("line {line}: the key number is not in 1 to {}", u32::MAX));
            continue;
        };
        match decode(key) {
            Err(why) => problems.push(format!("key {number} (line {line}) {why}")),
            Ok(key) => {
                if keys.contains_key(&number) {
                    problems.push(format!("key number {number} is given twice (line {line})"));
                } else if let Some((twin, _)) = keys.iter().find(|(_, other)| ***other == *key) {
                    problems.push(format!("keys {twin} and {number} are the same (line {line})"));
                } else {
                    keys.insert(number, key);
                }
            }
        }
    }

    if bare && keys.len() > 1 {
        problems.push("a key without a number is allowed only alone".to_owned());
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push("it holds no key".to_owned());
    }
    let current = current.or_else(|| keys.keys().next_back().copied()).unwrap_or(0);
    if problems.is_empty() && !keys.contains_key(&current) {
        problems.push(format!("the current key {current} is not in it"));
    }
    if problems.is_empty() { Ok((keys, current)) } else { Err(KeyringError { problems }) }
}

/// Writes a ring in the form that [`parse`] reads.
pub(super) fn format(keys: &BTreeMap<u32, Key>, current: u32) -> Zeroizing<String> {
    // Room for everything from the start: growing would leave copies behind.
    let mut out = Zeroizing::new(String::with_capacity(160 + keys.len() * 64));
    out.push_str("# Portcullis keyring: NUMBER:BASE64 of a 256-bit key. Keep it secret and backed up.\n");
    let _ = writeln!(out, "current={current}");
    for (number, key) in keys {
        let mut digits = Zeroizing::new([0_u8; 44]);
        let encoded = general_purpose::STANDARD.encode_slice(&key[..], &mut digits[..]);
        let shown = encoded.ok().and_then(|length| std::str::from_utf8(&digits[..length]).ok());
        let _ = writeln!(out, "{number}:{}", shown.unwrap_or_default());
    }
    out
}

/// The entries with their line numbers, without comments and blanks.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        line.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(move |entry| (index + 1, entry))
    })
}

/// Decodes one key and refuses what no random generator makes.
fn decode(text: &str) -> Result<Key, &'static str> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

    let is_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let decoded = if is_hex {
        hex::decode(text).ok()
    } else {
        STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
    };
    let decoded = Zeroizing::new(decoded.ok_or("is neither base64 nor 64 hex digits")?);
    let mut key: Key = Zeroizing::new([0; 32]);
    if decoded.len() != key.len() {
        return Err("is not 32 bytes long");
    }
    key.copy_from_slice(&decoded);
    if is_weak(&key) { Err("is weak: make keys with a random generator") } else { Ok(key) }
}

/// Repeated bytes, a counting sequence, or text: a random key is one of these with odds below 2^-45.
fn is_weak(key: &[u8; 32]) -> bool {
    let distinct = key.iter().collect::<BTreeSet<_>>().len();
    let step = key[1].wrapping_sub(key[0]);
    let counts = key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    let text = key.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    distinct < MIN_DISTINCT || counts || text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Keyring;
    use super::*;
    use proptest::prelude::*;

    const A: &str = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";

    fn key(seed: u8) -> String {
        let bytes: Vec<u8> = (0..32_u8).map(|i| i.wrapping_mul(i).wrapping_mul(7) ^ i ^ seed).collect();
        general_purpose::STANDARD.encode(bytes)
    }

    fn problems(text: &str) -> String {
        Keyring::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_numbers_comments_commas_and_every_base64_spelling() {
        let (one, two) = (key(0), key(200));
        let url = two.replace('+', "-").replace('/', "_").replace('=', "");
        let text = format!("# ring\n\n 7 : {one}  # old\n3:{url}\ncurrent=3\n");
        let ring = Keyring::parse(&text).unwrap();
        assert_eq!((ring.numbers(), ring.current()), (vec![3, 7], 3));
        let line = Keyring::parse(&format!("7:{one},3:{two}")).unwrap();
        assert_eq!((line.numbers(), line.current()), (vec![3, 7], 7), "the highest is current");
        assert_eq!(line.fingerprint(3), ring.fingerprint(3));
    }

    #[test]
    fn a_bare_key_is_key_one() {
        let bytes = general_purpose::STANDARD.decode(key(9)).unwrap();
        let base64 = Keyring::parse(&key(9)).unwrap();
        let hex = Keyring::parse(&hex::encode(bytes)).unwrap();
        assert_eq!((base64.numbers(), base64.current()), (vec![1], 1));
        assert_eq!(base64.fingerprint(1), hex.fingerprint(1));
    }

    /// ASVS: 13.2.3, 11.2.3
    #[test]
    fn weak_short_doubled_and_unknown_are_refused_by_name() {
        let encode = |bytes: &[u8]| general_purpose::STANDARD.encode(bytes);
        let counting: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).map(|i| 200 - 3 * i).collect();
        for weak in [&[0; 32][..], &[0xff; 32], &counting, &down, b"correct horse battery staple 123"] {
            assert!(problems(&format!("4:{}", encode(weak))).contains("key 4 (line 1) is weak"));
        }
        assert!(problems(A).contains("is weak"), "an eight-byte pattern");
        assert!(problems(&format!("1:{}", encode(&[7; 31]))).contains("is not 32 bytes long"));
        assert!(problems(&format!("1:{}", encode(&[7; 33]))).contains("is not 32 bytes long"));
        assert!(problems("1:***").contains("neither base64 nor"));
        assert!(problems("").contains("holds no key"));
        assert!(problems("# nothing").contains("holds no key"));
        let (a, b) = (key(0), key(1));
        assert!(problems(&format!("1:{a}\n1:{b}")).contains("key number 1 is given twice (line 2)"));
        assert!(problems(&format!("1:{a}\n2:{a}")).contains("keys 1 and 2 are the same"));
        assert!(problems(&format!("1:{a}\ncurrent=2")).contains("current key 2 is not in it"));
        assert!(problems(&format!("1:{a}\ncurrent=x")).contains("not a key number"));
        assert!(problems(&format!("1:{a}\ncurrent=1\ncurrent=1")).contains("given twice"));
        assert!(problems(&format!("0:{a}")).contains("key number"));
        assert!(problems(&format!("4294967296:{a}")).contains("key number"));
        assert!(problems(&format!("{a}\n2:{b}")).contains("only alone"));
    }

    #[test]
    fn all_problems_are_listed_and_none_shows_key_material() {
        let error = Keyring::parse(&format!("1:{A}\n2:short\nx:{}\ncurrent=y", key(3))).unwrap_err();
        assert_eq!(error.problems.len(), 4, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("q83v") && !shown.contains(&key(3)) && !shown.contains("short"));
    }

    #[test]
    fn a_truncated_ring_is_refused() {
        let text = Keyring::parse(&Keyring::generate()).unwrap().with_new_key();
        let end = text.trim_end().trim_end_matches('=').len();
        let start = text.find("current=").unwrap();
        for cut in start + "current=2".len()..end {
            assert!(Keyring::parse(&text[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text: String) {
            let _ = Keyring::parse(&text);
        }
    }

    #[test]
    fn random_keys_are_not_weak() {
        assert!((0..2_000).all(|_| !is_weak(&crate::crypto::random::bytes())));
    }

    #[test]
    fn written_rings_are_read_back() {
        let mut text = Keyring::generate();
        for expected in 2..12 {
            text = Keyring::parse(&text).unwrap().with_new_key();
            let ring = Keyring::parse(&text).unwrap();
            assert_eq!(ring.current(), expected);
            assert_eq!(ring.numbers().len(), usize::try_from(expected).unwrap());
        }
    }
}
