//! The counters in process: at the limit, against an exact log, under threads, when full.

use crate::clock::Clock;
use crate::limits::charge::{Charge, Decision, EpochKey, Key, Quota, Subject, Tier};
use crate::limits::cost::RateClass;
use crate::limits::memory::MemoryStore;
use crate::limits::window::width;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use uuid::Uuid;

fn charge(tier: Tier, who: u32, amount: u32, quota: Quota) -> Charge {
    let key = Key::address(tier, IpAddr::V4(Ipv4Addr::from_bits(who)));
    Charge { key, amount, quota, tier, subject: Subject::Address }
}

const LOGIN: Tier = Tier::Class(RateClass::Login);

/// ASVS: 6.3.1, 2.4.1
#[test]
fn exactly_the_limit_and_then_none_until_it_says() {
    let clock = Clock::test(0);
    let store = MemoryStore::new(clock.clone(), 1_000);
    let one = [charge(LOGIN, 1, 1, Quota::per_seconds(5, 300))];
    for left in (0..5).rev() {
        let answer = store.admit(&one, &[]);
        assert_eq!((answer.is_admitted(), answer.standings[0].remaining), (true, left));
    }
    let Decision::Refused { index: 0, retry_after_ms } = store.admit(&one, &[]).decision else { panic!() };
    assert!((300_000..=315_000).contains(&retry_after_ms), "{retry_after_ms}");
    clock.advance(Duration::from_millis(retry_after_ms - 1));
    assert!(!store.admit(&one, &[]).is_admitted());
    clock.advance(Duration::from_millis(1));
    assert!(store.admit(&one, &[]).is_admitted());
}

#[test]
fn all_are_taken_or_none() {
    let store = MemoryStore::new(Clock::test(0), 1_000);
    let wide = charge(Tier::Address, 1, 1, Quota::per_seconds(10, 60));
    let narrow = charge(LOGIN, 1, 1, Quota::per_seconds(2, 60));
    assert!(store.admit(&[wide, narrow], &[]).is_admitted());
    assert!(store.admit(&[wide, narrow], &[]).is_admitted());
    for _ in 0..20 {
        let answer = store.admit(&[wide, narrow], &[]);
        assert!(matches!(answer.decision, Decision::Refused { index: 1, .. }));
        assert_eq!(answer.standings[0].remaining, 8);
    }
    // The same counter twice in one admission counts twice.
    assert!(!store.admit(&[Charge { amount: 5, ..wide }, Charge { amount: 4, ..wide }], &[]).is_admitted());
    assert!(store.admit(&[Charge { amount: 4, ..wide }, Charge { amount: 4, ..wide }], &[]).is_admitted());
    assert!(!store.admit(&[wide], &[]).is_admitted());
    // An amount there never is of is refused, and does not overflow.
    assert!(!store.admit(&[charge(Tier::Cost, 9, u32::MAX, Quota::per_seconds(10, 60))], &[]).is_admitted());
    assert!(store.admit(&[charge(Tier::Cost, 9, 10, Quota::per_seconds(10, 60))], &[]).is_admitted());
}

#[test]
fn refunds_go_back_to_where_they_were_taken() {
    let clock = Clock::test(0);
    let store = MemoryStore::new(clock.clone(), 1_000);
    let cost = charge(Tier::Cost, 1, 100, Quota::per_seconds(100, 60));
    let first = store.admit(&[cost], &[]);
    store.refund(&cost, 40, first.at_ms);
    assert_eq!(store.admit(&[Charge { amount: 40, ..cost }], &[]).standings[0].remaining, 0);
    clock.advance(Duration::from_secs(30));
    store.refund(&cost, 10, first.at_ms);
    assert_eq!(store.admit(&[Charge { amount: 10, ..cost }], &[]).standings[0].remaining, 0);
    // Long gone: nothing to give back.
    clock.advance(Duration::from_secs(40));
    store.refund(&cost, 100, first.at_ms);
    assert!(!store.admit(&[Charge { amount: 91, ..cost }], &[]).is_admitted());
    assert!(store.admit(&[Charge { amount: 90, ..cost }], &[]).is_admitted());
}

/// ASVS: 7.4.1
#[test]
fn an_epoch_changes_and_never_comes_back() {
    let store = MemoryStore::new(Clock::test(0), 10);
    let (session, user) = (EpochKey::session(Uuid::from_u128(1)), EpochKey::user(Uuid::from_u128(1)));
    let before = store.admit(&[], &[session, user]).epochs;
    assert_eq!(store.admit(&[], &[session, user]).epochs, before);
    let bumped = store.bump_epoch(session);
    assert_eq!(store.admit(&[], &[session, user]).epochs, [bumped, before[1]]);
    let mut seen = std::collections::HashSet::from([before[0], bumped]);
    for other in 0..200_000 {
        assert!(seen.insert(store.bump_epoch(EpochKey::user(Uuid::from_u128(other + 10)))));
    }
    let after = store.admit(&[], &[session, user]).epochs;
    assert!(
        !before.contains(&after[0]) && after[0] != bumped && after[1] != before[1],
        "forgetting makes stale"
    );
}

/// ASVS: 15.1.3, 6.3.1
#[test]
fn a_flood_of_keys_neither_grows_it_nor_wipes_counters() {
    let clock = Clock::test(0);
    let store = MemoryStore::new(clock.clone(), 640);
    let quota = Quota::per_seconds(5, 60);
    let victim = charge(LOGIN, u32::MAX, 5, quota);
    assert!(store.admit(&[victim], &[]).is_admitted());
    let admitted = (0..20_000)
        .filter(|who| store.admit(&[charge(Tier::User, *who, 1, quota)], &[]).is_admitted())
        .count();
    assert_eq!(admitted, 20_000, "content is served uncounted");
    assert!(store.len() <= 640);
    assert!(
        !store.admit(&[Charge { amount: 1, ..victim }], &[]).is_admitted(),
        "the victim's counter stands"
    );
    let strict =
        (0..2_000).filter(|who| store.admit(&[charge(LOGIN, *who, 1, quota)], &[]).is_admitted()).count();
    assert_eq!(strict, 0, "accounts stay protected");
    // Once they have run out there is room again.
    clock.advance(Duration::from_secs(64));
    let strict =
        (0..300).filter(|who| store.admit(&[charge(LOGIN, *who, 1, quota)], &[]).is_admitted()).count();
    assert!(strict >= 290, "{strict}");
    for who in 0..20_000 {
        let _ = store.admit(&[charge(Tier::Address, who, 0, quota)], &[]);
    }
    clock.advance(Duration::from_secs(64));
    for who in 0..400 {
        let _ = store.admit(&[charge(Tier::Address, who, 1, quota)], &[]);
    }
    assert!(store.len() <= 400 + 64 * 2, "{}", store.len());
}

#[test]
fn sixty_four_threads_get_exactly_the_limit() {
    let store = MemoryStore::new(Clock::test(0), 10_000);
    let admitted = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..64_u32 {
            let (store, admitted) = (&store, &admitted);
            scope.spawn(move || {
                for round in 0..20 {
                    // Counters of its own before and behind the shared one, in either order.
                    let own = charge(Tier::User, thread * 100 + round, 1, Quota::per_seconds(1, 60));
                    let shared = charge(Tier::Address, 7, 1, Quota::per_seconds(100, 60));
                    let both = if round % 2 == 0 { [own, shared] } else { [shared, own] };
                    if store.admit(&both, &[]).is_admitted() {
                        admitted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
}

proptest! {
    /// Never over the limit in any window; under it by no more than one part of a window.
    #[test]
    fn against_an_exact_log(
        limit in 1_u32..30,
        window in prop_oneof![Just(1_000_u64), Just(997), Just(19), Just(60_000)],
        start in 0_u64..5_000,
        steps in prop::collection::vec((0_u64..250, 1_u32..8, any::<bool>()), 1..200),
    ) {
        let clock = Clock::test(0);
        clock.advance(Duration::from_millis(start));
        let store = MemoryStore::new(clock.clone(), 1_000);
        let quota = Quota { limit, window_ms: window };
        let mut log: Vec<(u64, u32)> = Vec::new();
        let mut now = start;
        for (wait, amount, follow) in steps {
            let wait = wait * window / 1_000;
            clock.advance(Duration::from_millis(wait));
            now += wait;
            let sum = |log: &[(u64, u32)], span: u64| -> u32 {
                log.iter().filter(|(at, _)| at + span > now).map(|(_, amount)| amount).sum()
            };
            let one = [charge(Tier::Address, 1, amount, quota)];
            match store.admit(&one, &[]).decision {
                Decision::Admitted => {
                    prop_assert!(sum(&log, window) + amount <= limit, "over the limit");
                    log.push((now, amount));
                }
                Decision::Refused { retry_after_ms, .. } => {
                    let longest = width(window) * 21;
                    prop_assert!(sum(&log, longest) + amount > limit, "refused too long");
                    prop_assert!(retry_after_ms <= longest);
                    if follow && amount <= limit {
                        clock.advance(Duration::from_millis(retry_after_ms));
                        now += retry_after_ms;
                        prop_assert!(store.admit(&one, &[]).is_admitted(), "Retry-After is true");
                        log.push((now, amount));
                    }
                }
            }
        }
    }
}
