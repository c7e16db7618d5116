//! What a message says, as data, and errands that end in messages.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What happened to a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MfaChange {
    /// It was enrolled.
    Enrolled,
    /// It was removed by its owner.
    Disabled,
    /// It was removed by an administrator.
    Reset,
    /// The backup codes were replaced.
    NewBackupCodes,
    /// A backup code was used.
    BackupCodeUsed,
}

/// A message to a person. `username` greets them; a `token` is shown as a link and to copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[allow(missing_docs, reason = "the fields are what the variants say")]
pub enum Content {
    /// Prove that the address is yours.
    VerifyAddress { username: String, token: String },
    /// Somebody asked for an account with your address; you have one.
    AddressTaken { username: String },
    /// You asked for an account under a name that is taken.
    NameTaken { wished: String },
    /// Set a new password.
    ResetPassword { username: String, token: String },
    /// Prove that this address, which is to become the account's, is yours.
    ConfirmAddress { username: String, token: String },
    /// Somebody asked to move your account to another address.
    AddressChangeAsked { username: String },
    /// Your account has moved to another address.
    AddressChanged { username: String },
    /// Your password has changed.
    PasswordChanged { username: String },
    /// Your password works no more, until you reset it.
    PasswordDisabled { username: String },
    /// Your second factor has changed.
    MfaChanged { username: String, change: MfaChange },
    /// Somebody signed in from a device that had not signed in before. Time in ms since the Unix epoch.
    NewDevice { username: String, at_ms: i64, address: Option<String> },
}

/// An errand that the worker looks into, so that the request that caused it does the same work whether or
/// not there is an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[allow(missing_docs, reason = "the fields are what the variants say")]
pub enum Request {
    /// Somebody registered: write to the address according to what came of it.
    Registered { user: Uuid, username: String },
    /// Somebody wants a new password for the account with the address.
    Reset,
    /// Somebody wants their account moved to the address.
    ChangeAddress { user: Uuid },
}

impl Content {
    /// A name for operators.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::VerifyAddress { .. } => "verify_address",
            Self::AddressTaken { .. } => "address_taken",
            Self::NameTaken { .. } => "name_taken",
            Self::ResetPassword { .. } => "reset_password",
            Self::ConfirmAddress { .. } => "confirm_address",
            Self::AddressChangeAsked { .. } => "address_change_asked",
            Self::AddressChanged { .. } => "address_changed",
            Self::PasswordChanged { .. } => "password_changed",
            Self::PasswordDisabled { .. } => "password_disabled",
            Self::MfaChanged { .. } => "mfa_changed",
            Self::NewDevice { .. } => "new_device",
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}
