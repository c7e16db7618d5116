//! Password hashes: Argon2id (RFC 9106) with a pepper, stored as PHC strings.
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1,keyid=AAAAAQ$SALT$HASH
//! ```
//!
//! The pepper is a keyring subkey given to Argon2 as its secret input, so a stolen database alone cannot be
//! searched offline; `keyid` is the number of its master key (u32, big endian, base64). The password goes in
//! whole, after Unicode normalisation to NFC: the one transformation (ASVS 6.2.8, NIST SP 800-63B-4).
//!
//! Each call takes one hash's time and memory. Run them off the async threads, under a limit.

use super::keyring::{Keyring, Purpose};
use super::random;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

const OUTPUT: usize = 32;
const SALT: usize = 16;
/// Above these a stored hash is not computed: nobody who writes a row shall choose our memory.
const MOST: (u32, u32, u32) = (1 << 20, 32, 16);

/// Cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashParams {
    m_kib: u32,
    t: u32,
    p: u32,
}

/// Why a hash was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The configured cost is below the floor, or above what this build computes.
    #[error(
        "password hashing needs m from 19456 to 1048576 KiB, t from 2 to 32, p from 1 to 16; got m={}, t={}, p={}",
        .0.m_kib, .0.t, .0.p
    )]
    Cost(HashParams),
    /// Argon2 failed: in practice, out of memory.
    #[error("password hashing failed: {0}")]
    Argon2(argon2::Error),
}

impl HashParams {
    /// The floor, and the default: 19 MiB, two passes, one lane (OWASP; ASVS 11.4.2).
    pub const FLOOR: Self = Self { m_kib: 19_456, t: 2, p: 1 };

    /// `m_kib` KiB of memory, `t` passes, `p` lanes.
    ///
    /// # Errors
    /// [`HashError::Cost`] below [`HashParams::FLOOR`] in any of the three, or above 1 GiB, 32, 16.
    pub fn new(m_kib: u32, t: u32, p: u32) -> Result<Self, HashError> {
        let cost = Self { m_kib, t, p };
        let floor = Self::FLOOR;
        if m_kib < floor.m_kib || t < floor.t || p < floor.p || !cost.is_computable() {
            return Err(HashError::Cost(cost));
        }
        Ok(cost)
    }

    /// The cheapest Argon2 takes (8 KiB, one pass): for tests and development only.
    #[must_use]
    pub const fn insecure() -> Self {
        Self { m_kib: 8, t: 1, p: 1 }
    }

    /// Memory one hash takes, in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    fn is_computable(self) -> bool {
        let (m, t, p) = MOST;
        self.m_kib <= m && self.t <= t && self.p <= p
    }

    /// Blocks written: what a hash's time is proportional to.
    fn work(self) -> u64 {
        u64::from(self.m_kib) * u64::from(self.t)
    }

    /// The cost that is missing from `done` to `self`, within this one's memory; `None` if next to nothing.
    fn top_up(self, done: Self) -> Option<Self> {
        let missing = self.work().saturating_sub(done.work());
        let t = missing.div_ceil(u64::from(self.m_kib));
        let m_kib = missing.checked_div(t)?;
        if m_kib < 8 {
            return None;
        }
        Some(Self { m_kib: u32::try_from(m_kib).ok()?, t: u32::try_from(t).ok()?, p: 1 })
    }
}

/// What checking a password gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The password is right. With `needs_rehash` the stored hash has other parameters or another pepper
    /// than new ones get: replace it now, while the password is at hand.
    Match {
        /// Whether to hash again.
        needs_rehash: bool,
    },
    /// The password is wrong, or the stored string is not a hash this server can check.
    Mismatch,
}

/// Hashes and checks passwords under one set of parameters.
#[derive(Clone)]
pub struct PasswordHasher {
    params: HashParams,
    keyring: Keyring,
    dummy: String,
}

impl PasswordHasher {
    /// A hasher; computes one hash for [`PasswordHasher::dummy_hash`].
    ///
    /// # Errors
    /// [`HashError::Argon2`] when there is no memory for a hash.
    pub fn new(params: HashParams, keyring: Keyring) -> Result<Self, HashError> {
        let mut hasher = Self { params, keyring, dummy: String::new() };
        let nobodys = SecretString::from(hex::encode(random::bytes::<32>()));
        hasher.dummy = hasher.hash(&nobodys)?;
        Ok(hasher)
    }

    /// The PHC string to store for `password`, under the current parameters and pepper.
    ///
    /// # Errors
    /// [`HashError::Argon2`] when there is no memory for a hash.
    pub fn hash(&self, password: &SecretString) -> Result<String, HashError> {
        let ring = self.keyring.ring();
        let salt: [u8; SALT] = random::bytes();
        let pepper = ring.current_subkey(Purpose::Pepper);
        let params = self.params.for_argon2(Some(ring.current())).map_err(HashError::Argon2)?;
        let output = compute(&params, &pepper[..], &normalise(password), &salt).map_err(HashError::Argon2)?;
        let phc = || {
            Some(PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).ok()?,
                salt: Some(Salt::new(&salt).ok()?),
                hash: Some(Output::new(&output[..]).ok()?),
            })
        };
        let Some(phc) = phc() else { unreachable!("salt, output and parameters fit the PHC format") };
        Ok(phc.to_string())
    }

    /// Checks `password` against a stored PHC string, in the time of a hash with the current parameters
    /// (or of the stored ones, where those cost more), whatever the verdict.
    pub fn verify(&self, password: &SecretString, stored: &str) -> Verdict {
        let password = normalise(password);
        let Some(parsed) = Stored::parse(stored) else { return self.mismatch_after_work(&password) };
        let ring = self.keyring.ring();
        let Some(pepper) = ring.subkey(parsed.key, Purpose::Pepper) else {
            return self.mismatch_after_work(&password);
        };
        let Ok(params) = parsed.cost.for_argon2(None) else { return self.mismatch_after_work(&password) };
        let Ok(output) = compute(&params, &pepper[..], &password, &parsed.salt) else {
            return Verdict::Mismatch;
        };
        // A hash of cheaper, older parameters must not show by answering sooner.
        if let Some(missing) = self.params.top_up(parsed.cost) {
            burn(missing, &password);
        }
        if bool::from(output.ct_eq(&parsed.hash)) {
            let needs_rehash = parsed.cost != self.params || parsed.key != ring.current();
            Verdict::Match { needs_rehash }
        } else {
            Verdict::Mismatch
        }
    }

    /// A stored hash of nobody's password under the current parameters. Verify against it when there is no
    /// such user: the same work, and never a match.
    #[must_use]
    pub fn dummy_hash(&self) -> &str {
        &self.dummy
    }

    /// The cost of new hashes.
    #[must_use]
    pub fn params(&self) -> HashParams {
        self.params
    }

    fn mismatch_after_work(&self, password: &[u8]) -> Verdict {
        burn(self.params, password);
        Verdict::Mismatch
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher").field("params", &self.params).finish_non_exhaustive()
    }
}

/// The number of the master key that a stored hash's pepper comes from; `None` if it is no hash of ours.
#[must_use]
pub fn pepper_key_number(stored: &str) -> Option<u32> {
    Stored::parse(stored).map(|stored| stored.key)
}

/// A stored hash, taken apart.
struct Stored {
    cost: HashParams,
    key: u32,
    salt: Vec<u8>,
    hash: [u8; OUTPUT],
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let phc = PasswordHash::new(text).ok()?;
        if phc.algorithm != Algorithm::Argon2id.ident() || phc.version != Some(Version::V0x13.into()) {
            return None;
        }
        let params = Params::try_from(&phc.params).ok()?;
        let cost = HashParams { m_kib: params.m_cost(), t: params.t_cost(), p: params.p_cost() };
        let key = u32::from_be_bytes(params.keyid().try_into().ok()?);
        let hash = phc.hash?.as_bytes().try_into().ok()?;
        (cost.is_computable() && params.data().is_empty()).then_some(())?;
        Some(Self { cost, key, salt: phc.salt?.to_vec(), hash })
    }
}

impl HashParams {
    fn for_argon2(self, key: Option<u32>) -> argon2::Result<Params> {
        let mut builder = ParamsBuilder::new();
        builder.m_cost(self.m_kib).t_cost(self.t).p_cost(self.p).output_len(OUTPUT);
        if let Some(number) = key {
            builder.keyid(KeyId::new(&number.to_be_bytes())?);
        }
        builder.build()
    }
}

/// Argon2id, version 19.
fn compute(
    params: &Params,
    pepper: &[u8],
    password: &[u8],
    salt: &[u8],
) -> argon2::Result<Zeroizing<[u8; OUTPUT]>> {
    let argon2 = Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params.clone())?;
    let mut output = Zeroizing::new([0; OUTPUT]);
    argon2.hash_password_into(password, salt, &mut output[..])?;
    Ok(output)
}

/// Spends the time and memory of a hash.
fn burn(cost: HashParams, password: &[u8]) {
    if let Ok(params) = cost.for_argon2(None) {
        std::hint::black_box(compute(&params, &[0; 32], password, &[0; SALT])).ok();
    }
}

/// The password in NFC, in memory that is overwritten on drop.
fn normalise(password: &SecretString) -> Zeroizing<Vec<u8>> {
    let text = password.expose_secret();
    // NFC of UTF-8 is at most three times as long; a buffer that grew would leave a copy behind.
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    out.extend(text.nfc());
    Zeroizing::new(std::mem::take(&mut *out).into_bytes())
}

#[cfg(test)]
mod tests;
