//! The keyring: numbered 256-bit master keys, one of them current, and a subkey for every purpose.
//!
//! A master key is never used itself. HKDF-SHA-256 (RFC 5869) derives a subkey from it for each purpose,
//! and for each column where the purpose has one, so that no two uses share a key. New things are made
//! under the current key; older keys stay in the ring to open and verify what they made, until they are
//! retired. The ring behind a [`Keyring`] can be exchanged while it is in use.

pub mod text;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use text::KeyringError;

/// A 256-bit key, overwritten when dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// First part of every derivation; a new version would derive unrelated keys.
const CONTEXT: &[u8] = b"portcullis/v1";

/// What a subkey is for. Two purposes never share a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Encrypts a column.
    Seal {
        /// The table's name.
        table: &'static str,
        /// The column's name.
        column: &'static str,
    },
    /// Makes the blind index of a column.
    Index {
        /// The table's name.
        table: &'static str,
        /// The column's name.
        column: &'static str,
    },
    /// CSRF tokens bound to a session.
    Csrf,
    /// Page cursors bound to a list.
    Cursor,
    /// Goes into every password hash beside the password.
    Pepper,
    /// Links the rows of the audit trail.
    AuditChain,
    /// Marks a device that signed in before.
    Device,
    /// Seed of the Ed25519 key that signs access tokens.
    JwtSigning,
    /// Seed of the Ed25519 key that signs checkpoints of the audit trail.
    CheckpointSigning,
    /// Trusted GraphQL documents.
    DocumentSigning,
    /// Turns identifiers (an e-mail address, a user name) into keys of the limits' counters.
    LimitKey,
    /// Derives the token that follows a used refresh token.
    Successor,
    /// Tells keys apart in a listing without showing them.
    Fingerprint,
}

impl Purpose {
    /// The names that enter the derivation. Never change one: it changes the key.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Seal { table, column } => ["seal", table, column],
            Self::Index { table, column } => ["index", table, column],
            Self::Csrf => ["csrf", "", ""],
            Self::Cursor => ["cursor", "", ""],
            Self::Pepper => ["pepper", "", ""],
            Self::AuditChain => ["audit-chain", "", ""],
            Self::Device => ["device", "", ""],
            Self::JwtSigning => ["jwt-signing", "", ""],
            Self::CheckpointSigning => ["checkpoint-signing", "", ""],
            Self::DocumentSigning => ["document-signing", "", ""],
            Self::LimitKey => ["limit-key", "", ""],
            Self::Successor => ["successor", "", ""],
            Self::Fingerprint => ["fingerprint", "", ""],
        }
    }
}

/// The keys of this server. Clones share one ring, which [`Keyring::replace`] exchanges for all of them.
#[derive(Clone)]
pub struct Keyring(Arc<RwLock<Arc<Ring>>>);

/// One fixed set of keys, and the subkeys derived from it so far.
pub(super) struct Ring {
    /// Number → master key.
    keys: BTreeMap<u32, Key>,
    /// The number that new things are made under; always in `keys`.
    current: u32,
    /// Derived so far. Bounded: purposes and columns are named in code.
    subkeys: RwLock<HashMap<(u32, Purpose), Key>>,
}

impl Keyring {
    /// Reads a ring from its text (see [`text`] for the format).
    ///
    /// # Errors
    /// Every problem found, by line or key number; never any key material.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let (keys, current) = text::parse(text)?;
        let ring = Ring { keys, current, subkeys: RwLock::default() };
        Ok(Self(Arc::new(RwLock::new(Arc::new(ring)))))
    }

    /// The text of a new ring with one random key, number 1.
    #[must_use]
    pub fn generate() -> Zeroizing<String> {
        let keys = BTreeMap::from([(1, Zeroizing::new(super::random::bytes()))]);
        text::format(&keys, 1)
    }

    /// The text of this ring plus one random key, numbered after the highest, which becomes current.
    #[must_use]
    pub fn with_new_key(&self) -> Zeroizing<String> {
        let ring = self.ring();
        let mut keys = ring.keys.clone();
        let highest = keys.keys().next_back().copied().unwrap_or(0);
        let number = if highest < u32::MAX {
            highest + 1
        } else {
            (1..u32::MAX).find(|n| !keys.contains_key(n)).unwrap_or(1)
        };
        keys.insert(number, Zeroizing::new(super::random::bytes()));
        text::format(&keys, number)
    }

    /// The text of this ring with `number` as the current key; `None` when the ring has no such key.
    #[must_use]
    pub fn with_current(&self, number: u32) -> Option<Zeroizing<String>> {
        let ring = self.ring();
        ring.keys.contains_key(&number).then(|| text::format(&ring.keys, number))
    }

    /// The text of this ring without key `number`; `None` when it is the current key or not in the ring.
    #[must_use]
    pub fn without_key(&self, number: u32) -> Option<Zeroizing<String>> {
        let ring = self.ring();
        if number == ring.current {
            return None;
        }
        let mut keys = ring.keys.clone();
        keys.remove(&number)?;
        Some(text::format(&keys, ring.current))
    }

    /// Exchanges the keys behind this keyring and all its clones. Work under way ends with the old ones.
    pub fn replace(&self, other: &Self) {
        let ring = other.ring();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    /// The numbers in the ring, ascending.
    #[must_use]
    pub fn numbers(&self) -> Vec<u32> {
        self.ring().keys.keys().copied().collect()
    }

    /// The number of the key that new things are made under.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.ring().current
    }

    /// Sixteen hex digits that tell keys apart and reveal nothing of them; `None` for an unknown number.
    #[must_use]
    pub fn fingerprint(&self, number: u32) -> Option<String> {
        self.mac_with(number, Purpose::Fingerprint, &[]).map(|tag| hex::encode(&tag[..8]))
    }

    /// HMAC-SHA-256 over the length-framed `parts`, under the current key's subkey for `purpose`.
    #[must_use]
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let ring = self.ring();
        hmac(&ring.current_subkey(purpose), parts)
    }

    /// As [`Keyring::mac`], under key `number`; `None` when the ring has no such key.
    #[must_use]
    pub fn mac_with(&self, number: u32, purpose: Purpose, parts: &[&[u8]]) -> Option<[u8; 32]> {
        self.ring().subkey(number, purpose).map(|key| hmac(&key, parts))
    }

    /// Whether `tag` is the MAC of `parts` under any key of the ring. Constant time in the tag's content.
    #[must_use]
    pub fn verify_mac(&self, purpose: Purpose, parts: &[&[u8]], tag: &[u8; 32]) -> bool {
        self.verify_prefix(purpose, parts, tag)
    }

    /// As [`Keyring::verify_mac`] for a MAC cut to its first 16 bytes (128 bits).
    #[must_use]
    pub fn verify_mac16(&self, purpose: Purpose, parts: &[&[u8]], tag: &[u8; 16]) -> bool {
        self.verify_prefix(purpose, parts, tag)
    }

    /// Compares with the MAC of every key, without stopping at a match.
    fn verify_prefix(&self, purpose: Purpose, parts: &[&[u8]], tag: &[u8]) -> bool {
        let ring = self.ring();
        let mut matched = subtle::Choice::from(0);
        for &number in ring.keys.keys() {
            if let Some(key) = ring.subkey(number, purpose) {
                matched |= hmac(&key, parts)[..tag.len()].ct_eq(tag);
            }
        }
        matched.into()
    }

    /// The keys as they are now.
    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(numbers: {:?}, current: {})", self.numbers(), self.current())
    }
}

impl Ring {
    /// The current key's number.
    pub(super) fn current(&self) -> u32 {
        self.current
    }

    /// The numbers in the ring, ascending.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.keys.keys().copied()
    }

    /// The subkey of the current key for `purpose`.
    pub(super) fn current_subkey(&self, purpose: Purpose) -> Key {
        self.subkey(self.current, purpose)
            .unwrap_or_else(|| unreachable!("the current key is in the ring by construction"))
    }

    /// The subkey of key `number` for `purpose`; `None` when the ring has no such key.
    pub(super) fn subkey(&self, number: u32, purpose: Purpose) -> Option<Key> {
        let cached = self.subkeys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached.get(&(number, purpose)) {
            return Some(key.clone());
        }
        drop(cached);
        let key = derive(self.keys.get(&number)?, purpose);
        let mut cache = self.subkeys.write().unwrap_or_else(PoisonError::into_inner);
        cache.insert((number, purpose), key.clone());
        Some(key)
    }
}

/// HKDF-SHA-256: no salt, `info` = the framed context and names.
fn derive(master: &Key, purpose: Purpose) -> Key {
    let [name, table, column] = purpose.names();
    let info = frame(&[CONTEXT, name.as_bytes(), table.as_bytes(), column.as_bytes()]);
    let mut key = Zeroizing::new([0; 32]);
    let Ok(()) = Hkdf::<Sha256>::new(None, &master[..]).expand(&info, &mut key[..]) else {
        unreachable!("HKDF-SHA-256 gives up to 8160 bytes")
    };
    key
}

/// HMAC-SHA-256 over the framed parts.
pub(super) fn hmac(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a short key with zeros to the block size (RFC 2104), so this is the same key.
    let mut block = Zeroizing::new([0_u8; 64]);
    block[..32].copy_from_slice(&key[..]);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Joins `parts`, each behind its length (u64, big endian), so that no two lists give the same bytes.
pub(super) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests;
