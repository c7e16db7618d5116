//! Rotation while the server runs: every sealed row comes under the current key.
//!
//! Everything that tells how far it has come is in the database: each row's header names its key, and
//! `index_states` where the unique indexes stand. So it may be killed anywhere and started again.

use super::columns::{SealedColumn, rotating_tables, unique_indexes};
use super::lease::Lease;
use super::{index, rows};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use entity::audit_event::Status;
use entity::index_state::Model as State;
use std::time::Duration;
use uuid::Uuid;

/// The lease that a rotation holds.
pub const LEASE: &str = "key-rotation";

/// Passes over one table before giving up: each finds only what was written under an old key meanwhile.
const MOST_PASSES: u32 = 50;

/// Why a rotation did not finish. What it did so far stays done; start it again.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Another process rotates.
    #[error(
        "{holder} is rotating (row {done} of {total}); its lease runs out in {seconds} s unless it is renewed"
    )]
    Held {
        /// Who.
        holder: String,
        /// Rows it has done.
        done: i64,
        /// Rows it had to do.
        total: i64,
        /// Seconds until another may take over.
        seconds: i64,
    },
    /// The lease ran out under way, and another process has it.
    #[error("the lease was lost: another process took over")]
    Lost,
    /// Rows that do not open.
    #[error(
        "{count} row(s) do not open and stay as they are, the first: {first}; an alert is in the audit trail. Restore them from a backup, or with the key that they were sealed under"
    )]
    Broken {
        /// How many.
        count: u64,
        /// `table.column of ID`.
        first: String,
    },
    /// Some process goes on writing under an old key.
    #[error(
        "rows under an old key keep appearing in {0}: a process still runs with the old keyring; bring it up to date and rotate again"
    )]
    Moving(String),
    /// The database failed.
    #[error("the rotation stopped: {0:?}; start it again")]
    Failed(#[from] Error),
}

/// How far a rotation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it works on.
    pub what: &'static str,
    /// Rows done.
    pub done: u64,
    /// Rows there were to do at the start; more may have come.
    pub total: u64,
}

/// What a finished rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Rows sealed again.
    pub resealed: u64,
    /// Indexes exchanged.
    pub switched: u64,
}

/// Takes the rotation's lease, or says who has it.
///
/// # Errors
/// [`RotateError::Held`].
pub async fn lease(app: &App) -> Result<Lease, RotateError> {
    match Lease::take(&app.db, &app.clock, LEASE).await? {
        Ok(lease) => Ok(lease),
        Err(other) => Err(RotateError::Held {
            seconds: (other.expires_at.0 - app.clock.now().0).max(0).div_euclid(1000) + 1,
            holder: other.holder,
            done: other.done,
            total: other.total,
        }),
    }
}

/// Brings every row under the current key, under a lease taken before.
///
/// # Errors
/// Why it did not finish; whatever was done stays done.
pub async fn run(
    app: &App,
    origin: &Origin,
    lease: &Lease,
    report: impl FnMut(Progress),
) -> Result<Done, RotateError> {
    let current = app.keyring.current();
    let mut work = Work { app, lease, report, total: 0, done: Done::default(), pace: Pace::new(app) };
    for (table, columns) in rotating_tables() {
        work.total += rows::count(app.db.reader(), table, rows::stale(&columns, current)).await?;
    }
    let note = |done: Done| {
        let details =
            serde_json::json!({ "key": current, "resealed": done.resealed, "switched": done.switched });
        Event::success(Kind::KeyChange, "keys rotate").on("key", current).details(details)
    };
    let mut broken = Vec::new();
    for (table, columns) in rotating_tables() {
        broken.extend(work.reseal(table, &columns).await?);
    }
    if let Some((column, row)) = broken.first() {
        let events = broken.iter().map(|(column, row)| {
            Event::success(Kind::SealBroken, column.clone()).status(Status::Alert).on("row", row.as_simple())
        });
        let first = format!("{column} of {}", row.as_simple());
        let count = broken.len() as u64;
        app.audit.record(origin, events.take(100).collect()).await?;
        return Err(RotateError::Broken { count, first });
    }
    for column in unique_indexes() {
        work.move_index(column, current).await?;
    }
    let done = work.done;
    app.audit.record(origin, vec![note(done)]).await?;
    Ok(done)
}

struct Work<'a, R> {
    app: &'a App,
    lease: &'a Lease,
    report: R,
    total: u64,
    done: Done,
    pace: Pace,
}

impl<R: FnMut(Progress)> Work<'_, R> {
    /// Passes over a table until one finds nothing to do. The rows that do not open.
    async fn reseal(
        &mut self,
        table: &'static str,
        columns: &[SealedColumn],
    ) -> Result<Vec<(String, Uuid)>, RotateError> {
        let limit = self.app.config.rotation_batch.max(1);
        for _ in 0..MOST_PASSES {
            let mut after = None;
            let mut broken = Vec::new();
            let mut seen = 0;
            loop {
                let batch = rows::reseal_batch(self.app, table, columns, after, limit).await?;
                seen += batch.seen;
                broken.extend(batch.broken);
                self.done.resealed += batch.changed;
                metrics::counter!("portcullis_key_rotation_resealed_total", "table" => table)
                    .increment(batch.changed);
                self.step(table, batch.seen).await?;
                match batch.last {
                    Some(last) if batch.seen == limit => after = Some(last),
                    _ => break,
                }
            }
            if seen == broken.len() as u64 {
                return Ok(broken);
            }
        }
        Err(RotateError::Moving(table.to_owned()))
    }

    /// Takes a unique index through its states, from wherever it stands.
    async fn move_index(&mut self, column: SealedColumn, current: u32) -> Result<(), RotateError> {
        let Some((name, next)) =
            column.index.and_then(|index| index.rotates.map(|(next, _)| (index.column, next)))
        else {
            return Ok(());
        };
        let (db, target) = (&self.app.db, i64::from(current));
        let table = column.column.table;
        let columns: Vec<_> = rotating_tables()
            .into_iter()
            .filter(|(t, _)| *t == table)
            .flat_map(|(_, columns)| columns)
            .collect();
        for _ in 0..MOST_PASSES {
            let Some(state) = index::state(db.writer(), column).await.map_err(Error::from)? else {
                return Ok(());
            };
            if state.switching {
                self.switch(table, (name, next)).await?;
                index::advance(db, &state, State { switching: false, ..state.clone() }).await?;
            } else if state.index_key == target {
                return Ok(());
            } else if state.next_key == target {
                // Nobody writes under an older key from here on; what was written is brought up first.
                if !self.reseal(table, &columns).await?.is_empty() {
                    return Err(RotateError::Moving(column.name()));
                }
                index::advance(db, &state, State { index_key: target, switching: true, ..state.clone() })
                    .await?;
            } else {
                index::advance(db, &state, State { next_key: target, ..state.clone() }).await?;
            }
        }
        Err(RotateError::Moving(column.name()))
    }

    async fn switch(
        &mut self,
        table: &'static str,
        columns: (&'static str, &'static str),
    ) -> Result<(), RotateError> {
        let limit = self.app.config.rotation_batch.max(1);
        for _ in 0..MOST_PASSES {
            let mut after = None;
            while let Some((last, changed)) =
                rows::switch_batch(self.app, table, columns, after, limit).await?
            {
                after = Some(last);
                self.done.switched += changed;
                self.step(table, 0).await?;
            }
            if after.is_none() {
                return Ok(());
            }
        }
        Err(RotateError::Moving(table.to_owned()))
    }

    /// After a batch: reports, holds on to the lease, keeps the pace.
    async fn step(&mut self, what: &'static str, rows: u64) -> Result<(), RotateError> {
        let (done, total) = (self.done.resealed, self.total.max(self.done.resealed));
        (self.report)(Progress { what, done, total });
        if !self.lease.renew(done, total).await? {
            return Err(RotateError::Lost);
        }
        self.pace.keep(self.app, rows).await;
        Ok(())
    }
}

/// Holds the rate of rows at the configured one.
struct Pace {
    began: Duration,
    rows: u64,
}

impl Pace {
    fn new(app: &App) -> Self {
        Self { began: app.clock.monotonic(), rows: 0 }
    }

    async fn keep(&mut self, app: &App, rows: u64) {
        self.rows += rows;
        let rate = app.config.rotation_rows_per_second;
        if rate == 0 {
            return tokio::task::yield_now().await;
        }
        let due = self.began + Duration::from_millis(self.rows.saturating_mul(1000) / rate);
        // The lease must not run out meanwhile.
        let pause = due.saturating_sub(app.clock.monotonic()).min(Duration::from_secs(5));
        tokio::time::sleep(pause).await;
    }
}
