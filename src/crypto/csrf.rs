//! CSRF tokens: 16 random bytes and their MAC with the session's id, in URL-safe base64.
//!
//! A token proves that its bearer was given it by this server for this session. The random part makes
//! every issue differ, so that a compressed page does not give it away byte by byte. It lives as long as
//! its session and keys: a new session needs a new token (ASVS 3.5.1).

use super::keyring::{Keyring, Purpose};
use super::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const RANDOM: usize = 16;
const LENGTH: usize = RANDOM + 32;

/// A token for `session`: 64 characters, safe in headers.
#[must_use]
pub fn issue(keyring: &Keyring, session: Uuid) -> String {
    let random: [u8; RANDOM] = random::bytes();
    let tag = keyring.mac(Purpose::Csrf, &[session.as_bytes(), &random]);
    URL_SAFE_NO_PAD.encode([&random[..], &tag].concat())
}

/// Whether `token` was issued for `session` under a key of the ring.
#[must_use]
pub fn verify(keyring: &Keyring, session: Uuid, token: &str) -> bool {
    let mut bytes = [0; LENGTH];
    if token.len() != LENGTH / 3 * 4 || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(LENGTH) {
        return false;
    }
    let Some((random, tag)) = bytes.split_first_chunk::<RANDOM>() else { return false };
    tag.try_into().is_ok_and(|tag| keyring.verify_mac(Purpose::Csrf, &[session.as_bytes(), random], tag))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const SESSION: Uuid = Uuid::from_u128(7);

    fn ring() -> Keyring {
        Keyring::parse(&Keyring::generate()).unwrap()
    }

    /// ASVS: 3.5.1
    #[test]
    fn a_token_holds_for_its_session_and_server_only() {
        let ring = ring();
        let token = issue(&ring, SESSION);
        assert_eq!(token.len(), 64);
        assert_ne!(token, issue(&ring, SESSION));
        assert!(verify(&ring, SESSION, &token));
        assert!(!verify(&ring, Uuid::from_u128(8), &token));
        assert!(!verify(&self::ring(), SESSION, &token));
        assert!(verify(&Keyring::parse(&ring.with_new_key()).unwrap(), SESSION, &token));
    }

    /// ASVS: 3.5.1
    #[test]
    fn altered_and_malformed_tokens_are_refused() {
        let ring = ring();
        let token = issue(&ring, SESSION);
        for index in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            assert!(!verify(&ring, SESSION, std::str::from_utf8(&altered).unwrap()));
            assert!(!verify(&ring, SESSION, &token[..index]));
        }
        assert!(!verify(&ring, SESSION, &format!("{token}A")));
        assert!(!verify(&ring, SESSION, &"A".repeat(64)));
    }

    proptest! {
        #[test]
        fn any_text_is_refused(token: String) {
            prop_assert!(!verify(&ring(), SESSION, &token));
        }
    }
}
