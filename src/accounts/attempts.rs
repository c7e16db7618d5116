//! Holding back guesses: after some failures in a row each further try has to wait, twice as long each
//! time; after a hundred none is let through until the password is reset by e-mail (OWASP ASVS 6.1.1,
//! 6.3.1; NIST SP 800-63B-4, section 3.2.2).
//!
//! A try is counted before the secret is looked at, by one statement that says at once whether it may go
//! on: so tries at the same time cannot slip through together. The statement writes the same row for a
//! known account, an unknown identifier and a held-back one: the work tells nothing. A success clears the
//! count. A device that signed in before has a count of its own, so that somebody else's failures do not
//! lock the owner out.

#![allow(clippy::disallowed_methods, reason = "scoped by key or to the user")]

use crate::app::App;
use crate::crypto::{Purpose, random};
use crate::error::{Error, Result};
use entity::attempt::{Column, Entity};
use entity::id::{SessionId, UserId};
use entity::time::Timestamp;
use sea_orm::sea_query::{Condition, Value};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};

/// Failures in a row from which on the next try has to wait: 1 s, 2 s, 4 s … 15 min.
pub const FREE: i32 = 10;
/// Failures in a row after which no try is let through.
pub const MAX: i32 = 100;
/// Shown as the end of a lock that only a reset ends: 9999-12-31T23:59:59Z.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);
/// Milliseconds after which counts of unknown identifiers and sessions are forgotten.
const FORGET_MS: i64 = 24 * 60 * 60 * 1000;

/// Whose secret is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    key: Vec<u8>,
    user: Option<UserId>,
}

impl Subject {
    /// The password of an account, from anywhere.
    #[must_use]
    pub fn account(user: UserId) -> Self {
        Self { key: [b"a", &user.uuid().as_bytes()[..]].concat(), user: Some(user) }
    }

    /// The same, from a device that signed in to it before.
    #[must_use]
    pub fn device(user: UserId, device: &[u8; 16]) -> Self {
        Self { key: [b"d", &user.uuid().as_bytes()[..], device].concat(), user: Some(user) }
    }

    /// The second factor of an account.
    #[must_use]
    pub fn code(user: UserId) -> Self {
        Self { key: [b"c", &user.uuid().as_bytes()[..]].concat(), user: Some(user) }
    }

    /// The password, by somebody who is signed in.
    #[must_use]
    pub fn session(session: SessionId) -> Self {
        Self { key: [b"s", &session.uuid().as_bytes()[..]].concat(), user: None }
    }

    /// An identifier that names no account.
    #[must_use]
    pub fn identifier(app: &App, normalised: &str) -> Self {
        let tag = app.keyring.mac(Purpose::LimitKey, &[b"attempts", normalised.as_bytes()]);
        Self { key: [b"i", &tag[..16]].concat(), user: None }
    }
}

/// Whether a try may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may. With this many in a row, it included, not known to be right.
    Granted(i32),
    /// It is too early, or no try is let through any more.
    HeldBack,
}

/// Counts a try. A function of a row alone, the same for both databases.
const COUNT: &str = "\
INSERT INTO attempts (key, user_id, failures, locked_until, nonce, updated_at) VALUES ($1, $2, 1, 0, $3, $4) \
ON CONFLICT (key) DO UPDATE SET \
 failures = CASE WHEN attempts.locked_until <= excluded.updated_at AND attempts.failures < 100 \
  THEN attempts.failures + 1 ELSE attempts.failures END, \
 locked_until = CASE WHEN attempts.locked_until <= excluded.updated_at AND attempts.failures < 100 \
  THEN excluded.updated_at + CASE WHEN attempts.failures < 9 THEN 0 WHEN attempts.failures > 18 THEN 900000 \
   ELSE 1000 << (attempts.failures - 9) END \
  ELSE attempts.locked_until END, \
 nonce = CASE WHEN attempts.locked_until <= excluded.updated_at AND attempts.failures < 100 \
  THEN excluded.nonce ELSE attempts.nonce END, \
 updated_at = excluded.updated_at \
RETURNING failures, nonce";

/// Counts a try at the secret of `subject` and says whether it may go on.
///
/// # Errors
/// When the database cannot.
pub async fn admit(app: &App, subject: &Subject) -> Result<Admission> {
    let nonce = random::bytes::<16>().to_vec();
    let values: Vec<Value> = vec![
        subject.key.clone().into(),
        subject.user.map(UserId::uuid).into(),
        nonce.clone().into(),
        app.clock.now().0.into(),
    ];
    let statement = Statement::from_sql_and_values(app.db.backend(), COUNT, values);
    let row = app.db.writer().query_one_raw(statement).await?;
    let row = row.ok_or_else(|| Error::internal("counting an attempt returned no row"))?;
    let (failures, last): (i32, Vec<u8>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(if last == nonce { Admission::Granted(failures) } else { Admission::HeldBack })
}

/// Forgets the failures of `subject`: the secret was right.
///
/// # Errors
/// When the database cannot.
pub async fn clear(db: &impl ConnectionTrait, subject: &Subject) -> Result<()> {
    Entity::delete_many().filter(Column::Key.eq(subject.key.clone())).exec(db).await?;
    Ok(())
}

/// Forgets all failures at secrets of `user`: they proved who they are by other means, or an
/// administrator says so.
///
/// # Errors
/// When the database cannot.
pub async fn clear_all(db: &impl ConnectionTrait, user: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

/// Lets no further try at the password of `user` through until it is reset by e-mail.
///
/// # Errors
/// When the database cannot.
pub async fn disable(app: &App, db: &impl ConnectionTrait, user: UserId) -> Result<()> {
    clear_all(db, user).await?;
    let row = entity::attempt::Model {
        key: Subject::account(user).key,
        user_id: Some(user),
        failures: MAX,
        locked_until: app.clock.now(),
        nonce: Vec::new(),
        updated_at: app.clock.now(),
    };
    Entity::insert(entity::attempt::ActiveModel::from(row)).exec_without_returning(db).await?;
    Ok(())
}

/// The failures of the account of `user`, and until when no try is let through.
///
/// # Errors
/// When the database cannot.
pub async fn standing(
    app: &App,
    db: &impl ConnectionTrait,
    user: UserId,
) -> Result<(i32, Option<Timestamp>)> {
    let row = Entity::find_by_id(Subject::account(user).key).one(db).await?;
    Ok(row.map_or((0, None), |row| {
        let until = if row.failures >= MAX { NEVER } else { row.locked_until };
        (row.failures, Some(until).filter(|until| *until > app.clock.now()))
    }))
}

/// Removes counts that no account belongs to and that are a day old; returns how many.
///
/// # Errors
/// When the database cannot.
pub async fn purge(app: &App) -> Result<u64> {
    let old = Column::UpdatedAt.lt(app.clock.now().plus_millis(-FORGET_MS));
    let gone = Entity::delete_many()
        .filter(Condition::all().add(Column::UserId.is_null()).add(old))
        .exec(app.db.writer())
        .await?;
    Ok(gone.rows_affected)
}

#[cfg(test)]
mod tests;
