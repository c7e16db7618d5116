//! Changing the password, and setting a new one by e-mail.

use super::end;
use super::open::Opened;
use super::renew::renew;
use crate::access::Identity;
use crate::accounts::attempts::{self, Admission, Subject};
use crate::accounts::email::EmailAddress;
use crate::accounts::{find, password, tickets};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::password::Verdict;
use crate::error::{Error, Result};
use crate::mail;
use entity::audit_event::Status;
use entity::ticket::Purpose;
use secrecy::{ExposeSecret, SecretString};

/// Whether `given` is the password of the viewer, who may try a bounded number of times.
///
/// # Errors
/// `OVERLOADED` when the hash has to wait too long.
pub async fn is_current(app: &App, me: &Identity, given: SecretString) -> Result<bool> {
    let admission = attempts::admit(app, &Subject::session(me.session_id())).await?;
    let verdict = app.hasher.verify(given, Some(me.user.password_hash.clone())).await?;
    Ok(admission != Admission::HeldBack && matches!(verdict, Verdict::Match { .. }))
}

/// Puts `new` in the place of the viewer's password, ends their other sessions and gives this one a new
/// token (OWASP ASVS 6.2.2, 6.2.3, 7.4.3).
///
/// # Errors
/// `BAD_USER_INPUT` when the current password is wrong or the new one too weak; `CONFLICT` when it was
/// changed meanwhile.
pub async fn change(
    app: &App,
    origin: &Origin,
    me: &Identity,
    current: SecretString,
    new: SecretString,
) -> Result<Opened> {
    if !is_current(app, me, current).await? {
        let event = Event::success(Kind::PasswordChangeFail, "changePassword").on("user", me.user_id());
        app.audit.record(origin, vec![event.status(Status::Failure)]).await?;
        return Err(Error::field("currentPassword", "is not right"));
    }
    let new = password::prepare(app, &me.user, "newPassword", new).await?;
    let mut tx = app.audit.begin().await?;
    tx.touch(me.user_id());
    if !password::replace(app, tx.connection(), &me.user, &new).await? {
        return Err(Error::Conflict("the password has changed meanwhile"));
    }
    attempts::clear(tx.connection(), &Subject::session(me.session_id())).await?;
    let ended = end::all_of(tx.connection(), me.user_id(), Some(me.session_id())).await?;
    let opened = renew(app, tx.connection(), me, me.session.mfa).await?;
    let event = Event::success(Kind::PasswordChange, "changePassword").on("user", me.user_id());
    tx.commit(origin, event.details(serde_json::json!({ "sessionsEnded": ended }))).await?;
    Ok(opened)
}

/// Asks for a message to `address` with which the password of its account can be set. The same work and
/// answer whether or not there is one.
///
/// # Errors
/// `BAD_USER_INPUT` for what is not an address.
pub async fn request_reset(app: &App, origin: &Origin, address: &str) -> Result<()> {
    let address: EmailAddress = address.parse().map_err(|reason| Error::field("email", reason))?;
    let tx = app.audit.begin().await?;
    mail::ask(app, tx.connection(), address.as_str(), mail::Request::Reset).await?;
    let event = Event::success(Kind::PasswordChange, "requestPasswordReset");
    tx.commit(origin, event.details(serde_json::json!({ "step": "asked" }))).await
}

/// Sets a new password by the token from a message, and ends every session. It opens none: a second
/// factor is asked for as ever at the next sign-in (OWASP ASVS 6.4.3).
///
/// # Errors
/// `BAD_USER_INPUT` for a token that does not hold, or a weak password: then the token still holds.
pub async fn reset(app: &App, origin: &Origin, token: &str, new: SecretString) -> Result<()> {
    match try_reset(app, origin, token, new).await? {
        Some(()) => Ok(()),
        None => {
            let event = Event::success(Kind::PasswordChangeFail, "resetPassword").status(Status::Failure);
            app.audit.record(origin, vec![event]).await?;
            Err(Error::field("token", "is not valid, was used or has expired; ask for a new one"))
        }
    }
}

async fn try_reset(app: &App, origin: &Origin, token: &str, new: SecretString) -> Result<Option<()>> {
    let Some(ticket) = tickets::find(app, Purpose::ResetPassword, token).await? else { return Ok(None) };
    let Some(user) = find::by_id(app, ticket.user).await?.filter(|user| user.is_active) else {
        return Ok(None);
    };
    // The message went to this address: it says nothing about another that the account has by now.
    let address: Option<EmailAddress> = ticket.payload.expose_secret().parse().ok();
    let indexes = address.map(|address| app.keyring.blind_indexes(address.normalised()));
    if !indexes.is_some_and(|indexes| indexes.contains(&user.email_index)) {
        return Ok(None);
    }
    let new = password::prepare(app, &user, "newPassword", new).await?;
    let mut tx = app.audit.begin().await?;
    tx.touch(user.id);
    let used = tickets::redeem(app, tx.connection(), &ticket).await?;
    if !used || !password::replace(app, tx.connection(), &user, &new).await? {
        return Ok(None);
    }
    let ended = end::all_of(tx.connection(), user.id, None).await?;
    let event = Event::success(Kind::PasswordChange, "resetPassword").by(user.id).on("user", user.id);
    tx.commit(origin, event.details(serde_json::json!({ "sessionsEnded": ended }))).await?;
    Ok(Some(()))
}
