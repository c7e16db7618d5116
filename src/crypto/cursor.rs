//! Page cursors: the id of the last row seen, bound to the list it was seen in.
//!
//! A cursor is the id and a MAC over list and id, cut to 128 bits, in URL-safe base64. A client cannot make
//! one up, nor use one list's cursor in another, so a cursor never becomes a probe for other people's ids.

use super::keyring::{Keyring, Purpose};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const ID: usize = 16;
const TAG: usize = 16;
const LENGTH: usize = ID + TAG;
/// 32 bytes in base64 without padding.
const CHARACTERS: usize = 43;

/// The string is not a cursor of this list, made by this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct CursorError;

/// The cursor that stands at `id` in `list`: 43 characters.
#[must_use]
pub fn encode(keyring: &Keyring, list: &str, id: Uuid) -> String {
    let tag = keyring.mac(Purpose::Cursor, &[list.as_bytes(), id.as_bytes()]);
    URL_SAFE_NO_PAD.encode([id.as_bytes(), &tag[..TAG]].concat())
}

/// The id that `cursor` stands at in `list`.
///
/// # Errors
/// [`CursorError`] for another list's cursor, an altered one, or any other text.
pub fn decode(keyring: &Keyring, list: &str, cursor: &str) -> Result<Uuid, CursorError> {
    let mut bytes = [0; LENGTH + 1];
    if cursor.len() != CHARACTERS || URL_SAFE_NO_PAD.decode_slice(cursor, &mut bytes) != Ok(LENGTH) {
        return Err(CursorError);
    }
    let (id, rest) = bytes.split_first_chunk::<ID>().ok_or(CursorError)?;
    let (tag, _) = rest.split_first_chunk::<TAG>().ok_or(CursorError)?;
    if keyring.verify_mac16(Purpose::Cursor, &[list.as_bytes(), id], tag) {
        Ok(Uuid::from_bytes(*id))
    } else {
        Err(CursorError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn ring() -> Keyring {
        Keyring::parse(&Keyring::generate()).unwrap()
    }

    /// ASVS: 8.2.2, 1.2.4
    #[test]
    fn a_cursor_holds_for_its_list_and_server_only() {
        let ring = ring();
        let id = Uuid::from_u128(99);
        let cursor = encode(&ring, "posts", id);
        assert_eq!(cursor.len(), CHARACTERS);
        assert_eq!(decode(&ring, "posts", &cursor), Ok(id));
        assert_eq!(decode(&ring, "users", &cursor), Err(CursorError));
        assert_eq!(decode(&self::ring(), "posts", &cursor), Err(CursorError));
        assert_eq!(decode(&Keyring::parse(&ring.with_new_key()).unwrap(), "posts", &cursor), Ok(id));
        for index in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            assert!(decode(&ring, "posts", std::str::from_utf8(&altered).unwrap()).is_err());
            assert!(decode(&ring, "posts", &cursor[..index]).is_err());
        }
        assert!(decode(&ring, "posts", &format!("{cursor}=")).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(list: String, id: u128) {
            let ring = ring();
            let id = Uuid::from_u128(id);
            prop_assert_eq!(decode(&ring, &list, &encode(&ring, &list, id)), Ok(id));
        }

        #[test]
        fn any_text_is_refused(cursor in "[A-Za-z0-9_-]{43}|.*") {
            prop_assert_eq!(decode(&ring(), "posts", &cursor), Err(CursorError));
        }
    }
}
