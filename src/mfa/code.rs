//! Checking a code and using it up: each step of an app once, each backup code once (OWASP ASVS 6.5.1).
//!
//! Both are used up by one conditional statement, in the transaction of what the code is for: of two uses
//! at once the second finds nothing to use.

#![allow(clippy::disallowed_methods, reason = "scoped to the user")]

use crate::accounts::attempts::{self, Admission, Subject};
use crate::accounts::find;
use crate::app::App;
use crate::crypto::{BackupCode, TotpSecret};
use crate::error::{Error, Result};
use crate::mail::{self, Content, MfaChange};
use entity::user::Model;
use entity::{backup_code, factor};
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use secrecy::ExposeSecret;

/// What a code was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// A code of the authenticator app.
    Totp,
    /// A backup code, which is gone now.
    BackupCode,
}

impl Used {
    /// The name for the trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
        }
    }
}

/// Whether one more code may be tried for `user`, whichever sign-in or session it comes from.
///
/// # Errors
/// When the database cannot.
pub async fn may_try(app: &App, user: &Model) -> Result<bool> {
    Ok(attempts::admit(app, &Subject::code(user.id)).await? != Admission::HeldBack)
}

/// Uses `code` up for `user` on the transaction `db`; `None` when it is wrong or was used before.
///
/// # Errors
/// When the database cannot.
pub async fn use_up(app: &App, db: &impl ConnectionTrait, user: &Model, code: &str) -> Result<Option<Used>> {
    let used = match BackupCode::parse(code) {
        Ok(code) => use_backup_code(app, db, user, &code).await?,
        Err(_) => use_totp(app, db, user, code).await?,
    };
    if used.is_some() {
        attempts::clear(db, &Subject::code(user.id)).await?;
    }
    Ok(used)
}

async fn use_totp(app: &App, db: &impl ConnectionTrait, user: &Model, code: &str) -> Result<Option<Used>> {
    let factor = factor::Entity::find()
        .filter(factor::Column::UserId.eq(user.id))
        .filter(factor::Column::ConfirmedAt.is_not_null())
        .one(db)
        .await?;
    let Some(factor) = factor else { return Ok(None) };
    let Some(step) = secret(app, &factor)?.check(code, app.clock.now(), factor.last_used_step) else {
        return Ok(None);
    };
    let used = factor::Entity::update_many()
        .col_expr(factor::Column::LastUsedStep, Expr::value(Some(step)))
        .filter(factor::Column::Id.eq(factor.id))
        .filter(
            Condition::any()
                .add(factor::Column::LastUsedStep.is_null())
                .add(factor::Column::LastUsedStep.lt(step)),
        )
        .exec(db)
        .await?;
    Ok((used.rows_affected == 1).then_some(Used::Totp))
}

async fn use_backup_code(
    app: &App,
    db: &impl ConnectionTrait,
    user: &Model,
    code: &BackupCode,
) -> Result<Option<Used>> {
    let used = backup_code::Entity::delete_many()
        .filter(backup_code::Column::UserId.eq(user.id))
        .filter(backup_code::Column::CodeHash.eq(code.hash().to_vec()))
        .exec(db)
        .await?;
    if used.rows_affected != 1 {
        return Ok(None);
    }
    let content = Content::MfaChanged { username: user.username.clone(), change: MfaChange::BackupCodeUsed };
    mail::post(app, db, find::address(app, user)?.expose_secret(), content).await?;
    Ok(Some(Used::BackupCode))
}

/// The secret that `factor` shares with the app.
///
/// # Errors
/// `INTERNAL` when the stored ciphertext does not open.
pub fn secret(app: &App, factor: &factor::Model) -> Result<TotpSecret> {
    let bytes = app.keyring.open_bytes(factor.id.uuid(), &factor.secret).map_err(Error::internal)?;
    TotpSecret::from_bytes(&bytes).ok_or_else(|| Error::internal("a stored TOTP secret has a wrong length"))
}
