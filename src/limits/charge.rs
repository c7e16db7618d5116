//! What an admission asks for and what it answers: keys, quotas, charges, standings, epochs.

use super::cost::RateClass;
use std::fmt::{self, Write};
use std::net::IpAddr;
use uuid::Uuid;

/// What a charge counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Operations of an address.
    Address,
    /// Operations of a signed-in user.
    User,
    /// Executions of fields of a class.
    Class(RateClass),
    /// Cost points.
    Cost,
}

impl Tier {
    /// The policy's name in `RateLimit` headers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Class(RateClass::Login) => "login",
            Self::Class(RateClass::Register) => "register",
            Self::Class(RateClass::Api) => "api",
            Self::Class(RateClass::Admin) => "admin",
            Self::Cost => "cost",
        }
    }

    /// Whether this tier protects accounts: it refuses rather than lets pass when it cannot count.
    #[must_use]
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Class(RateClass::Login | RateClass::Register | RateClass::Admin))
    }

    const fn tag(self) -> u8 {
        match self {
            Self::Address => b'a',
            Self::User => b'u',
            Self::Class(RateClass::Login) => b'l',
            Self::Class(RateClass::Register) => b'r',
            Self::Class(RateClass::Api) => b'p',
            Self::Class(RateClass::Admin) => b'm',
            Self::Cost => b'c',
        }
    }
}

/// Whose share a charge takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The client's address.
    Address,
    /// The signed-in user.
    User,
    /// Whom the operation acts on. Never shown to the client: it would tell how others fare.
    Target,
}

/// The name of a counter: its tier, the kind of subject and 16 bytes that tell subjects apart.
/// Holds no identifier in the clear save addresses and ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(super) [u8; 18]);

impl Key {
    /// A counter of an address: IPv4, or the /64 of IPv6; IPv4-mapped addresses are IPv4.
    #[must_use]
    pub fn address(tier: Tier, address: IpAddr) -> Self {
        let mut id = [0; 16];
        match address.to_canonical() {
            IpAddr::V4(v4) => id[12..].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => id[..8].copy_from_slice(&v6.octets()[..8]),
        }
        let family = if address.to_canonical().is_ipv4() { b'4' } else { b'6' };
        Self::of(tier, family, id)
    }

    /// A counter of a user.
    #[must_use]
    pub fn user(tier: Tier, user: Uuid) -> Self {
        Self::of(tier, b'u', user.into_bytes())
    }

    /// A counter of a target by the hash of its identifier.
    #[must_use]
    pub fn target(tier: Tier, hash: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self::of(tier, b't', id)
    }

    fn of(tier: Tier, kind: u8, id: [u8; 16]) -> Self {
        let mut bytes = [0; 18];
        bytes[0] = tier.tag();
        bytes[1] = kind;
        bytes[2..].copy_from_slice(&id);
        Self(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Two letters and 32 hex digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(char::from(self.0[0]))?;
        f.write_char(char::from(self.0[1]))?;
        self.0[2..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// So many in any span of so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// The most admitted in any window.
    pub limit: u32,
    /// The window's length in milliseconds; 1 to a year.
    pub window_ms: u64,
}

impl Quota {
    /// `limit` in `seconds`.
    #[must_use]
    pub const fn per_seconds(limit: u32, seconds: u64) -> Self {
        Self { limit, window_ms: seconds.saturating_mul(1_000) }
    }

    /// The share of one of `replicas`, never less than one.
    #[must_use]
    pub fn shared_by(self, replicas: u32) -> Self {
        Self { limit: (self.limit / replicas.max(1)).max(self.limit.min(1)), ..self }
    }
}

/// An amount to take from a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The counter.
    pub key: Key,
    /// How much.
    pub amount: u32,
    /// How much there is.
    pub quota: Quota,
    /// What is counted.
    pub tier: Tier,
    /// For whom.
    pub subject: Subject,
}

/// The name of an epoch: a number that changes whenever what is cached about a session or a user
/// stops being true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochKey {
    kind: char,
    id: Uuid,
}

impl EpochKey {
    /// The epoch of a session: changes when it is revoked.
    #[must_use]
    pub const fn session(id: Uuid) -> Self {
        Self { kind: 's', id }
    }

    /// The epoch of a user: changes with role, state, password, second factors.
    #[must_use]
    pub const fn user(id: Uuid) -> Self {
        Self { kind: 'u', id }
    }
}

/// A letter and 32 hex digits.
impl fmt::Display for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind, self.id.simple())
    }
}

/// Whether the charges were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// All of them were.
    Admitted,
    /// None of them was.
    Refused {
        /// The charge that must wait longest.
        index: usize,
        /// Until it may pass, in milliseconds.
        retry_after_ms: u64,
    },
}

/// Where a counter stands after an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is left.
    pub remaining: u32,
    /// Milliseconds until all of it is there again if nothing more is taken.
    pub reset_ms: u64,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The counters of this process.
    Memory,
    /// The counters that all replicas share.
    Redis,
    /// A refusal remembered: no counter was asked, the standings of other charges are not known.
    Remembered,
}

/// The answer to an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Admitted or refused.
    pub decision: Decision,
    /// One for each charge, in their order.
    pub standings: Vec<Standing>,
    /// One for each epoch key, in their order; empty when [`Source::Remembered`]. What is cached
    /// holds only while its number is the same.
    pub epochs: Vec<u64>,
    /// The counters' time of the charges, in milliseconds; for refunds.
    pub at_ms: u64,
    /// Who answered.
    pub source: Source,
}

impl Admission {
    /// Whether the charges were taken.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.decision, Decision::Admitted)
    }
}
