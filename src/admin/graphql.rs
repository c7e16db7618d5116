//! Administration in the schema.

use super::By;
use crate::accounts::graphql::User;
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, recent_auth, requires};
use crate::graphql::guard::declared;
use crate::graphql::id;
use crate::graphql::scalars::{PermissionName, RateClass, Role};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

/// Which role for whom, and why.
#[derive(Debug, InputObject)]
pub struct SetUserRoleInput {
    /// Whose.
    id: ID,
    /// The new role.
    role: Role,
    /// Why: 1 to 500 characters, kept in the audit trail.
    reason: String,
}

/// Whether somebody may sign in and act, and why.
#[derive(Debug, InputObject)]
pub struct SetUserActiveInput {
    /// Who.
    id: ID,
    /// Whether they may.
    active: bool,
    /// Why: 1 to 500 characters, kept in the audit trail.
    reason: String,
}

/// Whose lock to lift.
#[derive(Debug, InputObject)]
pub struct UnlockUserInput {
    /// Whose.
    id: ID,
}

/// Whose second factor to remove, and why.
#[derive(Debug, InputObject)]
pub struct ResetUserMfaInput {
    /// Whose.
    id: ID,
    /// Why: 1 to 500 characters, kept in the audit trail.
    reason: String,
}

/// Whose sessions to end.
#[derive(Debug, InputObject)]
pub struct RevokeUserSessionsInput {
    /// Whose.
    id: ID,
}

/// Whose account to remove, and why.
#[derive(Debug, InputObject)]
pub struct DeleteUserInput {
    /// Whose.
    id: ID,
    /// Why: 1 to 500 characters, kept in the audit trail.
    reason: String,
}

/// The account as it is now.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct UserPayload {
    /// The account.
    pub user: User,
}

/// The account is gone.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct DeleteUserPayload {
    /// Its id.
    deleted_id: ID,
}

/// Administration of accounts.
#[derive(Debug, Default)]
pub struct AdminMutation;

/// Administration of accounts.
#[Object(guard = "declared(\"Mutation\")")]
impl AdminMutation {
    /// Gives somebody another role and ends their sessions. Nobody changes their own; the last active
    /// administrator stays.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn set_user_role(&self, ctx: &Context<'_>, input: SetUserRoleInput) -> Result<Option<UserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        let role = input.role.into();
        let user = super::set_role(&request.app, &request.origin, by, target, role, &input.reason).await?;
        Ok(Some(UserPayload { user: User(user) }))
    }

    /// Lets somebody sign in and act, or not; then their sessions end at once.
    #[graphql(
        directive = requires::apply(PermissionName::WriteUsers),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn set_user_active(
        &self,
        ctx: &Context<'_>,
        input: SetUserActiveInput,
    ) -> Result<Option<UserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        let user =
            super::set_active(&request.app, &request.origin, by, target, input.active, &input.reason).await?;
        Ok(Some(UserPayload { user: User(user) }))
    }

    /// Lifts the lock that failed sign-ins put on an account.
    #[graphql(
        directive = requires::apply(PermissionName::WriteUsers),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn unlock_user(&self, ctx: &Context<'_>, input: UnlockUserInput) -> Result<Option<UserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        let user = super::unlock(&request.app, &request.origin, by, target).await?;
        Ok(Some(UserPayload { user: User(user) }))
    }

    /// Removes the second factor of somebody who has lost it, and ends their sessions.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn reset_user_mfa(
        &self,
        ctx: &Context<'_>,
        input: ResetUserMfaInput,
    ) -> Result<Option<UserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        let user = super::reset_mfa(&request.app, &request.origin, by, target, &input.reason).await?;
        Ok(Some(UserPayload { user: User(user) }))
    }

    /// Ends all sessions of somebody.
    #[graphql(
        directive = requires::apply(PermissionName::WriteUsers),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn revoke_user_sessions(
        &self,
        ctx: &Context<'_>,
        input: RevokeUserSessionsInput,
    ) -> Result<Option<UserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        let (user, _) = super::revoke_sessions(&request.app, &request.origin, by, target).await?;
        Ok(Some(UserPayload { user: User(user) }))
    }

    /// Removes somebody's account with all that it owns. What they did stays in the audit trail.
    #[graphql(
        directive = requires::apply(PermissionName::DeleteUsers),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        input: DeleteUserInput,
    ) -> Result<Option<DeleteUserPayload>> {
        let request = RequestContext::of(ctx);
        let target = id::parse("id", &input.id)?;
        let by = By::Admin(request.identity()?);
        super::delete(&request.app, &request.origin, by, target, &input.reason).await?;
        Ok(Some(DeleteUserPayload { deleted_id: input.id }))
    }
}
