//! Signing in by password.

use super::open::{Opened, open};
use crate::accounts::credentials::{self, Outcome};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use entity::audit_event::Status;
use entity::session::Transport;
use entity::user::{ActiveModel, Model};
use sea_orm::{ActiveModelTrait, Set};
use secrecy::SecretString;

/// Somebody who is signed in now.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: Model,
    /// Their new session and its token.
    pub opened: Opened,
}

/// Checks the password and opens a session. The failure is recorded before the answer leaves.
///
/// # Errors
/// [`Error::WrongCredentials`], the same for every reason; `OVERLOADED` when hashing is backed up.
pub async fn login(
    app: &App,
    origin: &Origin,
    identifier: &str,
    password: SecretString,
    transport: Transport,
) -> Result<SignedIn> {
    match credentials::check(app, identifier, password).await? {
        Outcome::Refused { account, reason } => {
            let mut event = Event::success(Kind::LoginFail, "login")
                .status(Status::Failure)
                .details(serde_json::json!({ "reason": reason }));
            if let Some(account) = account {
                event = event.on("user", account.id);
            }
            app.audit.record(origin, vec![event]).await?;
            Err(Error::WrongCredentials)
        }
        Outcome::Accepted(user, rehashed) => {
            let mut tx = app.audit.begin().await?;
            tx.touch(user.id);
            if let Some(password_hash) = rehashed {
                let change =
                    ActiveModel { id: Set(user.id), password_hash: Set(password_hash), ..Default::default() };
                change.update(tx.connection()).await?;
            }
            let opened = open(app, tx.connection(), origin, user.id, transport, false).await?;
            let event = Event::success(Kind::LoginSuccess, "login")
                .by(user.id)
                .in_session(opened.session.id)
                .on("session", opened.session.id)
                .details(serde_json::json!({ "factors": ["password"] }));
            tx.commit(origin, event).await?;
            Ok(SignedIn { user: *user, opened })
        }
    }
}
