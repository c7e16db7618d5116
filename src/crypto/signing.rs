//! Ed25519 keys derived from the keyring: one pair for each purpose and key number.
//!
//! Nothing is stored: the seed is a subkey, so whoever has the ring has the pair, and the public keys of
//! all numbers can be published before and after a rotation.

use super::keyring::{Purpose, Ring};
use ed25519_dalek::SigningKey;

/// The pair of key `number` for `purpose`; `None` when the ring has no such key. Overwritten on drop.
pub(super) fn pair(ring: &Ring, number: u32, purpose: Purpose) -> Option<SigningKey> {
    ring.subkey(number, purpose).map(|seed| SigningKey::from_bytes(&seed))
}

/// The pair of the current key for `purpose`.
pub(super) fn current_pair(ring: &Ring, purpose: Purpose) -> SigningKey {
    SigningKey::from_bytes(&ring.current_subkey(purpose))
}
