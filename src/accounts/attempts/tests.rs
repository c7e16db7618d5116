//! Back-off at its limits.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::accounts::tests_kit::app;
use futures_util::future::join_all;
use std::time::Duration;
use uuid::Uuid;

const USER: UserId = UserId(Uuid::from_u128(7));

/// ASVS: 6.3.1
#[tokio::test]
async fn the_wait_doubles_from_the_tenth_failure_on() {
    let (app, _folder) = app().await;
    let subject = Subject::account(USER);
    for failures in 1..=FREE {
        assert_eq!(admit(&app, &subject).await.unwrap(), Admission::Granted(failures));
    }
    for (failures, seconds) in [(11, 1), (12, 2), (13, 4), (14, 8)] {
        app.clock.advance(Duration::from_millis(seconds * 1000 - 1));
        assert_eq!(admit(&app, &subject).await.unwrap(), Admission::HeldBack, "{failures}");
        app.clock.advance(Duration::from_millis(1));
        assert_eq!(admit(&app, &subject).await.unwrap(), Admission::Granted(failures));
    }
    clear(app.db.writer(), &subject).await.unwrap();
    assert_eq!(admit(&app, &subject).await.unwrap(), Admission::Granted(1));
}

/// ASVS: 6.3.1
#[tokio::test]
async fn a_hundred_failures_end_it_until_it_is_cleared() {
    let (app, _folder) = app().await;
    let subject = Subject::account(USER);
    for failures in 1..=MAX {
        assert_eq!(admit(&app, &subject).await.unwrap(), Admission::Granted(failures));
        app.clock.advance(Duration::from_secs(900));
    }
    app.clock.advance(Duration::from_secs(365 * 86_400));
    assert_eq!(admit(&app, &subject).await.unwrap(), Admission::HeldBack);
    assert_eq!(standing(&app, app.db.reader(), USER).await.unwrap(), (MAX, Some(NEVER)));
    clear_all(app.db.writer(), USER).await.unwrap();
    assert_eq!(admit(&app, &subject).await.unwrap(), Admission::Granted(1));
}

/// ASVS: 2.3.4, 6.3.1, 15.4.2
#[tokio::test]
async fn tries_at_once_do_not_slip_through_together() {
    let (app, _folder) = app().await;
    let subject = Subject::identifier(&app, "nobody@example.org");
    let granted = join_all((0..60).map(|_| admit(&app, &subject))).await;
    let granted = granted.into_iter().filter(|one| matches!(one, Ok(Admission::Granted(_)))).count();
    assert_eq!(granted, usize::try_from(FREE).unwrap());
}

/// ASVS: 6.3.1
#[tokio::test]
async fn a_known_device_keeps_its_own_tries() {
    let (app, _folder) = app().await;
    let (account, device) = (Subject::account(USER), Subject::device(USER, &[1; 16]));
    for _ in 0..20 {
        admit(&app, &account).await.unwrap();
    }
    assert_eq!(admit(&app, &account).await.unwrap(), Admission::HeldBack);
    assert_eq!(admit(&app, &device).await.unwrap(), Admission::Granted(1));
    assert_eq!(admit(&app, &Subject::code(USER)).await.unwrap(), Admission::Granted(1));
}

#[tokio::test]
async fn old_counts_of_nobody_are_forgotten_and_those_of_accounts_are_not() {
    let (app, _folder) = app().await;
    admit(&app, &Subject::identifier(&app, "nobody")).await.unwrap();
    admit(&app, &Subject::account(USER)).await.unwrap();
    app.clock.advance(Duration::from_millis(u64::try_from(FORGET_MS).unwrap()));
    assert_eq!(purge(&app).await.unwrap(), 0);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(purge(&app).await.unwrap(), 1);
    assert_eq!(standing(&app, app.db.reader(), USER).await.unwrap(), (1, None));
}
