//! Checking a password, at one cost whether or not the account exists (OWASP ASVS 6.3.8).

use super::attempts::{self, Admission, FREE, MAX, Subject};
use super::device::Device;
use super::{email, find};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::crypto::password::Verdict;
use crate::error::Result;
use entity::audit_event::Status;
use entity::user::Model;
use secrecy::SecretString;

/// What a checked password led to.
#[derive(Debug)]
pub enum Outcome {
    /// It is right, and the account may sign in.
    Accepted(Box<Accepted>),
    /// It is wrong, held back, or the account is unknown or may not sign in: the caller must not tell
    /// which.
    Refused(Refusal),
}

/// A right password.
#[derive(Debug)]
pub struct Accepted {
    /// Whose.
    pub user: Model,
    /// A new hash, where the parameters have changed.
    pub rehashed: Option<String>,
    /// The device, if it signed in to this account before.
    pub device: Option<Device>,
    /// Whose failures to forget, with [`attempts::clear`].
    pub subject: Subject,
}

/// Why a password was refused: for the audit trail only.
#[derive(Debug)]
pub struct Refusal {
    /// The account, if there is one.
    pub account: Option<Box<Model>>,
    /// The reason.
    pub reason: &'static str,
    /// Tries in a row, where this one was let through.
    failures: Option<i32>,
}

impl Refusal {
    /// The events that tell of it, for the field `action`.
    #[must_use]
    pub fn events(&self, action: &str) -> Vec<Event> {
        let mut events = vec![
            Event::success(Kind::LoginFail, action)
                .status(Status::Failure)
                .details(serde_json::json!({ "reason": self.reason })),
        ];
        if let Some(failures) = self.failures.filter(|failures| *failures >= FREE) {
            let status = if failures >= MAX { Status::Alert } else { Status::Denied };
            let details = serde_json::json!({ "failures": failures, "untilReset": failures >= MAX });
            events.push(Event::success(Kind::LoginLock, action).status(status).details(details));
        }
        match &self.account {
            Some(account) => events.into_iter().map(|event| event.on("user", account.id)).collect(),
            None => events,
        }
    }
}

/// Compares `password` with the account that `identifier` names. The same statements and one hash, always.
///
/// # Errors
/// `OVERLOADED` when the hash has to wait too long; otherwise when the database cannot.
pub async fn check(
    app: &App,
    identifier: &str,
    password: SecretString,
    device: Option<&str>,
) -> Result<Outcome> {
    let account = find::by_identifier(app, identifier).await?;
    let device = device.and_then(|mark| Device::parse(app, mark));
    let device = device.filter(|device| account.as_ref().is_some_and(|account| account.id == device.user));
    let subject = match (&account, &device) {
        (Some(account), Some(device)) => Subject::device(account.id, &device.id),
        (Some(account), None) => Subject::account(account.id),
        (None, _) => Subject::identifier(app, &email::normalise(identifier.trim())),
    };
    let admission = attempts::admit(app, &subject).await?;
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let verdict = app.hasher.verify(password.clone(), stored).await?;
    let refused = |account: Option<Model>, reason| {
        let failures = match admission {
            Admission::Granted(failures) => Some(failures),
            Admission::HeldBack => None,
        };
        Ok(Outcome::Refused(Refusal { account: account.map(Box::new), reason, failures }))
    };
    let Some(account) = account else { return refused(None, "unknown identifier") };
    let needs_rehash = match (admission, verdict) {
        (Admission::HeldBack, _) => return refused(Some(account), "held back"),
        (_, Verdict::Mismatch) => return refused(Some(account), "wrong password"),
        _ if !account.is_active => return refused(Some(account), "deactivated"),
        (_, Verdict::Match { needs_rehash }) => needs_rehash,
    };
    let rehashed = if needs_rehash { Some(app.hasher.hash(password).await?) } else { None };
    Ok(Outcome::Accepted(Box::new(Accepted { user: account, rehashed, device, subject })))
}
