//! The one place that reads the time.
//!
//! [`Clock`] gives wall-clock time for what is stored or signed, and monotonic time for what is
//! measured. A test clock stands still until it is advanced, so tests need no sleeps.

#![expect(clippy::disallowed_methods, reason = "here is where the time is read")]

use entity::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Cheap to clone; clones of a test clock share its hands.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    /// Set for a test clock: milliseconds since the Unix epoch.
    hands: Option<Arc<AtomicI64>>,
    /// Where a test clock started.
    origin: i64,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self { start: Instant::now(), hands: None, origin: 0 }
    }

    /// A clock that stands at `millis` since the Unix epoch until [`Clock::advance`] is called.
    #[must_use]
    pub fn test(millis: i64) -> Self {
        Self { start: Instant::now(), hands: Some(Arc::new(AtomicI64::new(millis))), origin: millis }
    }

    /// Wall-clock time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.hands {
            Some(hands) => Timestamp(hands.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Time since this clock was made; never goes backwards. For durations, not for storing.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.hands {
            Some(hands) => {
                let passed = hands.load(Ordering::SeqCst).saturating_sub(self.origin);
                Duration::from_millis(u64::try_from(passed).unwrap_or(0))
            }
            None => self.start.elapsed(),
        }
    }

    /// Moves a test clock forward; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.hands {
            hands.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_when_told() {
        let clock = Clock::test(1_000);
        let other = clock.clone();
        assert_eq!(clock.now(), Timestamp(1_000));
        other.advance(Duration::from_millis(250));
        assert_eq!(clock.now(), Timestamp(1_250));
        assert_eq!(clock.monotonic(), Duration::from_millis(250));
    }
}
