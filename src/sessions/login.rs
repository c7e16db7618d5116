//! Signing in by password: a session, or a ticket for the second factor.

use super::open::{Opened, open};
use crate::accounts::credentials::{self, Accepted, Outcome};
use crate::accounts::device::Device;
use crate::accounts::{attempts, find, tickets};
use crate::app::App;
use crate::audit::{Event, Kind, Origin, Tx};
use crate::crypto::Token;
use crate::error::{Error, Result};
use crate::mail;
use entity::session::Transport;
use entity::ticket::Purpose;
use entity::user::{ActiveModel, Model};
use sea_orm::{ActiveModelTrait, Set};
use secrecy::{ExposeSecret, SecretString};

/// Somebody who is signed in now.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: Model,
    /// Their new session and its token.
    pub opened: Opened,
    /// The mark of their device, renewed.
    pub device: Option<String>,
}

/// How far a sign-in by password came.
#[derive(Debug)]
pub enum Login {
    /// A session is open.
    SignedIn(Box<SignedIn>),
    /// The password was right; the token is good for one second factor.
    MfaRequired(Token),
}

/// A sign-in by password.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// User name or e-mail address.
    pub identifier: &'a str,
    /// The password.
    pub password: SecretString,
    /// How the session's token is to travel.
    pub transport: Transport,
    /// The mark of a device that signed in before.
    pub device: Option<&'a str>,
}

/// How a session is opened.
#[derive(Debug)]
pub struct Way {
    /// How its token travels.
    pub transport: Transport,
    /// Whether a second factor was used.
    pub mfa: bool,
    /// The device, if it signed in before.
    pub device: Option<Device>,
}

/// Checks the password; opens a session, or asks for the second factor where one is enrolled. The failure
/// is recorded before the answer leaves.
///
/// # Errors
/// [`Error::WrongCredentials`], the same for every reason; `OVERLOADED` when hashing is backed up.
pub async fn login(app: &App, origin: &Origin, attempt: Attempt<'_>) -> Result<Login> {
    let Attempt { identifier, password, transport, device } = attempt;
    let accepted = match credentials::check(app, identifier, password, device).await? {
        Outcome::Accepted(accepted) => accepted,
        Outcome::Refused(refusal) => {
            app.audit.record(origin, refusal.events("login")).await?;
            return Err(Error::WrongCredentials);
        }
    };
    let Accepted { user, rehashed, device, subject } = *accepted;
    let mut tx = app.audit.begin().await?;
    attempts::clear(tx.connection(), &subject).await?;
    if let Some(password_hash) = rehashed {
        let change =
            ActiveModel { id: Set(user.id), password_hash: Set(password_hash), ..Default::default() };
        change.update(tx.connection()).await?;
    }
    if user.mfa_enrolled_at.is_some() {
        let bound = Bound { transport, device };
        let token = tickets::issue(app, tx.connection(), user.id, Purpose::Mfa, &bound.to_text(app)).await?;
        tx.commit(origin, Event::success(Kind::MfaRequired, "login").on("user", user.id)).await?;
        return Ok(Login::MfaRequired(token));
    }
    let way = Way { transport, mfa: false, device };
    let done = establish(app, &mut tx, origin, user, way).await?;
    tx.commit(origin, done.event("login", &["password"])).await?;
    Ok(Login::SignedIn(Box::new(done)))
}

/// What a sign-in that waits for its second factor is bound to.
#[derive(Debug)]
pub struct Bound {
    /// How the session's token is to travel.
    pub transport: Transport,
    /// The device, if it signed in before.
    pub device: Option<Device>,
}

impl Bound {
    fn to_text(&self, app: &App) -> String {
        let transport = match self.transport {
            Transport::Cookie => "COOKIE",
            Transport::Token => "TOKEN",
        };
        format!("{transport} {}", self.device.map(|device| device.mark(app)).unwrap_or_default())
    }

    /// Reads a ticket's payload.
    #[must_use]
    pub fn from_text(app: &App, text: &str) -> Option<Self> {
        let (transport, device) = text.split_once(' ')?;
        let transport = match transport {
            "COOKIE" => Transport::Cookie,
            "TOKEN" => Transport::Token,
            _ => return None,
        };
        Some(Self { transport, device: Device::parse(app, device) })
    }
}

impl SignedIn {
    /// The event that tells of it.
    #[must_use]
    pub fn event(&self, action: &str, factors: &[&str]) -> Event {
        Event::success(Kind::LoginSuccess, action)
            .by(self.user.id)
            .in_session(self.opened.session.id)
            .on("session", self.opened.session.id)
            .details(serde_json::json!({ "factors": factors }))
    }
}

/// Opens a session for `user`, who has proved all that is asked for, and writes to them if their device is
/// new.
///
/// # Errors
/// When the database cannot.
pub async fn establish(app: &App, tx: &mut Tx, origin: &Origin, user: Model, way: Way) -> Result<SignedIn> {
    tx.touch(user.id);
    let opened = open(app, tx.connection(), origin, user.id, way.transport, way.mfa).await?;
    if way.device.is_none() {
        let content = mail::Content::NewDevice {
            username: user.username.clone(),
            at_ms: app.clock.now().0,
            address: origin.address.map(|address| address.to_canonical().to_string()),
        };
        mail::post(app, tx.connection(), find::address(app, &user)?.expose_secret(), content).await?;
    }
    let device = way.device.unwrap_or_else(|| Device::new(user.id)).mark(app);
    Ok(SignedIn { user, opened, device: Some(device) })
}
