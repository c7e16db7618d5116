//! Whether a keyring is the one that this database was written under.
//!
//! For each key that was ever current the database holds a canary: a known value sealed under it. A
//! ring that lacks such a key, or has another key of that number, would leave rows unreadable, or
//! worse, write rows that the others cannot read; so it is refused before anything else happens.

#![expect(clippy::disallowed_methods, reason = "one row for each key")]

use super::{columns, index};
use crate::app::StartError;
use crate::crypto::Keyring;
use crate::db::Db;
use entity::key_canary::{ActiveModel, Column, Entity, Model};
use entity::time::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set};
use secrecy::ExposeSecret;
use uuid::Uuid;

/// What a canary says.
const VALUE: &str = "portcullis key canary";

/// The row id that a canary is sealed for.
fn row(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap_or_default())
}

/// All canaries, by key number.
///
/// # Errors
/// When the database cannot.
pub async fn all(db: &Db) -> Result<Vec<Model>, DbErr> {
    Entity::find().all(db.writer()).await
}

/// Refuses a ring that does not go with the database; notes the current key in it otherwise.
///
/// # Errors
/// [`StartError::OtherKeyring`] with what is wrong and what to do.
pub async fn admit(db: &Db, keyring: &Keyring, now: Timestamp) -> Result<(), StartError> {
    let canaries = all(db).await.map_err(StartError::Database)?;
    let mut problems = Vec::new();
    let mut missing = Vec::new();
    for canary in &canaries {
        let Some(number) = u32::try_from(canary.number).ok().filter(|n| keyring.numbers().contains(n)) else {
            missing.push(canary.number.to_string());
            continue;
        };
        let opened = keyring.open(row(canary.number), &canary.canary);
        if !opened.is_ok_and(|value| value.expose_secret() == VALUE) {
            problems.push(format!(
                "its key {number} is not the key {number} that this database was written under"
            ));
        }
    }
    if !missing.is_empty() {
        let (list, it) = (missing.join(", "), if missing.len() == 1 { "it" } else { "them" });
        problems.push(format!(
            "it lacks key {list}, which this database was written under; put {it} back (`portcullis keys retire` is the way to do without)"
        ));
    }
    if problems.is_empty() {
        problems.extend(index::refusal(db, keyring).await.map_err(StartError::Database)?);
    }
    if !problems.is_empty() {
        return Err(StartError::OtherKeyring(problems.join("; ")));
    }
    note_current(db, keyring, now).await.map_err(StartError::Database)
}

/// Makes the current key's canary, unless it is there, and marks the others as superseded.
async fn note_current(db: &Db, keyring: &Keyring, now: Timestamp) -> Result<(), DbErr> {
    let number = i64::from(keyring.current());
    let canary = ActiveModel {
        number: Set(number),
        canary: Set(keyring.seal(row(number), VALUE)),
        first_used_at: Set(now),
        superseded_at: Set(None),
    };
    let nothing = OnConflict::column(Column::Number).do_nothing().to_owned();
    Entity::insert(canary).on_conflict(nothing).exec_without_returning(db.writer()).await?;
    Entity::update_many()
        .col_expr(Column::SupersededAt, Expr::value(now))
        .filter(Column::Number.lt(number))
        .filter(Column::SupersededAt.is_null())
        .exec(db.writer())
        .await?;
    for column in columns::unique_indexes() {
        index::ensure(db, column, number).await?;
    }
    Ok(())
}

/// Forgets key `number`, which nothing uses any more.
///
/// # Errors
/// When the database cannot.
pub async fn forget(db: &impl sea_orm::ConnectionTrait, number: u32) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Number.eq(i64::from(number))).exec(db).await?;
    Ok(())
}
