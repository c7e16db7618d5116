//! One store for both ways to run: counters in this process, or in Redis with those to fall back on.
//!
//! **Redis lost.** A call that fails or takes longer than its time-out is answered from this
//! process's counters at once, and the breaker opens: Redis is left alone and everything is answered
//! from memory, at the limits divided by the number of replicas. While it is open one probe at a time,
//! after a random pause that grows from 0.1 to 2 s, tries a write; when that succeeds the breaker
//! closes. What Redis admits is counted in memory as well, so the fall-back starts from what this
//! process has let through. No call fails because Redis does.
//!
//! **Bound.** While and after Redis is away, a window may see its limit once from Redis and once
//! from all the fall-backs together; never more.
//!
//! **Epochs while away.** Every epoch read is one never seen before, so nothing cached counts as
//! fresh; after recovery all earlier ones have changed too. Bumps wait and are applied before the
//! breaker closes.
//!
//! **Refusals remembered.** A refused client is answered from memory, with no round trip, until its
//! wait is over (for cost points, which may be refunded, at most one second).

use super::charge::{Admission, Charge, Decision, EpochKey, Key, Source, Standing, Tier};
use super::memory::MemoryStore;
use super::redis::{RedisStore, StoreError};
use crate::clock::Clock;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PAUSE_MS: u64 = 100;
const PAUSE_MOST_MS: u64 = 2_000;
/// Refusals remembered, in a table where a newer one takes the place of an older.
const REMEMBERED: usize = 8_192;
/// Shorter waits are not worth remembering.
const WORTH_MS: u64 = 50;
/// How long a refusal is remembered whose counter may be refunded.
const REFUNDABLE_MS: u64 = 1_000;

/// The limit store. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// Embedded: one process, its own counters.
    Memory(Arc<MemoryStore>),
    /// Replicated: counters in Redis.
    Redis(Arc<Resilient>),
}

impl Store {
    /// Takes all of `charges` (one a counter) or none, and reads the epochs of `epochs`: at most one
    /// round trip.
    pub async fn admit(&self, charges: &[Charge], epochs: &[EpochKey]) -> Admission {
        match self {
            Self::Memory(memory) => memory.admit(charges, epochs),
            Self::Redis(shared) => Resilient::admit(shared, charges, epochs).await,
        }
    }

    /// Gives back `amount` of a charge that `admission` took.
    pub fn refund(&self, charge: &Charge, amount: u32, admission: &Admission) {
        if amount == 0 {
            return;
        }
        match (self, admission.source) {
            (Self::Memory(memory), _) => memory.refund(charge, amount, admission.at_ms),
            (Self::Redis(shared), source) => shared.refund(charge, amount, source, admission.at_ms),
        }
    }

    /// Makes what is cached under `key` stale, on every replica, from the next admission on.
    pub async fn bump_epoch(&self, key: EpochKey) -> u64 {
        match self {
            Self::Memory(memory) => memory.bump_epoch(key),
            Self::Redis(shared) => shared.bump_epoch(key).await,
        }
    }

    /// Whether Redis is away and this process limits alone. For the health page. Asking makes it look
    /// again when that is due, as every request does.
    #[must_use]
    pub fn degraded(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Redis(shared) => {
                shared.probe_when_due();
                shared.open.load(Ordering::SeqCst)
            }
        }
    }

    /// Times Redis was lost; a change is an incident. 0 when there is none.
    #[must_use]
    pub fn outages(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Redis(shared) => shared.outages.load(Ordering::Relaxed),
        }
    }

    /// Round trips to Redis.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Redis(shared) => shared.redis.round_trips(),
        }
    }

    /// Forgets remembered refusals: after limits were raised.
    pub fn forget_refusals(&self) {
        if let Self::Redis(shared) = self {
            shared.refusals.clear();
        }
    }
}

/// Redis with a breaker before it and memory behind it.
#[derive(Debug)]
pub struct Resilient {
    redis: RedisStore,
    memory: MemoryStore,
    replicas: u32,
    clock: Clock,
    random: RandomState,
    open: AtomicBool,
    outages: AtomicU64,
    /// While open: when to probe next, in milliseconds of the clock; `u64::MAX` while probing.
    probe_at: AtomicU64,
    pause: AtomicU64,
    /// Epochs that no one has seen.
    unseen: AtomicU64,
    bumps: Mutex<HashSet<EpochKey>>,
    refusals: Refusals,
}

impl Resilient {
    /// `redis`, and `memory` for when it is away, its limits divided by `replicas`.
    #[must_use]
    pub fn new(redis: RedisStore, memory: MemoryStore, replicas: u32, clock: Clock) -> Self {
        Self {
            redis,
            memory,
            replicas,
            clock,
            random: RandomState::new(),
            open: AtomicBool::new(false),
            outages: AtomicU64::new(0),
            probe_at: AtomicU64::new(0),
            pause: AtomicU64::new(PAUSE_MS),
            unseen: AtomicU64::new(1 << 63),
            bumps: Mutex::default(),
            refusals: Refusals::new(),
        }
    }

    async fn admit(self: &Arc<Self>, charges: &[Charge], epochs: &[EpochKey]) -> Admission {
        if self.open.load(Ordering::SeqCst) {
            self.probe_when_due();
            return self.alone(charges, epochs);
        }
        let now = self.now();
        if let Some((index, retry_after_ms)) = self.refusals.find(charges, now) {
            return remembered(charges, index, retry_after_ms);
        }
        match self.redis.admit(charges, epochs).await {
            Ok(mut admission) => {
                match admission.decision {
                    Decision::Admitted => self.memory.record(charges),
                    Decision::Refused { index, retry_after_ms } => {
                        if let Some(charge) = charges.get(index) {
                            self.refusals.remember(charge, now, retry_after_ms);
                        }
                    }
                }
                for epoch in &mut admission.epochs {
                    *epoch |= self.outage_bits();
                }
                admission
            }
            Err(error) => {
                self.lost(&error);
                self.alone(charges, epochs)
            }
        }
    }

    /// Answers from this process.
    fn alone(&self, charges: &[Charge], epochs: &[EpochKey]) -> Admission {
        let share = |charge: &Charge| Charge { quota: charge.quota.shared_by(self.replicas), ..*charge };
        let shares: Vec<Charge> = charges.iter().map(share).collect();
        let mut admission = self.memory.admit(&shares, &[]);
        admission.epochs = epochs.iter().map(|_| self.unseen.fetch_add(1, Ordering::Relaxed)).collect();
        admission
    }

    fn refund(&self, charge: &Charge, amount: u32, source: Source, at_ms: u64) {
        match source {
            Source::Redis => self.redis.refund(charge, amount, at_ms),
            Source::Memory => self.memory.refund(charge, amount, at_ms),
            Source::Remembered => {}
        }
    }

    async fn bump_epoch(self: &Arc<Self>, key: EpochKey) -> u64 {
        if !self.open.load(Ordering::SeqCst) {
            match self.redis.bump_epoch(key).await {
                Ok(epoch) => return epoch | self.outage_bits(),
                Err(error) => self.lost(&error),
            }
        }
        held(&self.bumps).insert(key);
        // Either this sees the breaker closed meanwhile, or who closed it sees the bump.
        if !self.open.load(Ordering::SeqCst)
            && let Err(error) = self.apply_bumps().await
        {
            self.lost(&error);
        }
        self.probe_when_due();
        self.unseen.fetch_add(1, Ordering::Relaxed)
    }

    /// What was cached before an outage this process saw is stale after it: part of every epoch.
    fn outage_bits(&self) -> u64 {
        (self.outages.load(Ordering::Acquire) & 0x3FF) << 53
    }

    fn lost(&self, error: &StoreError) {
        if !self.open.swap(true, Ordering::SeqCst) {
            self.outages.fetch_add(1, Ordering::AcqRel);
            self.pause.store(PAUSE_MS, Ordering::Relaxed);
            self.probe_at.store(self.now() + self.jittered(PAUSE_MS), Ordering::Release);
            tracing::warn!(%error, "limits are kept in process until the limit store is back");
        }
    }

    /// Starts a probe if one is due and none runs. Never waits for it.
    fn probe_when_due(self: &Arc<Self>) {
        let due = self.probe_at.load(Ordering::Acquire);
        if !self.open.load(Ordering::SeqCst) || self.now() < due {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.probe_at.compare_exchange(due, u64::MAX, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let shared = Arc::clone(self);
        runtime.spawn(async move {
            if shared.recover().await.is_ok() {
                return;
            }
            let pause = (shared.pause.load(Ordering::Relaxed) * 2).min(PAUSE_MOST_MS);
            shared.pause.store(pause, Ordering::Relaxed);
            shared.probe_at.store(shared.now() + shared.jittered(pause), Ordering::Release);
        });
    }

    /// Closes the breaker if Redis takes writes and every bump that waited.
    async fn recover(&self) -> Result<(), StoreError> {
        self.redis.probe().await?;
        self.apply_bumps().await?;
        self.open.store(false, Ordering::SeqCst);
        tracing::info!("the limit store is back");
        if let Err(error) = self.apply_bumps().await {
            self.lost(&error);
        }
        Ok(())
    }

    async fn apply_bumps(&self) -> Result<(), StoreError> {
        loop {
            let Some(key) = held(&self.bumps).iter().next().copied() else { return Ok(()) };
            self.redis.bump_epoch(key).await?;
            held(&self.bumps).remove(&key);
        }
    }

    /// Between half of `pause` and all of it: replicas do not return at the same moment.
    fn jittered(&self, pause: u64) -> u64 {
        pause / 2 + self.random.hash_one((self.now(), self.unseen.load(Ordering::Relaxed))) % (pause / 2 + 1)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

fn remembered(charges: &[Charge], index: usize, retry_after_ms: u64) -> Admission {
    let standing = |(at, charge): (usize, &Charge)| {
        let refused = at == index;
        Standing {
            remaining: if refused { 0 } else { charge.quota.limit },
            reset_ms: if refused { retry_after_ms } else { 0 },
        }
    };
    Admission {
        decision: Decision::Refused { index, retry_after_ms },
        standings: charges.iter().enumerate().map(standing).collect(),
        epochs: Vec::new(),
        at_ms: 0,
        source: Source::Remembered,
    }
}

/// Refusals of late: a counter that had too little for an amount has too little for as much until
/// then, since only time and refunds give back.
#[derive(Debug)]
struct Refusals {
    slots: Box<[Mutex<Option<Refusal>>]>,
    random: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    key: Key,
    amount: u32,
    until: u64,
}

impl Refusals {
    fn new() -> Self {
        Self { slots: (0..REMEMBERED).map(|_| Mutex::default()).collect(), random: RandomState::new() }
    }

    fn slot(&self, key: &Key) -> MutexGuard<'_, Option<Refusal>> {
        let at = usize::try_from(self.random.hash_one(key) % REMEMBERED as u64).unwrap_or(0);
        held(&self.slots[at])
    }

    fn find(&self, charges: &[Charge], now: u64) -> Option<(usize, u64)> {
        charges.iter().enumerate().find_map(|(index, charge)| {
            let known = (*self.slot(&charge.key))?;
            let stands = known.key == charge.key && charge.amount >= known.amount && known.until > now;
            stands.then(|| (index, known.until - now))
        })
    }

    fn remember(&self, charge: &Charge, now: u64, retry_after_ms: u64) {
        if retry_after_ms < WORTH_MS {
            return;
        }
        let most = if charge.tier == Tier::Cost { REFUNDABLE_MS } else { u64::MAX };
        let until = now.saturating_add(retry_after_ms.min(most));
        *self.slot(&charge.key) = Some(Refusal { key: charge.key, amount: charge.amount, until });
    }

    fn clear(&self) {
        for slot in &self.slots {
            *held(slot) = None;
        }
    }
}

/// A lock taken; a panic elsewhere leaves what it guards whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
