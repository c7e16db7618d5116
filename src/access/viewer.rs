//! Who is asking.

use super::role::{self, Permission};
use entity::id::{SessionId, UserId};
use entity::session::Transport;
use entity::time::Timestamp;
use entity::user::Role;
use std::sync::Arc;

/// What is known of a signed-in person for the length of a request.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Whose session it is.
    pub user: Arc<entity::user::Model>,
    /// The session that the token belongs to.
    pub session: Arc<entity::session::Model>,
}

impl Identity {
    /// The account.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.user.id
    }

    /// The session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session.id
    }

    /// What they may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.user.role
    }

    /// Whether they hold `permission`.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        role::holds(self.user.role, permission)
    }

    /// Whether the token came in a cookie, which a browser sends by itself.
    #[must_use]
    pub fn by_cookie(&self) -> bool {
        self.session.transport == Transport::Cookie
    }

    /// Whether they proved who they are within `minutes` before `now`.
    #[must_use]
    pub fn recently_authenticated(&self, now: Timestamp, minutes: u64) -> bool {
        let minutes = i64::try_from(minutes).unwrap_or(i64::MAX);
        now <= self.session.authenticated_at.plus_seconds(minutes.saturating_mul(60))
    }
}

/// Who is asking: somebody signed in, or anybody.
#[derive(Debug, Clone, Default)]
pub struct Viewer(Option<Identity>);

impl Viewer {
    /// Nobody is signed in.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self(None)
    }

    /// The owner of an active session.
    #[must_use]
    pub const fn signed_in(identity: Identity) -> Self {
        Self(Some(identity))
    }

    /// Who it is, if signed in.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.0.as_ref()
    }

    /// Their id, if signed in.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        self.0.as_ref().map(Identity::user_id)
    }

    /// Whether somebody is signed in who holds `permission`.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        self.0.as_ref().is_some_and(|identity| identity.holds(permission))
    }
}
