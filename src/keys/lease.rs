//! A lease: one process at a time does a piece of work, and another can take over when it is gone.

#![expect(clippy::disallowed_methods, reason = "one row for each kind of work")]

use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use entity::lease::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Milliseconds that a lease lasts without being renewed.
pub const LASTS_MS: i64 = 20_000;

/// A held lease. It ends by itself when it is not renewed; [`Lease::release`] ends it at once.
#[derive(Debug)]
pub struct Lease {
    db: Db,
    clock: Clock,
    name: &'static str,
    holder: String,
}

/// Who this process is, for others to read.
#[must_use]
pub fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "unknown host" } else { host };
    format!("process {} on {host} ({})", std::process::id(), hex::encode(crate::crypto::random::bytes::<4>()))
}

impl Lease {
    /// Takes the lease `name`, or tells who has it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn take(
        db: &Db,
        clock: &Clock,
        name: &'static str,
    ) -> Result<std::result::Result<Self, Model>> {
        let holder = holder();
        let now = clock.now();
        let row = ActiveModel {
            name: Set(name.to_owned()),
            holder: Set(holder.clone()),
            expires_at: Set(now.plus_millis(LASTS_MS)),
            done: Set(0),
            total: Set(0),
        };
        let mut taken = OnConflict::column(Column::Name);
        taken
            .update_columns([Column::Holder, Column::ExpiresAt, Column::Done, Column::Total])
            .action_and_where(Expr::col((Entity, Column::ExpiresAt)).lte(now));
        let changed = Entity::insert(row).on_conflict(taken).exec_without_returning(db.writer()).await?;
        if changed > 0 {
            return Ok(Ok(Self { db: db.clone(), clock: clock.clone(), name, holder }));
        }
        match find(db, name).await? {
            Some(other) => Ok(Err(other)),
            // Released this moment.
            None => Box::pin(Self::take(db, clock, name)).await,
        }
    }

    /// Holds on to it, noting how far the work has come. `false` when it was lost: then stop.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn renew(&self, done: u64, total: u64) -> Result<bool> {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let renewed = Entity::update_many()
            .set(ActiveModel {
                expires_at: Set(self.clock.now().plus_millis(LASTS_MS)),
                done: Set(number(done)),
                total: Set(number(total)),
                ..Default::default()
            })
            .filter(Column::Name.eq(self.name))
            .filter(Column::Holder.eq(self.holder.as_str()))
            .exec(self.db.writer())
            .await?;
        Ok(renewed.rows_affected == 1)
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release(self) -> Result<()> {
        Entity::delete_many()
            .filter(Column::Name.eq(self.name))
            .filter(Column::Holder.eq(self.holder.as_str()))
            .exec(self.db.writer())
            .await?;
        Ok(())
    }
}

/// The lease `name`, held or run out.
///
/// # Errors
/// When the database cannot.
pub async fn find(db: &Db, name: &str) -> Result<Option<Model>> {
    let found = Entity::find_by_id(name).one(db.reader()).await?;
    Ok(found)
}
