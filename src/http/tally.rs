//! Counts per key over a window of time, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys kept at most; when full, whatever is over is forgotten first, then everything: a count is
/// lost before memory is.
const KEYS: usize = 16_384;

/// Sums of points per key; a key starts anew when its window is over.
#[derive(Debug)]
pub(crate) struct Tally<K> {
    window: Duration,
    /// Key → when its window began, and its points since.
    points: Mutex<HashMap<K, (Duration, u32)>>,
}

impl<K: Eq + Hash> Tally<K> {
    /// A tally whose windows last `window`.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, points: Mutex::new(HashMap::new()) }
    }

    /// Adds `points` to `key` at time `now` and returns its sum in this window.
    pub(crate) fn add(&self, now: Duration, key: K, points: u32) -> u32 {
        let mut all = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Duration| now.saturating_sub(since) >= self.window;
        if all.len() >= KEYS && !all.contains_key(&key) {
            all.retain(|_, (since, _)| !is_over(*since));
            if all.len() >= KEYS {
                all.clear();
            }
        }
        let (since, sum) = all.entry(key).or_insert((now, 0));
        if is_over(*since) {
            (*since, *sum) = (now, 0);
        }
        *sum = sum.saturating_add(points);
        *sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn points_add_up_within_a_window_and_keys_are_bounded() {
        let tally = Tally::new(Duration::from_secs(60));
        let at = Duration::from_secs;
        assert_eq!(tally.add(at(0), 1, 5), 5);
        assert_eq!(tally.add(at(59), 1, 5), 10);
        assert_eq!(tally.add(at(59), 2, 1), 1);
        assert_eq!(tally.add(at(60), 1, 5), 5);
        assert_eq!(tally.add(at(60), 1, u32::MAX), u32::MAX);
        for key in 0..200_000 {
            tally.add(at(61), key, 1);
        }
        assert!(tally.points.lock().unwrap().len() <= KEYS);
    }
}
