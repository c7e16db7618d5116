//! The second step of signing in: the ticket of the first, and a code (OWASP ASVS 6.3.3, 6.5.1, 6.6.3).
//!
//! The ticket is bound to the sign-in that made it, holds five minutes, for five codes and one session.
//! Codes are also counted for the account, so that new tickets do not buy more of them.

use super::code;
use crate::accounts::{find, tickets};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use crate::sessions::login::{Bound, SignedIn, Way, establish};
use entity::audit_event::Status;
use entity::id::UserId;
use entity::ticket::Purpose;
use secrecy::ExposeSecret;

/// Opens the session that the sign-in of `mfa_token` waits for.
///
/// # Errors
/// [`Error::WrongCode`], the same whatever is wrong with token or code.
pub async fn complete(app: &App, origin: &Origin, mfa_token: &str, given: &str) -> Result<SignedIn> {
    let mut account = None;
    if let Some(done) = try_complete(app, origin, mfa_token, given, &mut account).await? {
        return Ok(done);
    }
    let mut event = Event::success(Kind::LoginFail, "completeMfaLogin")
        .status(Status::Failure)
        .details(serde_json::json!({ "reason": "second factor" }));
    if let Some(account) = account {
        event = event.on("user", account);
    }
    app.audit.record(origin, vec![event]).await?;
    Err(Error::WrongCode)
}

async fn try_complete(
    app: &App,
    origin: &Origin,
    mfa_token: &str,
    given: &str,
    account: &mut Option<UserId>,
) -> Result<Option<SignedIn>> {
    let Some(ticket) = tickets::attempt(app, Purpose::Mfa, mfa_token).await? else { return Ok(None) };
    *account = Some(ticket.user);
    let Some(bound) = Bound::from_text(app, ticket.payload.expose_secret()) else { return Ok(None) };
    let Some(user) = find::by_id(app, ticket.user).await? else { return Ok(None) };
    if !code::may_try(app, &user).await? {
        return Ok(None);
    }
    // As it is now: the account may have been deactivated since the first step.
    let mut tx = app.audit.begin().await?;
    let user = find::current(tx.connection(), ticket.user).await?.filter(|user| user.is_active);
    let Some(user) = user else { return Ok(None) };
    let Some(used) = code::use_up(app, tx.connection(), &user, given).await? else { return Ok(None) };
    if !tickets::redeem(app, tx.connection(), &ticket).await? {
        return Ok(None);
    }
    let way = Way { transport: bound.transport, mfa: true, device: bound.device };
    let done = establish(app, &mut tx, origin, user, way).await?;
    tx.commit(origin, done.event("completeMfaLogin", &["password", used.name()])).await?;
    Ok(Some(done))
}
