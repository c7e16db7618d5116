//! Counters and epochs that all replicas share, in Redis (7 or later) or Valkey.
//!
//! An admission is one script call (`redis.lua`), one round trip: it reads the server's clock, takes
//! every charge or none, and returns the epochs. Refunds wait in this process and ride on the next
//! admission, so they cost no round trip; they wait for the next request of this process, whoever's.
//!
//! **Keys.** `{pc}:q:<counter>:<width>` for counters, `{pc}:e:<epoch>` for epochs, `{pc}:g` for the
//! generation, the epoch of whatever has none: it is the time the store was first used, so that a
//! store that lost its memory makes everything cached stale. All keys share the hash tag, hence one
//! slot of a Redis Cluster: atomic admission needs that. A cluster then keeps the limits on one of
//! its nodes; give each deployment that shares the cluster a prefix of its own to spread them.
//!
//! **Memory.** One string a counter, at most 21 pairs, which expires with its window. Run the server
//! with `maxmemory-policy noeviction` (or `volatile-ttl`): an evicted counter starts afresh.
//!
//! **Access.** The URL carries ACL user and password; `rediss://` is TLS. The user needs
//! `+evalsha +eval +time +mget +get +set +ping ~{pc}:*`. Errors never show the URL.

use super::charge::{Admission, Charge, Decision, EpochKey, Source, Standing};
use super::window::width;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, ErrorKind, Script, ServerErrorKind, ToRedisArgs};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const ADMIT: &str = include_str!("redis.lua");
const BUMP: &str = "local time = redis.call('TIME') \
    local base = tonumber(redis.call('GET', KEYS[1]) or '0') \
    local old = tonumber(redis.call('GET', KEYS[2]) or '0') \
    local new = math.max(time[1] * 1000000 + time[2], base + 1, old + 1) \
    redis.call('SET', KEYS[2], string.format('%.0f', new), 'EX', ARGV[1]) \
    return new";
/// An epoch is kept longer than anything cached under it may live.
const EPOCH_SECONDS: u64 = 30 * 24 * 3_600;
/// Refunds that may wait; past this the oldest are dropped, which leaves the client charged.
const REFUNDS: usize = 4_096;
/// Refunds that ride on one admission.
const RIDERS: usize = 16;

/// Why the store could not answer. Never holds the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit store does not answer: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<redis::RedisError> for StoreError {
    fn from(error: redis::RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        Self(format!("{} {code}", error.category()).trim_end().to_owned())
    }
}

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Common beginning of all keys, within the hash tag.
    pub prefix: String,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a call may take.
    pub timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "pc".to_owned(),
            connect_timeout: Duration::from_millis(250),
            timeout: Duration::from_millis(100),
        }
    }
}

/// Counters and epochs in Redis.
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
    timeout: Duration,
    admit: Script,
    bump: Script,
    refunds: Mutex<Vec<Refund>>,
    trips: AtomicU64,
}

struct Refund {
    key: String,
    amount: u32,
    at_ms: u64,
    width: u64,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// A store at `url` (`redis[s]://[user[:password]@]host[:port][/db]`). Connects when first used;
    /// must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the URL is malformed.
    pub fn new(url: &str, options: &RedisOptions) -> Result<Self, StoreError> {
        let client = redis::Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.timeout))
            .set_number_of_retries(0);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            prefix: options.prefix.clone(),
            timeout: options.timeout,
            admit: Script::new(ADMIT),
            bump: Script::new(BUMP),
            refunds: Mutex::default(),
            trips: AtomicU64::new(0),
        })
    }

    /// Takes all of `charges` or none, and reads the epochs: one round trip.
    ///
    /// # Errors
    /// [`StoreError`] when the server does not answer in time or refuses. Whether the charges were
    /// taken is then unknown.
    pub async fn admit(&self, charges: &[Charge], epochs: &[EpochKey]) -> Result<Admission, StoreError> {
        let riders = {
            let mut waiting = self.waiting();
            let from = waiting.len().saturating_sub(RIDERS);
            waiting.split_off(from)
        };
        let mut keys = Vec::with_capacity(1 + epochs.len() + charges.len() + riders.len());
        let mut numbers: Vec<u64> = Vec::with_capacity(3 + 3 * (charges.len() + riders.len()));
        numbers.extend([epochs.len() as u64, charges.len() as u64, riders.len() as u64]);
        keys.push(self.generation());
        keys.extend(epochs.iter().map(|key| self.epoch(*key)));
        for charge in charges {
            let width = width(charge.quota.window_ms);
            keys.push(self.counter(charge, width));
            numbers.extend([u64::from(charge.amount), u64::from(charge.quota.limit), width]);
        }
        for refund in riders {
            numbers.extend([u64::from(refund.amount), refund.at_ms, refund.width]);
            keys.push(refund.key);
        }
        let answer: Vec<u64> = self.call(&self.admit, &keys, &numbers).await?;
        let short = || StoreError("its answer is not understood".to_owned());
        let (head, rest) = answer.split_at_checked(3).ok_or_else(short)?;
        let (states, epoch_values) = rest.split_at_checked(2 * charges.len()).ok_or_else(short)?;
        if epoch_values.len() != epochs.len() {
            return Err(short());
        }
        let decision = match usize::try_from(head[1]).unwrap_or(usize::MAX).checked_sub(1) {
            None => Decision::Admitted,
            Some(index) => Decision::Refused { index, retry_after_ms: head[2] },
        };
        let standing = |state: &[u64]| Standing {
            remaining: u32::try_from(state[0]).unwrap_or(u32::MAX),
            reset_ms: state[1],
        };
        Ok(Admission {
            decision,
            standings: states.chunks_exact(2).map(standing).collect(),
            epochs: epoch_values.to_vec(),
            at_ms: head[0],
            source: Source::Redis,
        })
    }

    /// Gives back `amount` of a charge taken at `at_ms`, with the next admission.
    pub fn refund(&self, charge: &Charge, amount: u32, at_ms: u64) {
        let width = width(charge.quota.window_ms);
        let key = self.counter(charge, width);
        let mut waiting = self.waiting();
        if waiting.len() >= REFUNDS {
            waiting.drain(..REFUNDS / 2);
        }
        waiting.push(Refund { key, amount: amount.min(charge.amount), at_ms, width });
    }

    /// Makes what is cached under `key` stale on every replica. The new epoch.
    ///
    /// # Errors
    /// [`StoreError`] when the server does not answer in time or refuses.
    pub async fn bump_epoch(&self, key: EpochKey) -> Result<u64, StoreError> {
        self.call(&self.bump, &[self.generation(), self.epoch(key)], &[EPOCH_SECONDS]).await
    }

    /// Whether the server answers and takes writes.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(format!("{{{}}}:probe", self.prefix)).arg(1).arg("PX").arg(1_000);
        self.run::<()>(&command).await?.map_err(StoreError::from)
    }

    /// Round trips made, those that failed too.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    async fn call<T: redis::FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        numbers: &[u64],
    ) -> Result<T, StoreError> {
        let command = |name: &str, text: &str| {
            let mut command = redis::cmd(name);
            command.arg(text).arg(keys.len());
            keys.write_redis_args(&mut command);
            numbers.write_redis_args(&mut command);
            command
        };
        match self.run(&command("EVALSHA", script.get_hash())).await? {
            Ok(answer) => Ok(answer),
            // A server that restarted has forgotten the script; this teaches it again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let text = if std::ptr::eq(script, &raw const self.bump) { BUMP } else { ADMIT };
                Ok(self.run(&command("EVAL", text)).await??)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<redis::RedisResult<T>, StoreError> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        let mut connection = self.connection.clone();
        tokio::time::timeout(self.timeout, command.query_async(&mut connection))
            .await
            .map_err(|_| StoreError("timed out".to_owned()))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Refund>> {
        self.refunds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation(&self) -> String {
        format!("{{{}}}:g", self.prefix)
    }

    fn epoch(&self, key: EpochKey) -> String {
        format!("{{{}}}:e:{key}", self.prefix)
    }

    fn counter(&self, charge: &Charge, width: u64) -> String {
        format!("{{{}}}:q:{}:{width}", self.prefix, charge.key)
    }
}
