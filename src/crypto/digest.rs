//! SHA-256 (FIPS 180-4), for naming things by their content. Not for secrets.

use sha2::{Digest, Sha256};

/// The digest of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The digest of `bytes`, as 64 lower-case hex digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// SHA-256 of `parts`, each behind its length, so that no two lists give the same bytes. For what is
/// signed or compared afterwards.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(super::keyring::frame(parts)).into()
}
