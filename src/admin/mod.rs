//! Administration: what somebody with authority does to somebody else's account.
//!
//! - this file: role, status, lock, sessions and removal, each with its guard rails.
//! - [`graphql`]: the guarded fields.
//!
//! Every change is decided on locked rows ([`admins`]), recorded with before, after and reason, and
//! takes effect on the very next request, since it ends the sessions it concerns in the same transaction.
//! A refusal by a guard rail is recorded as well.

pub mod graphql;

use crate::access::{Identity, Permission};
use crate::accounts::admins::{self, Locked};
use crate::accounts::{attempts, find};
use crate::app::App;
use crate::audit::{Event, Kind, Origin, Tx};
use crate::error::{Error, Problems, Result};
use crate::mail;
use crate::mfa;
use crate::sessions::end;
use crate::text;
use entity::audit_event::Status;
use entity::id::UserId;
use entity::user::{ActiveModel, Column, Entity, Model, Role};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, Set};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Characters of a reason at most.
pub const REASON_MAX: usize = 500;

/// Who acts.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// An administrator who is signed in.
    Admin(&'a Identity),
    /// Somebody with access to the machine, by the command line.
    Operator,
}

impl By<'_> {
    fn user_id(self) -> Option<UserId> {
        match self {
            Self::Admin(identity) => Some(identity.user_id()),
            Self::Operator => None,
        }
    }

    fn is(self, target: UserId) -> bool {
        self.user_id() == Some(target)
    }
}

/// What an administrator does to whom, for the trail.
#[derive(Debug, Clone, Copy)]
struct Act<'a> {
    app: &'a App,
    origin: &'a Origin,
    by: By<'a>,
    target: UserId,
    action: &'static str,
}

impl Act<'_> {
    /// Begins: locks the rows and asks again whether the actor may.
    async fn begin(self, permission: Permission) -> Result<(Tx, Locked)> {
        let mut tx = self.app.audit.begin().await?;
        tx.touch(self.target);
        let locked = admins::lock(tx.connection(), self.by.user_id(), self.target).await?;
        if let Some(actor) = self.by.user_id() {
            locked.still_holds(actor, permission)?;
        }
        Ok((tx, locked))
    }

    fn event(self, kind: Kind, details: Value) -> Event {
        Event::success(kind, self.action).on("user", self.target).details(details)
    }

    /// Records that a guard rail refused, after the transaction was given up.
    async fn refused<T>(self, outcome: Result<T>) -> Result<T> {
        if let Err(error @ (Error::Conflict(_) | Error::Forbidden)) = &outcome {
            let event = self
                .event(Kind::AuthzFail, json!({ "code": error.code(), "reason": error.to_string() }))
                .status(Status::Denied);
            self.app.audit.record(self.origin, vec![event]).await?;
        }
        outcome
    }
}

/// Checks a reason that somebody has to give.
///
/// # Errors
/// `BAD_USER_INPUT` unless it is one line of 1 to [`REASON_MAX`] characters.
pub fn checked_reason(reason: &str) -> Result<String> {
    let mut problems = Problems::default();
    match problems.take("reason", text::line(reason, 1, REASON_MAX)) {
        Some(reason) => Ok(reason),
        None => Err(problems.into_error()),
    }
}

/// Gives `target` another role and ends their sessions. Nobody changes their own.
///
/// # Errors
/// `CONFLICT` for one's own role and for the last active administrator; `NOT_FOUND`.
pub async fn set_role(
    app: &App,
    origin: &Origin,
    by: By<'_>,
    target: UserId,
    role: Role,
    reason: &str,
) -> Result<Model> {
    let act = Act { app, origin, by, target, action: "setUserRole" };
    let reason = checked_reason(reason)?;
    let outcome = async {
        if by.is(target) {
            return Err(Error::Conflict("nobody changes their own role"));
        }
        let (tx, locked) = act.begin(Permission::AdminAccess).await?;
        let before = locked.target()?.clone();
        if before.role == role {
            return Ok(before);
        }
        if role != Role::Admin {
            locked.keep_last_admin()?;
        }
        let change = ActiveModel {
            id: Set(target),
            role: Set(role),
            updated_at: Set(app.clock.now()),
            ..Default::default()
        };
        let after = change.update(tx.connection()).await?;
        let ended = end::all_of(tx.connection(), target, None).await?;
        let name = |role: Role| crate::audit::event::role_name(role);
        let details = json!({
            "before": { "role": name(before.role) }, "after": { "role": name(role) },
            "sessionsEnded": ended, "reason": reason,
        });
        tx.commit(origin, act.event(Kind::AuthzChange, details)).await?;
        Ok(after)
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}

/// Lets `target` sign in or not; when not, ends their sessions at once.
///
/// # Errors
/// `CONFLICT` for oneself and for the last active administrator; `NOT_FOUND`.
pub async fn set_active(
    app: &App,
    origin: &Origin,
    by: By<'_>,
    target: UserId,
    active: bool,
    reason: &str,
) -> Result<Model> {
    let act = Act { app, origin, by, target, action: "setUserActive" };
    let reason = checked_reason(reason)?;
    let outcome = async {
        if by.is(target) {
            return Err(Error::Conflict("nobody deactivates their own account; delete it instead"));
        }
        let (tx, locked) = act.begin(Permission::WriteUsers).await?;
        let before = locked.target()?.clone();
        if before.is_active == active {
            return Ok(before);
        }
        if !active {
            locked.keep_last_admin()?;
        }
        let change = ActiveModel {
            id: Set(target),
            is_active: Set(active),
            updated_at: Set(app.clock.now()),
            ..Default::default()
        };
        let after = change.update(tx.connection()).await?;
        let ended = if active { 0 } else { end::all_of(tx.connection(), target, None).await? };
        let details = json!({
            "before": { "isActive": before.is_active }, "after": { "isActive": active },
            "sessionsEnded": ended, "reason": reason,
        });
        tx.commit(origin, act.event(Kind::UserUpdated, details)).await?;
        Ok(after)
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}

/// Lifts the lock that failed sign-ins put on `target`.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn unlock(app: &App, origin: &Origin, by: By<'_>, target: UserId) -> Result<Model> {
    let act = Act { app, origin, by, target, action: "unlockUser" };
    let outcome = async {
        let (tx, locked) = act.begin(Permission::WriteUsers).await?;
        let user = locked.target()?.clone();
        let (failures, until) = attempts::standing(app, tx.connection(), target).await?;
        let details = json!({
            "before": { "failedLogins": failures, "lockedUntil": until.map(|at| at.0) },
            "after": { "failedLogins": 0, "lockedUntil": null },
        });
        attempts::clear_all(tx.connection(), target).await?;
        tx.commit(origin, act.event(Kind::UserUpdated, details)).await?;
        Ok(user)
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}

/// Removes the second factor of `target`, who has lost it, and ends their sessions.
///
/// # Errors
/// `CONFLICT` for one's own and when none is enrolled; `NOT_FOUND`.
pub async fn reset_mfa(
    app: &App,
    origin: &Origin,
    by: By<'_>,
    target: UserId,
    reason: &str,
) -> Result<Model> {
    let act = Act { app, origin, by, target, action: "resetUserMfa" };
    let reason = checked_reason(reason)?;
    let outcome = async {
        if by.is(target) {
            return Err(Error::Conflict("remove your own second factor with disableMfa"));
        }
        let (mut tx, locked) = act.begin(Permission::AdminAccess).await?;
        let user = locked.target()?.clone();
        let ended = mfa::manage::reset(app, &mut tx, &user).await?;
        let details = json!({
            "before": { "mfa": true }, "after": { "mfa": false }, "sessionsEnded": ended, "reason": reason,
        });
        tx.commit(origin, act.event(Kind::MfaChange, details)).await?;
        Ok(Model { mfa_enrolled_at: None, ..user })
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}

/// Ends all sessions of `target`.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn revoke_sessions(app: &App, origin: &Origin, by: By<'_>, target: UserId) -> Result<(Model, u64)> {
    let act = Act { app, origin, by, target, action: "revokeUserSessions" };
    let outcome = async {
        let (tx, locked) = act.begin(Permission::WriteUsers).await?;
        let user = locked.target()?.clone();
        let ended = end::all_of(tx.connection(), target, None).await?;
        let details = json!({ "before": { "sessions": ended }, "after": { "sessions": 0 } });
        tx.commit(origin, act.event(Kind::SessionEnd, details)).await?;
        Ok((user, ended))
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}

/// Removes the account of `target` with all that it owns; its events stay.
///
/// # Errors
/// `CONFLICT` for oneself and for the last active administrator; `NOT_FOUND`.
pub async fn delete(app: &App, origin: &Origin, by: By<'_>, target: UserId, reason: &str) -> Result<()> {
    let act = Act { app, origin, by, target, action: "deleteUser" };
    let reason = checked_reason(reason)?;
    let outcome = async {
        if by.is(target) {
            return Err(Error::Conflict("delete your own account with deleteMyAccount"));
        }
        let (tx, locked) = act.begin(Permission::DeleteUsers).await?;
        let before = locked.target()?;
        locked.keep_last_admin()?;
        let address = find::address(app, before);
        #[allow(clippy::disallowed_methods, reason = "a count for the trail, of the account that goes")]
        let posts = entity::post::Entity::find()
            .filter(entity::post::Column::AuthorId.eq(target))
            .count(tx.connection())
            .await?;
        let details = json!({
            "before": {
                "role": crate::audit::event::role_name(before.role),
                "isActive": before.is_active,
                "username": before.username,
                "posts": posts,
            },
            "after": null,
            "reason": reason,
        });
        // Sessions, factors and posts go with it (foreign keys).
        #[allow(clippy::disallowed_methods, reason = "DELETE_USERS, on a locked row")]
        Entity::delete_many().filter(Column::Id.eq(target)).exec(tx.connection()).await?;
        match address {
            Ok(address) => mail::forget(app, tx.connection(), address.expose_secret()).await?,
            // A ciphertext that does not open must not keep an account alive.
            Err(error) => tracing::warn!(%error, "a deleted account's address does not open: its mail stays"),
        }
        tx.commit(origin, act.event(Kind::UserDeleted, details)).await
    };
    let outcome = outcome.await;
    act.refused(outcome).await
}
