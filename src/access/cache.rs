//! Identities that were looked up lately, so that most requests need no statement to know who asks.
//!
//! An entry is used only while the user's epoch is the one it was read under. Every change to an account
//! or its sessions bumps the epoch once it has committed, in the store that all replicas share, and
//! admission returns the epoch of each request: so a revocation holds from the very next request on.
//!
//! The epoch has to be older than the row: an identity read before its epoch was known is kept without
//! one, and read again next time. Without the shared store nothing is taken from here.

use super::viewer::Identity;
use quick_cache::sync::Cache;

/// SHA-256 of a session token.
pub type TokenHash = [u8; 32];

/// Entries at most; each is under 2 KiB.
const CAPACITY: usize = 20_000;

/// An identity and the epoch it was read under.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who the token belongs to.
    pub identity: Identity,
    /// The user's epoch from before the row was read.
    pub epoch: Option<u64>,
}

/// The identities of this process, least used ones leaving first.
#[derive(Debug)]
pub struct IdentityCache(Cache<TokenHash, Entry>);

impl Default for IdentityCache {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl IdentityCache {
    /// What is known of the token with this hash.
    #[must_use]
    pub fn get(&self, hash: &TokenHash) -> Option<Entry> {
        self.0.get(hash)
    }

    /// Keeps `entry`.
    pub fn put(&self, hash: TokenHash, entry: Entry) {
        self.0.insert(hash, entry);
    }

    /// Forgets everybody: what was read may be sealed under a key that the ring has lost.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Forgets the token with this hash.
    pub fn forget(&self, hash: &TokenHash) {
        self.0.remove(hash);
    }
}
