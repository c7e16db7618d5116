//! What the rules are told and remember in this process, bounded.

use crate::clock::Clock;
use entity::audit_event::Model;
use ipnet::IpNet;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Events that may wait to be looked at; more are left to the next event of the same kind.
const QUEUE: usize = 1024;
/// Networks whose misses are counted at once.
const NETWORKS: usize = 10_000;

/// Misses of one network since the beginning of its window (milliseconds, monotonic).
#[derive(Debug, Clone, Copy)]
struct Misses {
    since: u64,
    count: u32,
}

/// The watch.
#[derive(Debug)]
pub struct Watch {
    sender: Sender<Model>,
    queue: tokio::sync::Mutex<Receiver<Model>>,
    misses: Mutex<HashMap<IpNet, Misses>>,
    limit_store_away: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        Self {
            sender,
            queue: tokio::sync::Mutex::new(queue),
            misses: Mutex::default(),
            limit_store_away: AtomicBool::new(false),
        }
    }
}

impl Watch {
    /// Where failures, refusals and alerts are handed over once they are recorded.
    #[must_use]
    pub fn sender(&self) -> Sender<Model> {
        self.sender.clone()
    }

    /// The next event to look at; waits for it.
    pub async fn next(&self) -> Option<Model> {
        self.queue.lock().await.recv().await
    }

    /// The next event to look at, if one waits.
    pub async fn waiting(&self) -> Option<Model> {
        self.queue.lock().await.try_recv().ok()
    }

    /// Adds `count` misses of `network`; tells how many they are when they reach `limit` in the window.
    #[must_use]
    pub fn misses(&self, network: IpNet, count: u32, window: u64, limit: u32, clock: &Clock) -> Option<u32> {
        let now = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let mut all = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NETWORKS && !all.contains_key(&network) {
            all.retain(|_, misses| now.saturating_sub(misses.since) < window);
            if all.len() >= NETWORKS {
                return None;
            }
        }
        let misses = all.entry(network).or_insert(Misses { since: now, count: 0 });
        if now.saturating_sub(misses.since) >= window {
            *misses = Misses { since: now, count: 0 };
        }
        let before = misses.count;
        misses.count = before.saturating_add(count);
        (before < limit && misses.count >= limit).then_some(misses.count)
    }

    /// Whether the limit store is away, if that has changed.
    #[must_use]
    pub fn limit_store_changed(&self, away: bool) -> Option<bool> {
        (self.limit_store_away.swap(away, Ordering::Relaxed) != away).then_some(away)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn misses_are_told_once_a_window_at_the_limit() {
        let (watch, clock) = (Watch::default(), Clock::test(0));
        let network = "192.0.2.1/32".parse().unwrap();
        let other = "192.0.2.2/32".parse().unwrap();
        let miss = |network, count| watch.misses(network, count, 1000, 3, &clock);
        assert_eq!(miss(network, 2), None);
        assert_eq!(miss(other, 2), None);
        assert_eq!(miss(network, 1), Some(3));
        assert_eq!(miss(network, 1), None);
        clock.advance(Duration::from_millis(1000));
        assert_eq!(miss(network, 2), None, "a new window");
        assert_eq!(miss(network, 5), Some(7));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (watch, clock) = (Watch::default(), Clock::test(0));
        for number in 0..20_000u32 {
            let network = IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
            let _ = watch.misses(network, 1, 1000, 3, &clock);
        }
        assert_eq!(watch.misses.lock().unwrap().len(), NETWORKS);
    }
}
