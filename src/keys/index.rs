//! Unique blind indexes under a key that changes.
//!
//! A blind index does not say which key made it, and two indexes of one value under two keys are
//! different bytes. So that a value stays unique while keys change, a unique index has two columns,
//! both unique and both always written: one under the column's *index key*, which the database names
//! and every process reads in the very transaction that writes, and one under the writer's current key.
//!
//! With the old key 1 and the new key 2, the database goes through four states:
//!
//! | state | index key, next key | writers must have | and write | older rows |
//! |---|---|---|---|---|
//! | stable | 1, 1 | key 1 in the ring | (1, current) | (1, 1) or (1, 2) |
//! | filling | 1, 2 | key 2 current | (1, 2) | becoming (1, 2) |
//! | switching | 2, 2 | key 2 current | (2, 2) | (1, 2), becoming (2, 2) |
//! | stable | 2, 2 | key 2 in the ring | (2, current) | (2, 2) |
//!
//! In each state any two writers, and any writer and any row, agree on the key of one of the columns,
//! so the database refuses a second one. A process that still holds the old ring is let in only while
//! its rows agree on the first column; after that it is told to come back, and reads its ring again.
//! The state changes under the lock that every writer shares until it commits, so none is overtaken.

#![expect(clippy::disallowed_methods, reason = "one row for each column")]

use super::columns::{SealedColumn, unique_indexes};
use crate::app::App;
use crate::crypto::Keyring;
use crate::db::Db;
use crate::error::{Error, Result};
use entity::index_state::{ActiveModel, Column, Entity, Model};
use entity::sealed::{BlindIndex, SealedField};
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QuerySelect, Set,
};

/// The two indexes to store beside a sealed value.
#[derive(Debug, Clone)]
pub struct Indexes<F> {
    /// For the index column.
    pub index: BlindIndex<F>,
    /// For the column of the next index.
    pub next: BlindIndex<F>,
}

/// The indexes of `normalised` for a row that this transaction writes. One statement, which holds the
/// column's state still until the transaction ends.
///
/// # Errors
/// `OVERLOADED` when this process's keyring is behind or ahead of the database's; it is read again soon.
pub async fn for_writing<F: SealedField>(
    app: &App,
    tx: &DatabaseTransaction,
    normalised: &str,
) -> Result<Indexes<F>> {
    let name = format!("{}.{}", F::TABLE, F::COLUMN);
    let state = locked(tx, &name, LockType::Share).await?;
    let ring = &app.keyring;
    let key = match state {
        Some(state) if admits(&state, ring.current()) => state.index_key,
        // Not yet named: whoever starts first names its own current key.
        None => i64::from(ring.current()),
        Some(_) => return Err(behind(app)),
    };
    let index = u32::try_from(key).ok().and_then(|key| ring.blind_index_with(key, normalised));
    let index = index.ok_or_else(|| behind(app))?;
    Ok(Indexes { index, next: ring.blind_index(normalised) })
}

/// Asks for the ring to be read again, and the client to come back.
fn behind(app: &App) -> Error {
    tracing::warn!(current = app.keyring.current(), "the keyring is not the one that the database is at");
    app.reload_keys.notify_one();
    Error::Overloaded { retry_after: 5 }
}

/// Whether a process whose current key is `current` may write in `state`.
fn admits(state: &Model, current: u32) -> bool {
    let current = i64::from(current);
    let moving = state.switching || state.index_key != state.next_key;
    if moving { current == state.next_key } else { current >= state.index_key }
}

/// The state of a column, locked until the transaction ends. SQLite's writers take turns anyway.
async fn locked(tx: &DatabaseTransaction, name: &str, lock: LockType) -> Result<Option<Model>, DbErr> {
    let mut query = Entity::find_by_id(name);
    if tx.get_database_backend() == DbBackend::Postgres {
        query = query.lock(lock);
    }
    query.one(tx).await
}

/// Names `number` as the column's index key, unless one is named.
///
/// # Errors
/// When the database cannot.
pub(super) async fn ensure(db: &Db, column: SealedColumn, number: i64) -> Result<(), DbErr> {
    let state = ActiveModel {
        name: Set(column.name()),
        index_key: Set(number),
        next_key: Set(number),
        switching: Set(false),
    };
    let nothing = OnConflict::column(Column::Name).do_nothing().to_owned();
    Entity::insert(state).on_conflict(nothing).exec_without_returning(db.writer()).await.map(|_| ())
}

/// The state of a column; `None` before the first start.
///
/// # Errors
/// When the database cannot.
pub async fn state(db: &impl ConnectionTrait, column: SealedColumn) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(column.name()).one(db).await
}

/// Why a process with this ring must not run on this database: `None` when it may.
pub(super) async fn refusal(db: &Db, keyring: &Keyring) -> Result<Option<String>, DbErr> {
    for column in unique_indexes() {
        let Some(state) = state(db.writer(), column).await? else { continue };
        if !u32::try_from(state.index_key).is_ok_and(|key| keyring.numbers().contains(&key)) {
            return Ok(Some(format!(
                "it lacks key {}, which {} is looked up by",
                state.index_key,
                column.name()
            )));
        }
        if !admits(&state, keyring.current()) {
            return Ok(Some(format!(
                "its current key is {}, but a rotation of {} to key {} is under way or done; key numbers only go up, and one rotation is finished (`portcullis keys rotate`) before the next",
                keyring.current(),
                column.name(),
                state.next_key
            )));
        }
    }
    Ok(None)
}

/// Moves a column's state from one step to the next, in a transaction that waits for the writers under
/// way and holds new ones back. `false` when it is not in the state `from` any more.
pub(super) async fn advance(db: &Db, from: &Model, to: Model) -> Result<bool> {
    let tx = db.begin().await?;
    let current = locked(&tx, &from.name, LockType::Update).await?;
    if current.as_ref() != Some(from) {
        return Ok(false);
    }
    Entity::update_many()
        .set(ActiveModel {
            index_key: Set(to.index_key),
            next_key: Set(to.next_key),
            switching: Set(to.switching),
            ..Default::default()
        })
        .filter(Column::Name.eq(from.name.as_str()))
        .exec(&tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
