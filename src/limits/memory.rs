//! Counters in this process: a sharded map, constant memory a key, a bounded number of keys.
//!
//! The charges of one admission are taken together or not at all: their shards are locked in
//! ascending order, checked, then charged.
//!
//! **When full.** Counters that have run out are dropped first, a few with every admission, oldest
//! first. If all that are left still count, none is dropped, because then a flood of keys would
//! wipe the counters of those it attacks. Instead a charge with no counter yet is refused when its
//! tier protects accounts ([`Tier::is_strict`]: LOGIN, REGISTER, ADMIN) and let pass uncounted
//! otherwise. A key takes an admitted request to make, so filling the store takes as many addresses.
//!
//! [`Tier::is_strict`]: super::charge::Tier::is_strict

use super::charge::{Admission, Charge, Decision, EpochKey, Key, Source, Standing};
use super::window::Window;
use crate::clock::Clock;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// Run-out counters looked for with every charge.
const SWEEP: usize = 2;
/// Epochs remembered; past this all are forgotten at once, which makes every cached viewer stale.
const EPOCHS: usize = 200_000;
/// What a client waits when the store is full.
const FULL_RETRY_MS: u64 = 5_000;

/// Counters and epochs in this process.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Clock,
    shards: Box<[Mutex<Shard>]>,
    keys_per_shard: usize,
    hasher: std::hash::RandomState,
    epochs: Mutex<Epochs>,
}

#[derive(Debug, Default)]
struct Shard {
    windows: HashMap<Key, Window>,
    /// When each counter may have run out, in seconds, rounded up; soonest first. One entry a key.
    due: BinaryHeap<Reverse<(u32, Key)>>,
}

#[derive(Debug, Default)]
struct Epochs {
    known: HashMap<EpochKey, u64>,
    /// The epoch of all that are not known.
    base: u64,
    last: u64,
}

impl MemoryStore {
    /// A store of at most `keys` counters (about 75 to 200 bytes each) that reads `clock`.
    #[must_use]
    pub fn new(clock: Clock, keys: usize) -> Self {
        Self {
            clock,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys_per_shard: keys.div_ceil(SHARDS).max(1),
            hasher: std::hash::RandomState::new(),
            epochs: Mutex::default(),
        }
    }

    /// Takes all of `charges` or none, and reads the epochs.
    #[must_use]
    pub fn admit(&self, charges: &[Charge], epochs: &[EpochKey]) -> Admission {
        let now = self.now();
        let mut locked = self.lock(charges);
        for charge in charges {
            locked.shard(self, charge).sweep(now);
        }
        let mut worst: Option<(usize, u64)> = None;
        let mut standings = Vec::with_capacity(charges.len());
        for (index, charge) in charges.iter().enumerate() {
            // What earlier charges of this admission take of the same counter.
            let before = charges[..index].iter().filter(|other| other.key == charge.key);
            let before: u64 = before.map(|other| u64::from(other.amount)).sum();
            let limit = u64::from(charge.quota.limit);
            let shard = locked.shard(self, charge);
            let full = shard.windows.len() >= self.keys_per_shard;
            let asked = before + u64::from(charge.amount);
            let (sum, retry, reset) = match shard.current(charge, now) {
                Some(window) => {
                    let sum = window.sum();
                    let retry = (sum + asked > limit).then(|| window.retry_after(now, asked, limit));
                    (sum, retry, window.reset_after(now))
                }
                None if full && charge.tier.is_strict() => (limit, Some(FULL_RETRY_MS), FULL_RETRY_MS),
                None => (0, (asked > limit).then_some(charge.quota.window_ms), 0),
            };
            if let Some(retry) = retry
                && worst.is_none_or(|(_, longest)| retry > longest)
            {
                worst = Some((index, retry));
            }
            standings.push(Standing { remaining: left(limit, sum), reset_ms: reset });
        }
        let decision = match worst {
            Some((index, retry_after_ms)) => Decision::Refused { index, retry_after_ms },
            None => {
                for (charge, standing) in charges.iter().zip(&mut standings) {
                    if let Some(window) = locked.shard(self, charge).charge(charge, now, self.keys_per_shard)
                    {
                        standing.remaining = left(u64::from(charge.quota.limit), window.sum());
                        standing.reset_ms = window.reset_after(now);
                    }
                }
                Decision::Admitted
            }
        };
        drop(locked);
        let epochs = self.epochs(epochs);
        Admission { decision, standings, epochs, at_ms: now, source: Source::Memory }
    }

    /// Counts what another store admitted, whatever the limits, if there is room.
    pub fn record(&self, charges: &[Charge]) {
        let now = self.now();
        for charge in charges {
            let mut shard = held(&self.shards[self.shard_of(&charge.key)]);
            shard.sweep(now);
            shard.charge(charge, now, self.keys_per_shard);
        }
    }

    /// Gives back `amount` of a charge taken at `at_ms` ([`Admission::at_ms`]).
    pub fn refund(&self, charge: &Charge, amount: u32, at_ms: u64) {
        let mut shard = held(&self.shards[self.shard_of(&charge.key)]);
        if let Some(window) =
            shard.windows.get_mut(&charge.key).filter(|one| one.is_of(charge.quota.window_ms))
        {
            window.refund(at_ms, amount.min(charge.amount));
        }
    }

    /// Makes what is cached under `key` stale. The new epoch.
    pub fn bump_epoch(&self, key: EpochKey) -> u64 {
        let mut epochs = held(&self.epochs);
        epochs.last += 1;
        let next = epochs.last;
        if epochs.known.len() >= EPOCHS {
            epochs.known.clear();
            epochs.base = next;
            epochs.last += 1;
        }
        let next = epochs.last;
        epochs.known.insert(key, next);
        next
    }

    /// Counters held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| held(shard).windows.len()).sum()
    }

    /// Whether no counter is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn epochs(&self, keys: &[EpochKey]) -> Vec<u64> {
        if keys.is_empty() {
            return Vec::new();
        }
        let epochs = held(&self.epochs);
        keys.iter().map(|key| epochs.known.get(key).copied().unwrap_or(epochs.base)).collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn shard_of(&self, key: &Key) -> usize {
        use std::hash::BuildHasher;
        // The map within hashes with keys of its own, so the two do not depend on each other.
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    /// Locks the shards of `charges` in ascending order, so that no two admissions wait for each other.
    fn lock(&self, charges: &[Charge]) -> Locked<'_> {
        let mut shards: Vec<usize> = charges.iter().map(|charge| self.shard_of(&charge.key)).collect();
        shards.sort_unstable();
        shards.dedup();
        Locked(shards.into_iter().map(|at| (at, held(&self.shards[at]))).collect())
    }
}

struct Locked<'a>(Vec<(usize, MutexGuard<'a, Shard>)>);

impl Locked<'_> {
    fn shard(&mut self, store: &MemoryStore, charge: &Charge) -> &mut Shard {
        let at = store.shard_of(&charge.key);
        let found = self.0.binary_search_by_key(&at, |(shard, _)| *shard).unwrap_or(0);
        &mut self.0[found].1
    }
}

impl Shard {
    /// The counter of `charge`, moved on to `now`.
    fn current(&mut self, charge: &Charge, now: u64) -> Option<&Window> {
        let window = self.windows.get_mut(&charge.key)?;
        if !window.is_of(charge.quota.window_ms) {
            *window = Window::new(charge.quota.window_ms, now);
        }
        window.advance(now);
        Some(window)
    }

    /// Takes `charge`; `None` when there is no room for its counter.
    fn charge(&mut self, charge: &Charge, now: u64, most: usize) -> Option<&Window> {
        if self.current(charge, now).is_none() {
            if self.windows.len() >= most {
                return None;
            }
            let window = Window::new(charge.quota.window_ms, now);
            self.due.push(Reverse((seconds(window.expires()), charge.key)));
            self.windows.insert(charge.key, window);
        }
        let window = self.windows.get_mut(&charge.key)?;
        window.add(charge.amount);
        Some(window)
    }

    /// Drops a few counters that have run out, or learns when they will.
    fn sweep(&mut self, now: u64) {
        for _ in 0..SWEEP {
            let Some(Reverse((due, key))) = self.due.peek().copied() else { return };
            if u64::from(due) * 1_000 > now {
                return;
            }
            self.due.pop();
            match self.windows.get(&key).map(Window::expires) {
                Some(expires) if expires > now => self.due.push(Reverse((seconds(expires), key))),
                _ => {
                    self.windows.remove(&key);
                }
            }
        }
    }
}

fn seconds(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn left(limit: u64, sum: u64) -> u32 {
    u32::try_from(limit.saturating_sub(sum)).unwrap_or(u32::MAX)
}

/// A lock taken; a panic elsewhere leaves counters that are whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
