//! What is written to an address, found out by the mail worker and not by the request: so the request
//! does the same work, and takes the same time, whether or not there is an account (OWASP ASVS 6.3.8).

use super::email::EmailAddress;
use super::{find, tickets};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::Result;
use crate::mail::{self, Content, Request};
use entity::id::UserId;
use entity::ticket::Purpose;
use entity::user::Model;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Looks into `request` about the address `to`.
#[must_use]
pub fn resolve(app: App, to: String, request: Request) -> BoxFuture<'static, Result<()>> {
    async move {
        // The address was checked before it got here.
        let Ok(address) = to.parse::<EmailAddress>() else { return Ok(()) };
        look_into(&app, &address, request).await
    }
    .boxed()
}

async fn look_into(app: &App, address: &EmailAddress, request: Request) -> Result<()> {
    let holder = find::by_email(app, app.db.reader(), address).await?;
    match request {
        Request::Registered { user, username } => match holder {
            Some(new) if new.id == UserId(user) => {
                if new.email_verified_at.is_some() {
                    return Ok(());
                }
                let content = |token| Content::VerifyAddress { username, token };
                send_token(app, &new, address, Purpose::VerifyEmail, content).await
            }
            Some(other) => tell(app, address, Content::AddressTaken { username: other.username }).await,
            None => tell(app, address, Content::NameTaken { wished: username }).await,
        },
        Request::Reset => match holder.filter(|holder| holder.is_active) {
            Some(user) => {
                let username = user.username.clone();
                let content = |token| Content::ResetPassword { username, token };
                send_token(app, &user, address, Purpose::ResetPassword, content).await
            }
            None => Ok(()),
        },
        Request::ChangeAddress { user } => match holder {
            Some(other) => tell(app, address, Content::AddressTaken { username: other.username }).await,
            None => {
                let Some(user) = find::by_id(app, UserId(user)).await? else { return Ok(()) };
                let username = user.username.clone();
                let content = |token| Content::ConfirmAddress { username, token };
                send_token(app, &user, address, Purpose::ChangeEmail, content).await
            }
        },
    }
}

/// Writes a message with a token that is bound to `address`.
async fn send_token(
    app: &App,
    user: &Model,
    address: &EmailAddress,
    purpose: Purpose,
    content: impl FnOnce(String) -> Content,
) -> Result<()> {
    let tx = app.audit.begin().await?;
    let token = tickets::issue(app, tx.connection(), user.id, purpose, address.as_str()).await?;
    mail::post(app, tx.connection(), address.as_str(), content(token.expose())).await?;
    let action = match purpose {
        Purpose::ResetPassword => "requestPasswordReset",
        Purpose::ChangeEmail => "changeEmail",
        Purpose::VerifyEmail | Purpose::Mfa => "register",
    };
    tx.commit(&Origin::default(), Event::success(Kind::TokenCreated, action).on("user", user.id)).await
}

async fn tell(app: &App, address: &EmailAddress, content: Content) -> Result<()> {
    mail::post(app, app.db.writer(), address.as_str(), content).await
}
