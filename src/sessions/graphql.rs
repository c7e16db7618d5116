//! Sessions in the schema.

use super::login::{self, Login, SignedIn};
use super::open::Opened;
use super::{end, password};
use crate::accounts::device;
use crate::accounts::graphql::User;
use crate::crypto::{Token, csrf};
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, recent_auth, signed_in};
use crate::graphql::guard::declared;
use crate::graphql::scalars::{DateTime, RateClass, Transport};
use crate::graphql::{id, sealed};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use entity::session::Model;
use secrecy::SecretString;

/// A sign-in that has not ended.
#[derive(Debug, Clone)]
pub struct Session(pub Model);

/// A sign-in that has not ended. Reached only through its owner or ADMIN_ACCESS.
#[Object(guard = "declared(\"Session\")", directive = public::apply())]
impl Session {
    /// The session's id.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// When the person signed in.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// The last use, to within a minute.
    async fn last_seen_at(&self) -> DateTime {
        self.0.last_seen_at.into()
    }

    /// When it ends at the latest.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }

    /// From which address it was opened.
    async fn ip_address(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.address.as_ref()).await
    }

    /// With which program.
    async fn user_agent(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.user_agent.as_ref()).await
    }

    /// Whether it is the session of this request.
    async fn current(&self, ctx: &Context<'_>) -> bool {
        RequestContext::of(ctx).viewer.identity().is_some_and(|identity| identity.session_id() == self.0.id)
    }

    /// Whether a second factor was used.
    async fn mfa(&self) -> bool {
        self.0.mfa
    }
}

/// Who wants to sign in.
#[derive(InputObject)]
pub struct LoginInput {
    /// User name or e-mail address.
    identifier: String,
    /// The password.
    password: String,
    /// How the token is to travel.
    #[graphql(default_with = "Transport::Cookie")]
    transport: Transport,
    /// TOKEN: the `deviceToken` of an earlier sign-in on this device; better sent as `X-Device-Token`, which
    /// the limits see too. Browsers keep it in a cookie.
    device_token: Option<String>,
}

/// How far a sign-in has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum LoginStatus {
    /// A session is open.
    SignedIn,
    /// The password was right; a second factor is asked for.
    MfaRequired,
}

/// The outcome of a sign-in. Secrets in it are shown this once.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct LoginPayload {
    /// How far it has come.
    status: LoginStatus,
    /// Who signed in.
    user: Option<User>,
    /// The new session.
    session: Option<Session>,
    /// TOKEN: the session's token, for `Authorization: Bearer`.
    token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    csrf_token: Option<String>,
    /// MFA_REQUIRED: for `completeMfaLogin`, within five minutes.
    mfa_token: Option<String>,
    /// TOKEN: marks this device; give it back at the next sign-in. It opens nothing.
    device_token: Option<String>,
}

impl LoginPayload {
    /// Somebody is signed in; sets the cookies where that is the transport.
    #[must_use]
    pub fn signed_in(request: &RequestContext, done: SignedIn) -> Self {
        request.prove(done.user.id);
        let Renewed { session, token, csrf_token } = Renewed::new(request, done.opened);
        let by_cookie = session.0.transport == entity::session::Transport::Cookie;
        if let Some(mark) = done.device.as_deref().filter(|_| by_cookie) {
            request.set_cookie(device::cookie(mark));
        }
        Self {
            status: LoginStatus::SignedIn,
            user: Some(User(done.user)),
            session: Some(session),
            token,
            csrf_token,
            mfa_token: None,
            device_token: done.device.filter(|_| !by_cookie),
        }
    }

    /// The password was right, and `token` is good for one second factor.
    #[must_use]
    pub fn mfa_required(token: &Token) -> Self {
        Self {
            status: LoginStatus::MfaRequired,
            user: None,
            session: None,
            token: None,
            csrf_token: None,
            mfa_token: Some(token.expose()),
            device_token: None,
        }
    }
}

/// A session's new token, as its transport carries it.
#[derive(Debug)]
pub struct Renewed {
    /// The session.
    pub session: Session,
    /// TOKEN: its new token.
    pub token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    pub csrf_token: Option<String>,
}

impl Renewed {
    /// For `opened`; sets the cookie where that is the transport.
    #[must_use]
    pub fn new(request: &RequestContext, opened: Opened) -> Self {
        let session = opened.session;
        let (token, csrf_token) = match session.transport {
            entity::session::Transport::Token => (Some(opened.token.expose()), None),
            entity::session::Transport::Cookie => {
                request.set_cookie(super::cookie::issue(&request.app, &session, &opened.token));
                (None, Some(csrf::issue(&request.app.keyring, session.id.uuid())))
            }
        };
        Self { session: Session(session), token, csrf_token }
    }
}

/// The password has changed. The session's old token opens nothing any more.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ChangePasswordPayload {
    /// The session.
    session: Session,
    /// TOKEN: its new token.
    token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    csrf_token: Option<String>,
}

/// The password at hand and the one to be.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The password at hand.
    current_password: String,
    /// 15 characters or more, or 8 with a second factor.
    new_password: String,
}

/// Whose password was forgotten.
#[derive(InputObject)]
pub struct RequestPasswordResetInput {
    /// The account's address.
    email: String,
}

/// The same whether or not there is such an account.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RequestPasswordResetPayload {
    /// The request was well formed.
    accepted: bool,
}

/// The token from the message and the password to be.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The token.
    token: String,
    /// 15 characters or more, or 8 with a second factor.
    new_password: String,
}

/// The password is set; nobody is signed in by that.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ResetPasswordPayload {
    /// Always true.
    done: bool,
}

/// The session has ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct LogoutPayload {
    /// Always true.
    done: bool,
}

/// Which session to end.
#[derive(Debug, InputObject)]
pub struct RevokeSessionInput {
    /// Its id; it must be the viewer's.
    id: ID,
}

/// The session has ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RevokeSessionPayload {
    /// Its id.
    revoked_id: ID,
}

/// The other sessions have ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RevokeOtherSessionsPayload {
    /// How many they were.
    revoked: i32,
}

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
        let Renewed { session, token, csrf_token } = Renewed::new(request, opened);
        Ok(Some(ChangePasswordPayload { session, token, csrf_token }))
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
