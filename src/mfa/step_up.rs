//! Proving again who one is, for sensitive changes (OWASP ASVS 7.5.1, 7.5.3).

use super::code;
use crate::access::Identity;
use crate::accounts::attempts::{self, Subject};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use crate::sessions::open::Opened;
use crate::sessions::password;
use crate::sessions::renew::renew;
use entity::audit_event::Status;
use secrecy::SecretString;

/// Checks the viewer's password, and a code where a second factor is enrolled; gives the session a new
/// token.
///
/// # Errors
/// [`Error::WrongCredentials`] or [`Error::WrongCode`]; `BAD_USER_INPUT` when the code is missing.
pub async fn reauthenticate(
    app: &App,
    origin: &Origin,
    me: &Identity,
    given: SecretString,
    given_code: Option<&str>,
) -> Result<Opened> {
    let enrolled = me.user.mfa_enrolled_at.is_some();
    let given_code = given_code.map(str::trim).filter(|code| !code.is_empty());
    if enrolled && given_code.is_none() {
        return Err(Error::field("code", "is needed: a code from your app, or a backup code"));
    }
    if !password::is_current(app, me, given).await? {
        return Err(refuse(app, origin, "password", Error::WrongCredentials).await);
    }
    if enrolled && !code::may_try(app, &me.user).await? {
        return Err(refuse(app, origin, "held back", Error::WrongCode).await);
    }
    let mut tx = app.audit.begin().await?;
    let mut factors = vec!["password"];
    if let Some(given) = given_code.filter(|_| enrolled) {
        let Some(used) = code::use_up(app, tx.connection(), &me.user, given).await? else {
            drop(tx);
            return Err(refuse(app, origin, "second factor", Error::WrongCode).await);
        };
        factors.push(used.name());
    }
    tx.touch(me.user_id());
    attempts::clear(tx.connection(), &Subject::session(me.session_id())).await?;
    let opened = renew(app, tx.connection(), me, me.session.mfa || enrolled).await?;
    let event = Event::success(Kind::LoginSuccess, "reauthenticate").on("session", me.session_id());
    tx.commit(origin, event.details(serde_json::json!({ "factors": factors }))).await?;
    Ok(opened)
}

/// Records the failure; what to answer.
async fn refuse(app: &App, origin: &Origin, reason: &str, error: Error) -> Error {
    let event = Event::success(Kind::LoginFail, "reauthenticate")
        .status(Status::Failure)
        .details(serde_json::json!({ "reason": reason }));
    app.audit.record(origin, vec![event]).await.err().unwrap_or(error)
}
