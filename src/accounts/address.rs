//! The e-mail address: proving that it is one's own, and moving to another.
//!
//! A link in a message proves the address it was sent to, as long as the account still has (or is still
//! to have) that address. Whether another account has the new address the asking person does not learn.

#![allow(clippy::disallowed_methods, reason = "scoped to the user")]

use super::email::EmailAddress;
use super::{find, tickets};
use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin, Tx};
use crate::error::{Error, Result};
use crate::keys::index;
use crate::mail;
use entity::audit_event::Status;
use entity::ticket::Purpose;
use entity::user::{Column, Entity, Model};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, SqlErr};
use secrecy::ExposeSecret;

/// The one refusal of a link, whatever is wrong with it.
fn void() -> Error {
    Error::field("token", "is not valid, was used or has expired; ask for a new one")
}

/// Proves an address by the token that was sent to it: the account's, or the one it is to move to.
///
/// # Errors
/// `BAD_USER_INPUT` for a token that does not hold.
pub async fn verify(app: &App, origin: &Origin, token: &str) -> Result<()> {
    let mut found = None;
    for purpose in [Purpose::VerifyEmail, Purpose::ChangeEmail] {
        if let Some(ticket) = tickets::find(app, purpose, token).await? {
            found = Some((purpose, ticket));
            break;
        }
    }
    let outcome = match found {
        None => Err(void()),
        Some((purpose, ticket)) => {
            let mut tx = app.audit.begin().await?;
            tx.touch(ticket.user);
            let user = find::current(tx.connection(), ticket.user).await?;
            match user {
                Some(user) if tickets::redeem(app, tx.connection(), &ticket).await? => {
                    let address = ticket.payload.expose_secret().parse().map_err(|_| void())?;
                    if purpose == Purpose::VerifyEmail {
                        confirm(app, origin, tx, &user, &address).await
                    } else {
                        r#move(app, origin, tx, &user, &address).await
                    }
                }
                _ => Err(void()),
            }
        }
    };
    if let Err(Error::BadUserInput(_)) = &outcome {
        let event = Event::success(Kind::UserUpdated, "verifyEmail").status(Status::Failure);
        app.audit.record(origin, vec![event]).await?;
    }
    outcome
}

async fn confirm(app: &App, origin: &Origin, tx: Tx, user: &Model, address: &EmailAddress) -> Result<()> {
    let indexes = app.keyring.blind_indexes::<entity::user::UserEmail>(address.normalised());
    let now = app.clock.now();
    let changed = Entity::update_many()
        .col_expr(Column::EmailVerifiedAt, Expr::value(Some(now)))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(user.id))
        .filter(Column::EmailIndex.is_in(indexes))
        .exec(tx.connection())
        .await?;
    if changed.rows_affected != 1 {
        return Err(void());
    }
    let event = Event::success(Kind::UserUpdated, "verifyEmail").by(user.id).on("user", user.id);
    tx.commit(origin, event.details(serde_json::json!({ "emailVerified": true }))).await
}

async fn r#move(app: &App, origin: &Origin, tx: Tx, user: &Model, address: &EmailAddress) -> Result<()> {
    let old = find::address(app, user)?;
    let indexes =
        index::for_writing::<entity::user::UserEmail>(app, tx.connection(), address.normalised()).await?;
    let now = app.clock.now();
    let changed = Entity::update_many()
        .col_expr(
            Column::Email,
            Expr::value(app.keyring.seal::<entity::user::UserEmail>(user.id.uuid(), address.as_str())),
        )
        .col_expr(Column::EmailIndex, Expr::value(indexes.index))
        .col_expr(Column::EmailIndexNext, Expr::value(Some(indexes.next)))
        .col_expr(Column::EmailVerifiedAt, Expr::value(Some(now)))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(user.id))
        .exec(tx.connection())
        .await;
    match changed {
        // Somebody took the address meanwhile.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            return Err(void());
        }
        other => other?,
    };
    tickets::revoke_all(tx.connection(), user.id).await?;
    let content = mail::Content::AddressChanged { username: user.username.clone() };
    mail::post(app, tx.connection(), old.expose_secret(), content).await?;
    let event = Event::success(Kind::UserUpdated, "verifyEmail").by(user.id).on("user", user.id);
    tx.commit(origin, event.details(serde_json::json!({ "emailChanged": true }))).await
}

/// Asks to move the viewer's account to `address`: tells the address that it has, and has the worker
/// write to the new one.
///
/// # Errors
/// `BAD_USER_INPUT` for what is not an address, or is the account's already.
pub async fn ask_change(app: &App, origin: &Origin, me: &Identity, address: &str) -> Result<()> {
    let new: EmailAddress = address.parse().map_err(|reason| Error::field("newEmail", reason))?;
    if app.keyring.blind_indexes(new.normalised()).contains(&me.user.email_index) {
        return Err(Error::field("newEmail", "is the account's address already"));
    }
    let tx = app.audit.begin().await?;
    let request = mail::Request::ChangeAddress { user: me.user_id().uuid() };
    mail::ask(app, tx.connection(), new.as_str(), request).await?;
    let content = mail::Content::AddressChangeAsked { username: me.user.username.clone() };
    mail::post(app, tx.connection(), find::address(app, &me.user)?.expose_secret(), content).await?;
    let event = Event::success(Kind::UserUpdated, "changeEmail").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "emailChange": "asked" }))).await
}
