//! Removing the factor, replacing backup codes, and the administrator's reset.

#![allow(clippy::disallowed_methods, reason = "scoped to the user")]

use super::enroll::replace_codes;
use super::{code, settle};
use crate::access::Identity;
use crate::accounts::{attempts, find, tickets};
use crate::app::App;
use crate::audit::{Event, Kind, Origin, Tx};
use crate::crypto::BackupCode;
use crate::error::{Error, Result};
use crate::mail::{self, Content, MfaChange};
use entity::audit_event::Status;
use entity::user::Model;
use entity::{backup_code, factor, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use secrecy::ExposeSecret;

/// Removes the viewer's factor and backup codes, by one last code.
///
/// # Errors
/// `CONFLICT` when none is enrolled, their role demands one, or the password is too short to stand alone;
/// `BAD_USER_INPUT` for a wrong code.
pub async fn disable(app: &App, origin: &Origin, me: &Identity, given: &str) -> Result<()> {
    if me.user.mfa_enrolled_at.is_none() {
        return Err(Error::Conflict("no second factor is enrolled"));
    }
    if app.demands_mfa(me.role()) {
        return Err(Error::Conflict("your role demands a second factor"));
    }
    let allowed = code::may_try(app, &me.user).await?;
    let mut tx = app.audit.begin().await?;
    let user = find::current(tx.connection(), me.user_id()).await?.ok_or(Error::NotFound)?;
    if user.password_needs_mfa {
        return Err(Error::Conflict(
            "your password is too short to stand without a second factor; choose one of 15 characters or more first (changePassword)",
        ));
    }
    if !allowed || code::use_up(app, tx.connection(), &user, given).await?.is_none() {
        drop(tx);
        let event = Event::success(Kind::MfaChange, "disableMfa").on("user", me.user_id());
        app.audit.record(origin, vec![event.status(Status::Failure)]).await?;
        return Err(Error::field("code", "is not right"));
    }
    remove(app, tx.connection(), &user).await?;
    let ended = settle(app, &mut tx, &user, Some(me.session_id()), MfaChange::Disabled).await?;
    let event = Event::success(Kind::MfaChange, "disableMfa").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "sessionsEnded": ended }))).await
}

/// Deletes factor and codes of `user`, and what waits for them.
async fn remove(app: &App, db: &impl ConnectionTrait, user: &Model) -> Result<()> {
    factor::Entity::delete_many().filter(factor::Column::UserId.eq(user.id)).exec(db).await?;
    backup_code::Entity::delete_many().filter(backup_code::Column::UserId.eq(user.id)).exec(db).await?;
    tickets::revoke_all(db, user.id).await?;
    let none: Option<entity::time::Timestamp> = None;
    user::Entity::update_many()
        .col_expr(user::Column::MfaEnrolledAt, Expr::value(none))
        .col_expr(user::Column::UpdatedAt, Expr::value(app.clock.now()))
        .filter(user::Column::Id.eq(user.id))
        .exec(db)
        .await?;
    Ok(())
}

/// Gives the viewer ten new backup codes; the old ones are void.
///
/// # Errors
/// `CONFLICT` when no factor is enrolled.
pub async fn regenerate(app: &App, origin: &Origin, me: &Identity) -> Result<[BackupCode; 10]> {
    let mut tx = app.audit.begin().await?;
    // Locks the row: of two at once, the second replaces the codes of the first.
    let touched = user::Entity::update_many()
        .col_expr(user::Column::UpdatedAt, Expr::value(app.clock.now()))
        .filter(user::Column::Id.eq(me.user_id()))
        .filter(user::Column::MfaEnrolledAt.is_not_null())
        .exec(tx.connection())
        .await?;
    if touched.rows_affected != 1 {
        return Err(Error::Conflict("no second factor is enrolled"));
    }
    let codes = replace_codes(app, tx.connection(), me.user_id()).await?;
    let ended = settle(app, &mut tx, &me.user, Some(me.session_id()), MfaChange::NewBackupCodes).await?;
    let event = Event::success(Kind::MfaChange, "regenerateBackupCodes").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "sessionsEnded": ended }))).await?;
    Ok(codes)
}

/// Removes the factor of `user` for an administrator, who looked at the row in `tx`, and ends all their
/// sessions; returns how many. A password that is too short to stand alone works no more until it is
/// reset by e-mail.
///
/// # Errors
/// `CONFLICT` when none is enrolled.
pub async fn reset(app: &App, tx: &mut Tx, user: &Model) -> Result<u64> {
    if user.mfa_enrolled_at.is_none() {
        return Err(Error::Conflict("no second factor is enrolled"));
    }
    remove(app, tx.connection(), user).await?;
    if user.password_needs_mfa {
        attempts::disable(app, tx.connection(), user.id).await?;
        let content = Content::PasswordDisabled { username: user.username.clone() };
        mail::post(app, tx.connection(), find::address(app, user)?.expose_secret(), content).await?;
    }
    settle(app, tx, user, None, MfaChange::Reset).await
}
