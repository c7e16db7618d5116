//! New passwords: whether one will do, and putting it in the place of the old (OWASP ASVS 6.2).

#![allow(clippy::disallowed_methods, reason = "scoped to the user")]

use super::{attempts, find, tickets};
use crate::app::App;
use crate::crypto::strength;
use crate::error::{Error, Fields, Result};
use crate::mail;
use entity::user::{Column, Entity, Model};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use secrecy::{ExposeSecret, SecretString};

/// A password that will do, hashed.
#[derive(Debug)]
pub struct NewPassword {
    hash: String,
    needs_mfa: bool,
}

/// Judges `password` for `user` and hashes it.
///
/// # Errors
/// `BAD_USER_INPUT` on `field` with every reason; `OVERLOADED` when the hash has to wait too long.
pub async fn prepare(
    app: &App,
    user: &Model,
    field: &'static str,
    password: SecretString,
) -> Result<NewPassword> {
    let email = find::address(app, user)?;
    let context = |mfa| strength::Context {
        username: &user.username,
        email: email.expose_secret(),
        service: &app.config.service_name,
        mfa,
    };
    let alone = strength::assess(&password, &context(false));
    if alone.is_err()
        && let Err(reasons) = strength::assess(&password, &context(user.mfa_enrolled_at.is_some()))
    {
        let reasons = reasons.into_iter().map(str::to_owned).collect();
        return Err(Error::BadUserInput(Fields::from([(field, reasons)])));
    }
    Ok(NewPassword { hash: app.hasher.hash(password).await?, needs_mfa: alone.is_err() })
}

/// Stores `new` in the place of the password that `user` was read with, takes back their tickets, forgets
/// failures and tells them. `false` when the password was changed meanwhile.
///
/// # Errors
/// When the database cannot.
pub async fn replace(app: &App, db: &impl ConnectionTrait, user: &Model, new: &NewPassword) -> Result<bool> {
    let mut change = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(new.hash.clone()))
        .col_expr(Column::PasswordNeedsMfa, Expr::value(new.needs_mfa))
        .col_expr(Column::UpdatedAt, Expr::value(app.clock.now()))
        .filter(Column::Id.eq(user.id))
        .filter(Column::PasswordHash.eq(user.password_hash.clone()));
    if new.needs_mfa {
        change = change.filter(Column::MfaEnrolledAt.is_not_null());
    }
    if change.exec(db).await?.rows_affected != 1 {
        return Ok(false);
    }
    tickets::revoke_all(db, user.id).await?;
    attempts::clear_all(db, user.id).await?;
    let content = mail::Content::PasswordChanged { username: user.username.clone() };
    mail::post(app, db, find::address(app, user)?.expose_secret(), content).await?;
    Ok(true)
}
