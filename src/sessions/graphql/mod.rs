//! Sessions in the schema.
//!
//! - [`types`]: what goes in and what comes back.

pub mod types;

pub use types::*;

use super::login::{self, Login};
use super::{end, password, refresh};
use crate::error::{Error, Result};
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, recent_auth, signed_in};
use crate::graphql::guard::declared;
use crate::graphql::id;
use crate::graphql::scalars::RateClass;
use async_graphql::{Context, Object};
use secrecy::SecretString;

/// Signing in and out.
#[derive(Debug, Default)]
pub struct SessionMutation;

/// Signing in and out.
#[Object(guard = "declared(\"Mutation\")")]
impl SessionMutation {
    /// Signs in by password. Unknown, wrong, locked and deactivated are not told apart.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(20, None)
    )]
    async fn login(&self, ctx: &Context<'_>, input: LoginInput) -> Result<Option<LoginPayload>> {
        let request = RequestContext::of(ctx);
        let attempt = login::Attempt {
            identifier: &input.identifier,
            password: SecretString::from(input.password),
            transport: input.transport.into(),
            device: input.device_token.as_deref().or(request.origin.device.as_deref()),
        };
        Ok(Some(match login::login(&request.app, &request.origin, attempt).await? {
            Login::SignedIn(done) => LoginPayload::signed_in(request, *done),
            Login::MfaRequired(token) => LoginPayload::mfa_required(&token),
        }))
    }

    /// Renews a session: by its refresh token, or the cookie session of this request.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(10, None)
    )]
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        input: Option<RefreshSessionInput>,
    ) -> Result<Option<LoginPayload>> {
        let request = RequestContext::of(ctx);
        if let Some(token) = input.and_then(|input| input.refresh_token) {
            let done = refresh::refresh(&request.app, &request.origin, &token).await?;
            request.prove(done.user.id);
            let renewed = Renewed::new(request, done.opened);
            return Ok(Some(LoginPayload::renewed(request, done.user, renewed)));
        }
        let me = request.identity()?;
        if !me.by_cookie() {
            return Err(Error::field("refreshToken", "is required for a session that travels as a token"));
        }
        let opened = refresh::replace_cookie(&request.app, &request.origin, me).await?;
        let renewed = Renewed::new(request, opened);
        Ok(Some(LoginPayload::renewed(request, (*me.user).clone(), renewed)))
    }

    /// Changes the password. Other sessions end, and this one gets a new token.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = cost::apply(20, None)
    )]
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        input: ChangePasswordInput,
    ) -> Result<Option<ChangePasswordPayload>> {
        let request = RequestContext::of(ctx);
        let (current, new) = (input.current_password.into(), input.new_password.into());
        let opened =
            password::change(&request.app, &request.origin, request.identity()?, current, new).await?;
        let Renewed { session, token, refresh_token, csrf_token } = Renewed::new(request, opened);
        Ok(Some(ChangePasswordPayload { session, token, refresh_token, csrf_token }))
    }

    /// Has a message sent with which a forgotten password can be replaced.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Register),
        directive = cost::apply(10, None)
    )]
    async fn request_password_reset(
        &self,
        ctx: &Context<'_>,
        input: RequestPasswordResetInput,
    ) -> Result<Option<RequestPasswordResetPayload>> {
        let request = RequestContext::of(ctx);
        password::request_reset(&request.app, &request.origin, &input.email).await?;
        Ok(Some(RequestPasswordResetPayload { accepted: true }))
    }

    /// Sets a new password by the token from the message, and ends all sessions.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(20, None)
    )]
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        input: ResetPasswordInput,
    ) -> Result<Option<ResetPasswordPayload>> {
        let request = RequestContext::of(ctx);
        password::reset(&request.app, &request.origin, &input.token, input.new_password.into()).await?;
        Ok(Some(ResetPasswordPayload { done: true }))
    }

    /// Ends the session of this request.
    #[graphql(directive = signed_in::apply())]
    async fn logout(&self, ctx: &Context<'_>) -> Result<Option<LogoutPayload>> {
        let request = RequestContext::of(ctx);
        let identity = request.identity()?;
        end::logout(&request.app, &request.origin, identity).await?;
        if identity.by_cookie() {
            request.set_cookie(super::cookie::expire(&request.app));
            request.clear_site_data();
        }
        Ok(Some(LogoutPayload { done: true }))
    }

    /// Ends one of the viewer's sessions, this one or another.
    #[graphql(directive = signed_in::apply())]
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        input: RevokeSessionInput,
    ) -> Result<Option<RevokeSessionPayload>> {
        let request = RequestContext::of(ctx);
        let identity = request.identity()?;
        let session = id::parse("id", &input.id)?;
        end::revoke(&request.app, &request.origin, identity, session).await?;
        if session == identity.session_id() && identity.by_cookie() {
            request.set_cookie(super::cookie::expire(&request.app));
            request.clear_site_data();
        }
        Ok(Some(RevokeSessionPayload { revoked_id: input.id }))
    }

    /// Ends the viewer's sessions but the one of this request.
    #[graphql(directive = signed_in::apply())]
    async fn revoke_other_sessions(&self, ctx: &Context<'_>) -> Result<Option<RevokeOtherSessionsPayload>> {
        let request = RequestContext::of(ctx);
        let revoked = end::revoke_others(&request.app, &request.origin, request.identity()?).await?;
        Ok(Some(RevokeOtherSessionsPayload { revoked: i32::try_from(revoked).unwrap_or(i32::MAX) }))
    }
}
