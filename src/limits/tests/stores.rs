//! One suite for both stores, and what happens when Redis is lost.

use super::redis_server::RedisServer;
use crate::clock::Clock;
use crate::limits::charge::{Admission, Charge, Decision, EpochKey, Key, Quota, Source, Subject, Tier};
use crate::limits::cost::RateClass;
use crate::limits::memory::MemoryStore;
use crate::limits::redis::{RedisOptions, RedisStore};
use crate::limits::store::{Resilient, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const LOGIN: Tier = Tier::Class(RateClass::Login);

fn charge(tier: Tier, who: u128, amount: u32, quota: Quota) -> Charge {
    Charge { key: Key::user(tier, Uuid::from_u128(who)), amount, quota, tier, subject: Subject::User }
}

fn memory() -> MemoryStore {
    MemoryStore::new(Clock::system(), 10_000)
}

fn options(prefix: &str) -> RedisOptions {
    // Generous where the machine is busy; the tests of lost servers set their own.
    RedisOptions {
        prefix: prefix.to_owned(),
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
    }
}

fn shared_with(url: &str, options: &RedisOptions, replicas: u32) -> Store {
    let redis = RedisStore::new(url, options).unwrap();
    Store::Redis(Arc::new(Resilient::new(redis, memory(), replicas, Clock::system())))
}

fn shared(url: &str, prefix: &str) -> Store {
    shared_with(url, &options(prefix), 1)
}

/// A server, or the address of one that is there; nothing where there is neither.
fn server() -> Option<(Option<RedisServer>, String)> {
    if let Ok(url) = std::env::var("TEST_REDIS_URL") {
        return Some((None, url));
    }
    let server = RedisServer::start()?;
    let url = server.url();
    Some((Some(server), url))
}

fn prefix() -> String {
    format!("pctest-{}", hex::encode(crate::crypto::random::bytes::<8>()))
}

/// Both stores, by two ways in: two processes that share one store.
async fn on_both<F: AsyncFn(Store, Store)>(case: F) {
    let store = Store::Memory(Arc::new(memory()));
    case(store.clone(), store).await;
    if let Some((_server, url)) = server() {
        let prefix = prefix();
        case(shared(&url, &prefix), shared(&url, &prefix)).await;
    }
}

fn retry(admission: &Admission) -> (usize, u64) {
    match admission.decision {
        Decision::Refused { index, retry_after_ms } => (index, retry_after_ms),
        Decision::Admitted => panic!("admitted"),
    }
}

/// ASVS: 6.3.1, 2.4.1
#[tokio::test]
async fn exactly_the_limit_and_all_or_none() {
    on_both(async |one, two| {
        let wide = charge(Tier::Address, 1, 1, Quota::per_seconds(10, 600));
        let narrow = charge(LOGIN, 1, 1, Quota::per_seconds(3, 600));
        for left in (0..3).rev() {
            let answer = if left % 2 == 0 { &one } else { &two }.admit(&[wide, narrow], &[]).await;
            assert!(answer.is_admitted());
            assert_eq!((answer.standings[0].remaining, answer.standings[1].remaining), (left + 7, left));
            assert!((600_000..=630_000).contains(&answer.standings[1].reset_ms));
        }
        let refused = one.admit(&[wide, narrow], &[]).await;
        let (index, wait) = retry(&refused);
        assert_eq!(index, 1);
        assert!((590_000..=630_000).contains(&wait), "{wait}");
        assert_eq!(refused.standings[0].remaining, 7);
        let answer = two.admit(&[Charge { amount: 7, ..wide }], &[]).await;
        assert_eq!((answer.is_admitted(), answer.standings[0].remaining), (true, 0));
        assert_eq!(retry(&two.admit(&[wide], &[]).await).0, 0);
        let never = charge(Tier::Cost, 9, u32::MAX, Quota::per_seconds(10, 60));
        assert!(!one.admit(&[never], &[]).await.is_admitted());
        assert!(one.admit(&[Charge { amount: 10, ..never }], &[]).await.is_admitted());
    })
    .await;
}

#[tokio::test]
async fn refunds_come_back() {
    on_both(async |one, _| {
        let cost = charge(Tier::Cost, 1, 100, Quota::per_seconds(100, 600));
        let taken = one.admit(&[cost], &[]).await;
        one.refund(&cost, 40, &taken);
        let again = one.admit(&[Charge { amount: 30, ..cost }], &[]).await;
        assert_eq!((again.is_admitted(), again.standings[0].remaining), (true, 10));
        // What does not count any more is not given back.
        one.refund(&cost, 100, &Admission { at_ms: taken.at_ms + 700_000, ..taken.clone() });
        assert!(!one.admit(&[Charge { amount: 11, ..cost }], &[]).await.is_admitted());
        assert!(one.admit(&[Charge { amount: 10, ..cost }], &[]).await.is_admitted());
    })
    .await;
}

/// ASVS: 7.4.1, 7.4.2
#[tokio::test]
async fn epochs_change_everywhere_at_once() {
    on_both(async |one, two| {
        let (session, user) = (EpochKey::session(Uuid::from_u128(1)), EpochKey::user(Uuid::from_u128(1)));
        let before = one.admit(&[], &[session, user]).await.epochs;
        assert_eq!(two.admit(&[], &[session, user]).await.epochs, before);
        let bumped = two.bump_epoch(session).await;
        assert_eq!(one.admit(&[], &[session, user]).await.epochs, [bumped, before[1]]);
        assert_ne!(bumped, before[0]);
        assert_ne!(one.bump_epoch(session).await, bumped);
    })
    .await;
}

/// ASVS: 2.4.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_of_two_processes_get_exactly_the_limit() {
    on_both(async |one, two| {
        let quota = Quota::per_seconds(100, 60);
        let clients: Vec<_> = (0..64_u128)
            .map(|client| {
                let store = if client % 2 == 0 { one.clone() } else { two.clone() };
                tokio::spawn(async move {
                    let mut admitted = 0;
                    for _ in 0..5 {
                        let own = charge(Tier::User, 1_000 + client, 1, quota);
                        let shared = charge(Tier::Address, 1, 1, quota);
                        admitted += u32::from(store.admit(&[own, shared], &[]).await.is_admitted());
                    }
                    admitted
                })
            })
            .collect();
        let mut admitted = 0;
        for client in clients {
            admitted += client.await.unwrap();
        }
        assert_eq!(admitted, 100);
        assert!(!one.degraded() && !two.degraded());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_over_the_limit_in_any_window() {
    on_both(async |one, two| {
        let quota = Quota { limit: 10, window_ms: 300 };
        let start = Instant::now();
        let hammers: Vec<_> = [one, two]
            .into_iter()
            .map(|store| {
                tokio::spawn(async move {
                    let mut log = Vec::new();
                    while start.elapsed() < Duration::from_millis(1_200) {
                        let answer = store.admit(&[charge(Tier::Address, 1, 1, quota)], &[]).await;
                        if answer.is_admitted() {
                            log.push(answer.at_ms);
                        }
                        tokio::task::yield_now().await;
                    }
                    log
                })
            })
            .collect();
        let mut log = Vec::new();
        for hammer in hammers {
            log.extend(hammer.await.unwrap());
        }
        log.sort_unstable();
        for (at, time) in log.iter().enumerate() {
            let window = log[..=at].iter().filter(|earlier| *earlier + 300 > *time).count();
            assert!(window <= 10, "{window} in one window");
        }
        assert!(log.len() >= 30, "{} admitted in four windows", log.len());
    })
    .await;
}

#[tokio::test]
async fn one_round_trip_and_none_for_a_known_refusal() {
    let Some((_server, url)) = server() else { return };
    let store = shared(&url, &prefix());
    let one = charge(Tier::Address, 1, 1, Quota::per_seconds(3, 60));
    let cost = charge(Tier::Cost, 1, 5, Quota::per_seconds(100, 60));
    let epoch = EpochKey::session(Uuid::from_u128(1));
    let first = store.admit(&[one, cost], &[epoch]).await;
    let trips = store.round_trips();
    assert!(trips <= 2, "the first may have to teach the script");
    store.refund(&cost, 5, &first);
    let second = store.admit(&[one, cost], &[epoch]).await;
    assert_eq!(second.standings[1].remaining, 95, "the refund came along");
    assert!(store.admit(&[one, cost], &[epoch]).await.is_admitted());
    assert_eq!(store.admit(&[one, cost], &[epoch]).await.source, Source::Redis);
    assert_eq!(store.round_trips(), trips + 3);
    for _ in 0..100 {
        let refused = store.admit(&[one, cost], &[epoch]).await;
        assert_eq!((refused.source, retry(&refused).0), (Source::Remembered, 0));
        assert!(retry(&refused).1 > 50_000);
    }
    assert_eq!(store.round_trips(), trips + 3);
    // Others are asked about as ever.
    assert!(store.admit(&[charge(Tier::Address, 2, 1, one.quota)], &[]).await.is_admitted());
    store.forget_refusals();
    assert_eq!(store.admit(&[one], &[]).await.source, Source::Redis);
}

fn quick(prefix: &str) -> RedisOptions {
    RedisOptions {
        prefix: prefix.to_owned(),
        connect_timeout: Duration::from_millis(200),
        timeout: Duration::from_millis(100),
    }
}

/// Waits, within bounds, until the store is as told.
async fn until_degraded(store: &Store, degraded: bool) {
    let start = Instant::now();
    while store.degraded() != degraded {
        assert!(start.elapsed() < Duration::from_secs(10), "degraded stays {}", !degraded);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// ASVS: 15.1.3, 16.5.2, 2.4.1
#[tokio::test]
async fn redis_killed_and_restarted_empty() {
    let Some(mut server) = RedisServer::start() else { return };
    let store = shared_with(&server.url(), &quick("pc"), 2);
    let quota = Quota::per_seconds(10, 600);
    let epoch = EpochKey::session(Uuid::from_u128(1));
    let one = charge(LOGIN, 1, 1, quota);
    let before = store.admit(&[one], &[epoch]).await;
    assert_eq!(before.source, Source::Redis);
    for _ in 0..3 {
        assert!(store.admit(&[one], &[]).await.is_admitted());
    }
    server.kill();
    let start = Instant::now();
    let away = store.admit(&[one], &[epoch]).await;
    assert!(start.elapsed() < Duration::from_secs(1), "falls back within a second");
    assert_eq!((away.source, away.is_admitted(), store.degraded()), (Source::Memory, true, true));
    assert_eq!(away.standings[0].remaining, 0, "half the limit each, less what went through here");
    assert!(!store.admit(&[one], &[]).await.is_admitted(), "accounts stay protected");
    assert_ne!(away.epochs, before.epochs, "nothing cached is fresh while away");
    let trips = store.round_trips();
    let start = Instant::now();
    for who in 0..1_000 {
        let answer = store.admit(&[charge(LOGIN, 100 + who, 1, quota)], &[epoch]).await;
        assert!(answer.is_admitted());
    }
    assert!(start.elapsed() < Duration::from_secs(2), "no time-out a request");
    assert!(store.round_trips() - trips < 30, "probes, not requests");
    let bumped = store.bump_epoch(epoch).await;
    assert!(!away.epochs.contains(&bumped));
    assert!(server.run());
    until_degraded(&store, false).await;
    assert_eq!(store.outages(), 1);
    let back = store.admit(&[charge(LOGIN, 2, 1, quota)], &[epoch]).await;
    assert_eq!(back.source, Source::Redis);
    assert_ne!(back.epochs, before.epochs);
    let other = EpochKey::session(Uuid::from_u128(2));
    let theirs = store.admit(&[], &[epoch, other]).await.epochs;
    assert_ne!(theirs[0], theirs[1], "the bump that waited was applied");
}

/// ASVS: 15.1.3, 16.5.2
#[tokio::test]
async fn redis_full_read_only_slow_or_refusing() {
    let Some(server) = RedisServer::start() else { return };
    let one = charge(LOGIN, 1, 1, Quota::per_seconds(5, 600));
    let cases: [(&[&str], &[&str]); 3] = [
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        (&["CLIENT", "PAUSE", "500", "ALL"], &["PING"]),
    ];
    for (at, (break_it, mend_it)) in cases.iter().enumerate() {
        let store = shared_with(&server.url(), &quick(&format!("case{at}")), 1);
        assert_eq!(store.admit(&[one], &[]).await.source, Source::Redis);
        server.command(break_it).await;
        let answer = store.admit(&[one], &[]).await;
        assert_eq!(
            (answer.source, answer.is_admitted(), store.degraded()),
            (Source::Memory, true, true),
            "{at}"
        );
        assert_eq!(answer.standings[0].remaining, 3, "what went through Redis counts here too");
        server.command(mend_it).await;
        until_degraded(&store, false).await;
        assert_eq!(store.admit(&[one], &[]).await.source, Source::Redis);
    }
    server.command(&["CONFIG", "SET", "requirepass", "right"]).await;
    let url = server.url().replace("redis://", "redis://:wrong@");
    let store = shared_with(&url, &quick("pc"), 1);
    let answer = store.admit(&[one], &[]).await;
    assert_eq!((answer.source, answer.is_admitted()), (Source::Memory, true));
    let error = RedisStore::new(&url, &quick("pc")).unwrap().admit(&[one], &[]).await.unwrap_err();
    assert!(!error.to_string().contains("wrong"), "{error}");
}

/// ASVS: 13.2.2
#[tokio::test]
async fn the_documented_rights_are_enough() {
    let Some(server) = RedisServer::start() else { return };
    let user = "ACL SETUSER gate on >secret ~{pc}:* +evalsha +eval +time +mget +get +set +ping";
    server.command(&user.split(' ').collect::<Vec<_>>()).await;
    let store = shared(&server.url().replace("redis://", "redis://gate:secret@"), "pc");
    let one = charge(Tier::Address, 1, 1, Quota::per_seconds(5, 60));
    let epoch = EpochKey::user(Uuid::from_u128(1));
    assert_eq!(store.admit(&[one], &[epoch]).await.source, Source::Redis);
    store.bump_epoch(epoch).await;
    assert!(!store.degraded());
}
