//! Randomness: bytes from the operating system's generator, and UUIDv7 made from them.
//!
//! Everything secret or unguessable in this program starts here. If the operating system cannot give
//! random bytes the call panics: going on with predictable ones would be worse.

use entity::time::Timestamp;
use rand::rand_core::UnwrapErr;
use rand::{Rng, rngs::SysRng};
use std::sync::{Mutex, PoisonError};
use uuid::{Builder, Uuid};

/// Bits of a UUIDv7 below the timestamp that are not version or variant (RFC 9562, section 5.7).
const TAIL_BITS: u32 = 74;
/// A clock that steps back by no more than this keeps the order of ids (milliseconds).
const STEP_BACK: u64 = 10_000;

/// Where the last UUIDv7 of this process stood: its millisecond and its 74 low bits.
static LAST: Mutex<(u64, u128)> = Mutex::new((0, 0));

/// `N` bytes from the operating system's CSPRNG.
///
/// ASVS 11.5.1: session tokens, nonces, salts and codes all come from here.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    UnwrapErr(SysRng).fill_bytes(&mut out);
    out
}

/// A new UUIDv7 (RFC 9562, section 5.7) for the time `now`.
///
/// Ids made one after another in this process sort in that order, also within one millisecond: the
/// random part then grows by a random step (RFC 9562, section 6.2, method 2). An id is no secret.
#[must_use]
pub fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let fresh = u128::from_be_bytes(bytes());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = next(*last, millis, fresh);
    let (millis, tail) = *last;
    drop(last);

    // 12 bits stand before the variant and 62 after it; the builder sets version and variant itself.
    let spread = ((tail >> 62) << 64) | (tail & ((1 << 62) - 1));
    let wide = spread.to_be_bytes();
    let mut low = [0; 10];
    low.copy_from_slice(&wide[6..]);
    Builder::from_unix_timestamp_millis(millis, &low).into_uuid()
}

/// The place after `last`, given 128 fresh random bits.
fn next(last: (u64, u128), now: u64, fresh: u128) -> (u64, u128) {
    // A fresh tail leaves its top bit clear: room for 2^41 steps before the millisecond must move.
    let start = fresh >> (128 - TAIL_BITS + 1);
    let (millis, tail) = last;
    if now > millis || millis - now > STEP_BACK {
        return (now, start);
    }
    let stepped = tail + (fresh & 0xffff_ffff) + 1;
    if stepped >> TAIL_BITS == 0 { (millis, stepped) } else { (millis + 1, start) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    const NOW: Timestamp = Timestamp(1_764_000_000_123);

    /// ASVS: 11.5.1
    #[test]
    fn bytes_do_not_repeat() {
        let drawn: HashSet<[u8; 16]> = (0..2_000).map(|_| bytes()).collect();
        assert_eq!(drawn.len(), 2_000);
    }

    #[test]
    fn a_uuid_has_version_variant_and_time() {
        let id = uuid_v7(NOW);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let millis = i64::try_from(seconds).unwrap() * 1000 + i64::from(nanos / 1_000_000);
        assert!((NOW.0..NOW.0 + 20_000).contains(&millis), "{millis}");
    }

    #[test]
    fn ids_of_one_millisecond_sort_in_the_order_of_their_making() {
        let ids: Vec<Uuid> = (0..5_000).map(|_| uuid_v7(NOW)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_small_step_back_of_the_clock_keeps_the_order_and_a_large_one_is_believed() {
        let here = (50_000, 7);
        assert_eq!(next(here, 50_000 - STEP_BACK, 4), (50_000, 12));
        assert_eq!(next(here, 50_000 - STEP_BACK - 1, 0), (39_999, 0));
        assert_eq!(next(here, 50_001, u128::MAX), (50_001, (1 << (TAIL_BITS - 1)) - 1));
    }

    #[test]
    fn a_full_tail_moves_to_the_next_millisecond() {
        let full = (1 << TAIL_BITS) - 1;
        assert_eq!(next((9, full - 1), 9, 0), (9, full));
        assert_eq!(next((9, full), 9, 0), (10, 0));
    }
}
