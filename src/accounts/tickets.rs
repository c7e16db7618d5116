//! One-time tickets: 256 random bits, stored as a hash, good for one purpose, once, for a short time
//! (OWASP ASVS 6.5.1, 6.5.5, 6.6.3).
//!
//! A ticket is used up by one conditional DELETE: of two uses at once, one finds no row.

#![allow(clippy::disallowed_methods, reason = "scoped by the secret token, or to the user")]

use crate::app::App;
use crate::crypto::{Token, TokenKind, random};
use crate::error::{Error, Result};
use entity::id::{TicketId, UserId};
use entity::ticket::{ActiveModel, Column, Entity, Model, Purpose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, Set};
use secrecy::SecretString;

/// Codes that may be tried with one ticket.
pub const MAX_ATTEMPTS: i32 = 5;

/// A ticket that was presented and holds.
#[derive(Debug)]
pub struct Ticket {
    /// Its row.
    pub id: TicketId,
    /// Whose it is.
    pub user: UserId,
    /// What it is bound to.
    pub payload: SecretString,
}

const fn kind(purpose: Purpose) -> TokenKind {
    match purpose {
        Purpose::Mfa => TokenKind::Mfa,
        Purpose::VerifyEmail | Purpose::ChangeEmail | Purpose::ResetPassword => TokenKind::Mail,
    }
}

/// Seconds that a ticket holds.
#[must_use]
pub const fn lifetime(purpose: Purpose) -> i64 {
    match purpose {
        Purpose::Mfa => 5 * 60,
        Purpose::ResetPassword => 10 * 60,
        Purpose::VerifyEmail | Purpose::ChangeEmail => 60 * 60,
    }
}

/// Makes a ticket. Of those sent by mail only the newest holds; sign-ins may be under way side by side.
///
/// # Errors
/// When the database cannot.
pub async fn issue(
    app: &App,
    db: &impl ConnectionTrait,
    user: UserId,
    purpose: Purpose,
    payload: &str,
) -> Result<Token> {
    let now = app.clock.now();
    let mut earlier =
        Entity::delete_many().filter(Column::UserId.eq(user)).filter(Column::Purpose.eq(purpose));
    if purpose == Purpose::Mfa {
        earlier = earlier.filter(Column::ExpiresAt.lte(now));
    }
    earlier.exec(db).await?;
    let id = random::uuid_v7(now);
    let token = Token::generate(kind(purpose));
    let row = ActiveModel {
        id: Set(TicketId(id)),
        user_id: Set(user),
        purpose: Set(purpose),
        token_hash: Set(token.hash().to_vec()),
        payload: Set(app.keyring.seal(id, payload)),
        attempts: Set(0),
        created_at: Set(now),
        expires_at: Set(now.plus_seconds(lifetime(purpose))),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(token)
}

fn opened(app: &App, row: Option<Model>) -> Result<Option<Ticket>> {
    let Some(row) = row else { return Ok(None) };
    let payload = app.keyring.open(row.id.uuid(), &row.payload).map_err(Error::internal)?;
    Ok(Some(Ticket { id: row.id, user: row.user_id, payload }))
}

/// The ticket that `text` is the token of, if it holds for `purpose`. It is not used up.
///
/// # Errors
/// When the database cannot.
pub async fn find(app: &App, purpose: Purpose, text: &str) -> Result<Option<Ticket>> {
    let Ok(token) = Token::parse(kind(purpose), text) else { return Ok(None) };
    let row = Entity::find()
        .filter(Column::TokenHash.eq(token.hash().to_vec()))
        .filter(Column::Purpose.eq(purpose))
        .filter(Column::ExpiresAt.gt(app.clock.now()))
        .one(app.db.reader())
        .await?;
    opened(app, row)
}

/// The same for a ticket that a code is tried with: counts the try before the code is looked at, so that
/// no more than [`MAX_ATTEMPTS`] are, however many come at once.
///
/// # Errors
/// When the database cannot.
pub async fn attempt(app: &App, purpose: Purpose, text: &str) -> Result<Option<Ticket>> {
    let Ok(token) = Token::parse(kind(purpose), text) else { return Ok(None) };
    let rows = Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::TokenHash.eq(token.hash().to_vec()))
        .filter(Column::Purpose.eq(purpose))
        .filter(Column::ExpiresAt.gt(app.clock.now()))
        .filter(Column::Attempts.lt(MAX_ATTEMPTS))
        .exec_with_returning(app.db.writer())
        .await?;
    opened(app, rows.into_iter().next())
}

/// Uses the ticket up; `false` when somebody did before or it has expired.
///
/// # Errors
/// When the database cannot.
pub async fn redeem(app: &App, db: &impl ConnectionTrait, ticket: &Ticket) -> Result<bool> {
    let used = Entity::delete_many()
        .filter(Column::Id.eq(ticket.id))
        .filter(Column::ExpiresAt.gt(app.clock.now()))
        .exec(db)
        .await?;
    Ok(used.rows_affected == 1)
}

/// Takes back all tickets of `user`, whatever they are for.
///
/// # Errors
/// When the database cannot.
pub async fn revoke_all(db: &impl ConnectionTrait, user: UserId) -> Result<()> {
    Entity::delete_many().filter(Column::UserId.eq(user)).exec(db).await?;
    Ok(())
}

/// Removes what has expired; returns how many.
///
/// # Errors
/// When the database cannot.
pub async fn purge(app: &App) -> Result<u64> {
    let gone =
        Entity::delete_many().filter(Column::ExpiresAt.lte(app.clock.now())).exec(app.db.writer()).await?;
    Ok(gone.rows_affected)
}
