//! Adding an authenticator app. The secret is shown once; nothing is on until a code from the app comes
//! back.

#![allow(clippy::disallowed_methods, reason = "scoped to the viewer")]

use super::{code, settle};
use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::{BackupCode, TotpSecret, random};
use crate::error::{Error, Result};
use crate::mail::MfaChange;
use entity::audit_event::Status;
use entity::id::{BackupCodeId, FactorId, UserId};
use entity::{backup_code, factor, session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

/// Seconds between the two steps at most.
const PENDING: i64 = 15 * 60;

/// What an app needs to know, in the forms in which it can be told.
#[derive(Debug)]
pub struct Enrolment {
    /// To type in.
    pub secret: String,
    /// To open on the same device.
    pub otpauth_uri: String,
    /// To scan: a data URI.
    pub qr_code_png: String,
    /// To scan: an SVG element.
    pub qr_code_svg: String,
}

/// Makes a secret for an app to be added; an earlier one that was not confirmed is void.
///
/// # Errors
/// `CONFLICT` when a factor is enrolled already.
pub async fn enroll(app: &App, origin: &Origin, me: &Identity) -> Result<Enrolment> {
    let now = app.clock.now();
    let id = random::uuid_v7(now);
    let secret = TotpSecret::generate();
    let tx = app.audit.begin().await?;
    factor::Entity::delete_many()
        .filter(factor::Column::UserId.eq(me.user_id()))
        .filter(factor::Column::ConfirmedAt.is_null())
        .exec(tx.connection())
        .await?;
    let row = factor::ActiveModel {
        id: Set(FactorId(id)),
        user_id: Set(me.user_id()),
        secret: Set(app.keyring.seal_bytes(id, secret.as_bytes())),
        last_used_step: Set(None),
        confirmed_at: Set(None),
        created_at: Set(now),
    };
    let inserted = factor::Entity::insert(row)
        .on_conflict(sea_orm::sea_query::OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.connection())
        .await?;
    if inserted == 0 {
        return Err(Error::Conflict("a second factor is enrolled; remove it first (disableMfa)"));
    }
    let event = Event::success(Kind::MfaChange, "enrollMfa").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "step": "begun" }))).await?;
    let (service, name) = (&app.config.service_name, &me.user.username);
    Ok(Enrolment {
        secret: secret.base32(),
        otpauth_uri: secret.otpauth_uri(service, name),
        qr_code_png: secret.qr_png_data_uri(service, name),
        qr_code_svg: secret.qr_svg(service, name),
    })
}

/// Turns the factor on by a first code from the app. The session at hand counts as one with a second
/// factor from here on; the others end.
///
/// # Errors
/// `CONFLICT` when no enrolment is under way; `BAD_USER_INPUT` for a wrong code.
pub async fn confirm(app: &App, origin: &Origin, me: &Identity, given: &str) -> Result<[BackupCode; 10]> {
    if !code::may_try(app, &me.user).await? || !try_confirm(app, me, given).await? {
        let event = Event::success(Kind::MfaChange, "confirmMfa").on("user", me.user_id());
        app.audit.record(origin, vec![event.status(Status::Failure)]).await?;
        return Err(Error::field("code", "is not right, or the enrolment has expired"));
    }
    turn_on(app, origin, me, given).await
}

/// The factor of `me` that waits for its first code.
async fn pending(app: &App, db: &impl ConnectionTrait, me: &Identity) -> Result<Option<factor::Model>> {
    let since = app.clock.now().plus_seconds(-PENDING);
    let factor = factor::Entity::find()
        .filter(factor::Column::UserId.eq(me.user_id()))
        .filter(factor::Column::ConfirmedAt.is_null())
        .filter(factor::Column::CreatedAt.gt(since));
    Ok(factor.one(db).await?)
}

async fn try_confirm(app: &App, me: &Identity, given: &str) -> Result<bool> {
    let Some(factor) = pending(app, app.db.reader(), me).await? else { return Ok(false) };
    Ok(code::secret(app, &factor)?.check(given, app.clock.now(), None).is_some())
}

async fn turn_on(app: &App, origin: &Origin, me: &Identity, given: &str) -> Result<[BackupCode; 10]> {
    let now = app.clock.now();
    let mut tx = app.audit.begin().await?;
    let raced = Error::Conflict("the enrolment has changed meanwhile; begin again (enrollMfa)");
    let Some(factor) = pending(app, tx.connection(), me).await? else { return Err(raced) };
    let Some(step) = code::secret(app, &factor)?.check(given, now, None) else { return Err(raced) };
    let confirmed = factor::Entity::update_many()
        .col_expr(factor::Column::ConfirmedAt, Expr::value(Some(now)))
        .col_expr(factor::Column::LastUsedStep, Expr::value(Some(step)))
        .filter(factor::Column::Id.eq(factor.id))
        .filter(factor::Column::ConfirmedAt.is_null())
        .exec(tx.connection())
        .await?;
    if confirmed.rows_affected != 1 {
        return Err(raced);
    }
    user::Entity::update_many()
        .col_expr(user::Column::MfaEnrolledAt, Expr::value(Some(now)))
        .col_expr(user::Column::UpdatedAt, Expr::value(now))
        .filter(user::Column::Id.eq(me.user_id()))
        .exec(tx.connection())
        .await?;
    session::Entity::update_many()
        .col_expr(session::Column::Mfa, Expr::value(true))
        .filter(session::Column::Id.eq(me.session_id()))
        .filter(session::Column::UserId.eq(me.user_id()))
        .exec(tx.connection())
        .await?;
    crate::accounts::attempts::clear(
        tx.connection(),
        &crate::accounts::attempts::Subject::code(me.user_id()),
    )
    .await?;
    let codes = replace_codes(app, tx.connection(), me.user_id()).await?;
    let ended = settle(app, &mut tx, &me.user, Some(me.session_id()), MfaChange::Enrolled).await?;
    let event = Event::success(Kind::MfaChange, "confirmMfa").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "step": "on", "sessionsEnded": ended }))).await?;
    Ok(codes)
}

/// Gives `user` ten new backup codes; the old ones are void.
pub(super) async fn replace_codes(
    app: &App,
    db: &impl ConnectionTrait,
    user: UserId,
) -> Result<[BackupCode; 10]> {
    backup_code::Entity::delete_many().filter(backup_code::Column::UserId.eq(user)).exec(db).await?;
    let codes = BackupCode::generate_set();
    let now = app.clock.now();
    let rows = codes.iter().map(|code| backup_code::ActiveModel {
        id: Set(BackupCodeId(random::uuid_v7(now))),
        user_id: Set(user),
        code_hash: Set(code.hash().to_vec()),
    });
    backup_code::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(codes)
}
