//! Times and enums as clients see them.

use crate::access::Permission;
use crate::text::rfc3339;
use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::DateTime as ChronoDateTime;
use entity::time::Timestamp;

/// A point in time, RFC 3339 in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        let time = ChronoDateTime::parse_from_rfc3339(&text)
            .map_err(|_| InputValueError::custom("expected an RFC 3339 time such as 2026-01-31T12:00:00Z"))?;
        Ok(Self(Timestamp(time.timestamp_millis())))
    }

    fn to_value(&self) -> Value {
        Value::String(rfc3339(self.0))
    }
}

impl From<Timestamp> for DateTime {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

/// What a user may do, as a named set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::user::Role")]
pub enum Role {
    /// Reads and writes posts of their own.
    User,
    /// Also removes others' posts and reads accounts.
    Moderator,
    /// Holds every permission.
    Admin,
}

/// Who may read a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::post::Visibility")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Its owner and moderators.
    Private,
}

/// How the client carries its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::session::Transport")]
pub enum Transport {
    /// The `__Host-session` cookie, HttpOnly; changes need the CSRF token.
    Cookie,
    /// Returned in the payload, sent as `Authorization: Bearer`.
    Token,
}

/// How a recorded act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::audit_event::Status")]
pub enum AuditStatus {
    /// It was done.
    Success,
    /// It was tried and did not succeed.
    Failure,
    /// It was refused.
    Denied,
    /// It wants somebody's attention.
    Alert,
}

/// How an execution of a field is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RateClass {
    /// Sign-in and whatever tries a secret.
    Login,
    /// Registration and whatever sends mail.
    Register,
    /// Every operation.
    Api,
    /// Administrative mutations.
    Admin,
}

/// One thing that a role may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Permission", remote = "Permission")]
pub enum PermissionName {
    /// Read accounts, personal data included.
    ReadUsers,
    /// Change accounts: activate, unlock, end sessions.
    WriteUsers,
    /// Remove accounts.
    DeleteUsers,
    /// Read posts.
    ReadPosts,
    /// Write posts of one's own.
    WritePosts,
    /// Remove anyone's posts, and read private ones.
    DeletePosts,
    /// Roles, audit trail, bans.
    AdminAccess,
}
