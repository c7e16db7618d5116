//! Retention: what has run out goes, in the background, a small batch at a time.
//!
//! Rows that end at a time of their own are removed here; old audit events, which are archived before they
//! go, by [`crate::audit::archive`].

use crate::app::App;
use crate::audit::{Origin, archive};
use crate::error::Result;
use crate::keys::lease::Lease;
use entity::time::Timestamp;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order, Query};
use std::time::Duration;
use uuid::Uuid;

/// The lease that the worker holds: one replica does it.
pub const LEASE: &str = "retention";
/// Rows in one transaction at most.
const BATCH: u64 = 500;
/// Batches of one kind in one round at most; the next round goes on.
const ROUND: u32 = 200;
/// Audit chains in one round at most; a chain takes events for a day.
const CHAINS: usize = 1000;

/// LIST: tables whose rows end at a time in a column, and go a while after it.
const EXPIRING: &[(&str, &str)] = &[("sessions", "expires_at"), ("outbox", "failed_at")];

/// What one round removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Rows that had run out.
    pub expired: u64,
    /// Audit rows, all of them in the archive.
    pub audit: u64,
}

/// Runs a round now and then until `stop` resolves.
pub async fn worker(app: App, stop: impl Future<Output = ()>) {
    let every = Duration::from_secs(app.config.retention_interval_minutes.saturating_mul(60));
    if every.is_zero() {
        return;
    }
    let mut every = tokio::time::interval(every);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = every.tick() => {}
        }
        let done = tokio::select! {
            () = &mut stop => return,
            done = round(&app) => done,
        };
        match done {
            Ok(Some(removed)) if removed != Removed::default() => {
                tracing::info!(expired = removed.expired, audit = removed.audit, "retention removed rows");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(?error, "retention stopped; it goes on next time"),
        }
    }
}

/// One round, unless another process is at it: then `None`.
///
/// # Errors
/// When the database or the archive cannot; what was removed before stays so.
pub async fn round(app: &App) -> Result<Option<Removed>> {
    let Ok(lease) = Lease::take(&app.db, &app.clock, LEASE).await? else { return Ok(None) };
    let outcome = under_lease(app, &lease).await;
    lease.release().await?;
    outcome.map(Some)
}

async fn under_lease(app: &App, lease: &Lease) -> Result<Removed> {
    let mut removed = Removed::default();
    let before = days_ago(app, app.config.retention_expired_days);
    for (table, column) in EXPIRING {
        for _ in 0..ROUND {
            let rows = remove_batch(app, table, column, before).await?;
            removed.expired += rows;
            if rows < BATCH || !lease.renew(0, 0).await? {
                break;
            }
        }
    }
    if app.config.retention_audit_days > 0 {
        let before = days_ago(app, app.config.retention_audit_days);
        let origin = Origin { user_agent: Some("retention".to_owned()), ..Origin::default() };
        if let Some(mut round) = archive::Round::begin(app, before).await? {
            for _ in 0..CHAINS {
                if !round.chain(app).await? || !lease.renew(round.removed, round.removed).await? {
                    break;
                }
            }
            removed.audit = round.end(app, &origin).await?;
        }
    }
    metrics::counter!("portcullis_retention_removed_total", "kind" => "expired").increment(removed.expired);
    metrics::counter!("portcullis_retention_removed_total", "kind" => "audit").increment(removed.audit);
    Ok(removed)
}

/// The time that many days ago.
fn days_ago(app: &App, days: u64) -> Timestamp {
    let days = i64::try_from(days).unwrap_or(i64::MAX);
    Timestamp(app.clock.now().0.saturating_sub(days.saturating_mul(86_400_000)))
}

/// Removes up to a batch of the rows of `table` whose `column` is before `before`.
async fn remove_batch(
    app: &App,
    table: &'static str,
    column: &'static str,
    before: Timestamp,
) -> Result<u64> {
    let old = || Expr::col(Alias::new(column)).lt(before.0);
    let query = Query::select()
        .column("id")
        .from(table)
        .and_where(old())
        .order_by(column, Order::Asc)
        .limit(BATCH)
        .to_owned();
    let rows = app.db.reader().query_all(&query).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    let statement = Query::delete()
        .from_table(table)
        .and_where(Expr::col(Alias::new("id")).is_in(ids))
        .and_where(old())
        .to_owned();
    Ok(app.db.writer().execute(&statement).await?.rows_affected())
}
