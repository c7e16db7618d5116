//! Checking a password, at one cost whether or not the account exists (OWASP ASVS 6.3.8).

use super::find;
use crate::app::App;
use crate::crypto::password::Verdict;
use crate::error::Result;
use entity::user::Model;
use secrecy::SecretString;

/// What a checked password led to.
#[derive(Debug)]
pub enum Outcome {
    /// It is right, and the account may sign in. With a new hash where the parameters have changed.
    Accepted(Box<Model>, Option<String>),
    /// It is wrong, the account is unknown or may not sign in: the caller must not tell which.
    Refused {
        /// The account, for the audit trail only.
        account: Option<Box<Model>>,
        /// The reason, for the audit trail only.
        reason: &'static str,
    },
}

/// Compares `password` with the account that `identifier` names: one statement, one hash, always.
///
/// # Errors
/// `OVERLOADED` when the hash has to wait too long; otherwise when the database cannot.
pub async fn check(app: &App, identifier: &str, password: SecretString) -> Result<Outcome> {
    let account = find::by_identifier(app, identifier).await?;
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let verdict = app.hasher.verify(password.clone(), stored).await?;
    let refused =
        |account: Option<Model>, reason| Outcome::Refused { account: account.map(Box::new), reason };
    Ok(match (account, verdict) {
        (None, _) => refused(None, "unknown identifier"),
        (Some(account), Verdict::Mismatch) => refused(Some(account), "wrong password"),
        (Some(account), Verdict::Match { .. }) if !account.is_active => refused(Some(account), "deactivated"),
        (Some(account), Verdict::Match { needs_rehash }) => {
            let rehashed = if needs_rehash { Some(app.hasher.hash(password).await?) } else { None };
            Outcome::Accepted(Box::new(account), rehashed)
        }
    })
}
