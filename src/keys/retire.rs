//! Taking a key out of the ring for good, once nothing stored needs it.
//!
//! Audit rows are never rewritten, since their MACs cover the ciphertexts as stored. So the keys that
//! they were sealed and chained under stay in the ring, for opening and verifying only, until retention
//! has archived and removed the rows.

#![expect(clippy::disallowed_methods, reason = "counts and marks by key, shows no row")]

use super::{canary, file, index, status};
use crate::app::{App, StartError};
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use entity::audit_event::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

/// Why a key stays in the ring.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// There is no such key.
    #[error("the keyring has no key {0}")]
    Unknown(u32),
    /// New things are made under it.
    #[error("key {0} is the current key; rotate to another one first")]
    Current(u32),
    /// The ring is not in a file.
    #[error(
        "the keyring comes from PORTCULLIS_MASTER_KEY: nothing uses key {0}, so take it out there; its canary is forgotten"
    )]
    NotInFile(u32),
    /// Something stored needs it.
    #[error("key {number} is in use:{}", .uses.iter().map(|line| format!("\n  - {line}")).collect::<String>())]
    InUse {
        /// Which key.
        number: u32,
        /// What uses it, a line each, with the remedy.
        uses: Vec<String>,
    },
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] StartError),
    /// The database failed.
    #[error("the database failed: {0:?}")]
    Failed(#[from] Error),
}

/// Milliseconds that a process may go on with an old ring after the new one was first seen.
const LAG_MS: i64 = 3_600_000;

/// What of the stored data needs key `number`, a line each.
///
/// # Errors
/// When the database cannot.
pub async fn uses(app: &App, number: u32) -> Result<Vec<String>> {
    let mut uses = Vec::new();
    let mut audit = 0;
    for usage in status::usage(app).await? {
        let rows = usage.rows;
        if usage.rows == 0 {
            continue;
        }
        if usage.what.starts_with("audit_events.") {
            // A row may be chained under a key newer than the one it was sealed under, never an older one.
            if usage.key.is_some_and(|key| key <= number) {
                audit += rows;
            }
        } else if usage.key == Some(number) {
            let remedy = if usage.what == "users.password_hash" {
                "they move at the next sign-in; `--drop-passwords` makes the rest reset theirs"
            } else {
                "run `portcullis keys rotate`"
            };
            uses.push(format!("{}: {rows} row(s); {remedy}", usage.what));
        }
    }
    for column in super::columns::unique_indexes() {
        let state = index::state(app.db.reader(), column).await?;
        if state.is_some_and(|state| state.switching || state.index_key != state.next_key) {
            uses.push(format!("{}: a rotation is not finished; run `portcullis keys rotate`", column.name()));
        }
    }
    audit += unsealed_audit_rows(app, number).await?;
    if audit > 0 {
        uses.push(format!(
            "audit_events: {audit} value(s) sealed or chained under it or an older key; they stay until retention has archived them (`retention_audit_days`)"
        ));
    }
    Ok(uses)
}

/// Audit rows that hold nothing sealed, so that only the time tells which key chained them.
async fn unsealed_audit_rows(app: &App, number: u32) -> Result<u64> {
    let canaries = canary::all(&app.db).await?;
    let until = canaries.iter().find(|canary| canary.number == i64::from(number));
    let Some(until) = until.and_then(|canary| canary.superseded_at) else { return Ok(0) };
    let count = Entity::find()
        .filter(Column::At.lte(until.plus_millis(LAG_MS)))
        .filter(Column::Address.is_null())
        .filter(Column::UserAgent.is_null())
        .filter(Column::Details.is_null())
        .count(app.db.reader())
        .await?;
    Ok(count)
}

/// Takes key `number` out of the ring and its file.
///
/// # Errors
/// What uses it, or why it cannot be taken out.
pub async fn retire(app: &App, origin: &Origin, number: u32) -> Result<(), RetireError> {
    if !app.keyring.numbers().contains(&number) {
        return Err(RetireError::Unknown(number));
    }
    let Some(text) = app.keyring.without_key(number) else { return Err(RetireError::Current(number)) };
    let uses = uses(app, number).await?;
    if !uses.is_empty() {
        return Err(RetireError::InUse { number, uses });
    }
    // First the canary: were the key gone while its canary is there, no server would start.
    let tx = app.audit.begin().await?;
    canary::forget(tx.connection(), number).await.map_err(Error::from)?;
    tx.commit(origin, Event::success(Kind::KeyChange, "keys retire").on("key", number)).await?;
    let Some(path) = file::path(&app.config) else { return Err(RetireError::NotInFile(number)) };
    file::write(&path, &text)?;
    let ring = file::read(&path)?;
    app.keyring.replace(&ring);
    Ok(())
}

/// Makes the passwords whose pepper is under key `number` unusable; their owners reset them by mail. How
/// many there were.
///
/// # Errors
/// When the database cannot.
pub async fn drop_passwords(app: &App, origin: &Origin, number: u32) -> Result<u64> {
    use sea_orm::sea_query::Expr;
    let tx = app.audit.begin().await?;
    let dropped = entity::user::Entity::update_many()
        .col_expr(entity::user::Column::PasswordHash, Expr::value(UNUSABLE))
        .filter(entity::user::Column::PasswordHash.like(status::pepper_pattern(number)))
        .exec(tx.connection())
        .await?
        .rows_affected;
    let details = serde_json::json!({ "passwords": dropped });
    let event = Event::success(Kind::KeyChange, "keys retire").on("key", number).details(details);
    tx.commit(origin, event).await?;
    Ok(dropped)
}

/// Stands where a password hash would; no password matches it.
pub const UNUSABLE: &str = "!";
