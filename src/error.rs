//! The one `Error`: its `Display` is what a client may read, its `source()` is private.
//!
//! Slices return it, the kit turns it into a GraphQL error with `extensions.code`, and whatever
//! is unknown (a database's message, a bug) becomes `INTERNAL` with its cause logged once.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A result of the project's own functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Field → what is wrong with it, for `extensions.fields`.
pub type Fields = BTreeMap<&'static str, Vec<String>>;

/// Why a request or one field of it fails. Each variant has one code (see [`Error::code`]).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No active session.
    #[error("sign in first")]
    Unauthenticated,
    /// A sign-in failed, for whatever reason: unknown, wrong, locked and deactivated are not told apart.
    #[error("the identifier or the password is wrong")]
    WrongCredentials,
    /// A second factor was wrong, or the sign-in it belongs to has expired: the two are not told apart.
    #[error("the code is wrong, or the sign-in has expired")]
    WrongCode,
    /// The person's role demands a second factor, which the session is without.
    #[error("enrol a second factor first (enrollMfa, confirmMfa)")]
    EnrolmentRequired,
    /// The session lacks a permission.
    #[error("not allowed")]
    Forbidden,
    /// The session is too old for a sensitive change.
    #[error("confirm who you are first (reauthenticate)")]
    ReauthenticationRequired,
    /// A cookie session without its proof against cross-site requests.
    #[error("the request's origin or CSRF token is missing or wrong")]
    CsrfFailed,
    /// It does not exist, or not for this viewer: the two are not told apart.
    #[error("not found")]
    NotFound,
    /// It changed meanwhile, or the name is taken.
    #[error("{0}")]
    Conflict(&'static str),
    /// The input is wrong; each field with its reasons.
    #[error("the input is not valid")]
    BadUserInput(Fields),
    /// A limit on the number of requests.
    #[error("too many requests; try again in {retry_after} s")]
    RateLimited {
        /// Seconds until it may succeed.
        retry_after: u64,
    },
    /// The server cannot take it on just now.
    #[error("the server is busy; try again in {retry_after} s")]
    Overloaded {
        /// Seconds until it may succeed.
        retry_after: u64,
    },
    /// It took too long.
    #[error("the operation took too long")]
    Timeout,
    /// Anything else; the cause is for the log only.
    #[error("something went wrong on our side")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The value of `extensions.code`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated | Self::WrongCredentials | Self::WrongCode => "UNAUTHENTICATED",
            Self::Forbidden | Self::EnrolmentRequired => "FORBIDDEN",
            Self::ReauthenticationRequired => "REAUTHENTICATION_REQUIRED",
            Self::CsrfFailed => "CSRF_FAILED",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict(_) => "CONFLICT",
            Self::BadUserInput(_) => "BAD_USER_INPUT",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::Timeout => "TIMEOUT",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// One field, one reason.
    #[must_use]
    pub fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::BadUserInput(Fields::from([(field, vec![reason.into()])]))
    }

    /// Hides `cause` behind `INTERNAL`.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        match &error {
            sea_orm::DbErr::ConnectionAcquire(_) => {
                tracing::warn!(%error, "no database connection");
                Self::Overloaded { retry_after: 1 }
            }
            _ => Self::internal(error),
        }
    }
}

/// Collects what is wrong with several fields before refusing.
#[derive(Debug, Default)]
pub struct Problems(Fields);

impl Problems {
    /// Takes the value out of `result`, or notes its error under `field`.
    pub fn take<T, E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        result: std::result::Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.add(field, reason.to_string());
                None
            }
        }
    }

    /// Notes `reason` under `field`.
    pub fn add(&mut self, field: &'static str, reason: String) {
        self.0.entry(field).or_default().push(reason);
    }

    /// The error, whatever was noted.
    #[must_use]
    pub fn into_error(self) -> Error {
        Error::BadUserInput(self.0)
    }

    /// Refuses if anything was noted.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] with all of it.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }
}
