//! Sessions in the schema.

use super::login::SignedIn;
use super::{end, login};
use crate::accounts::graphql::User;
use crate::crypto::csrf;
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, signed_in};
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
}

/// The payload for `done`; sets the cookie where that is the transport.
fn payload(request: &RequestContext, done: SignedIn) -> LoginPayload {
    request.prove(done.user.id);
    let session = done.opened.session;
    let (token, csrf_token) = match session.transport {
        entity::session::Transport::Token => (Some(done.opened.token.expose()), None),
        entity::session::Transport::Cookie => {
            request.set_cookie(super::cookie::issue(&request.app, &session, &done.opened.token));
            (None, Some(csrf::issue(&request.app.keyring, session.id.uuid())))
        }
    };
    LoginPayload {
        status: LoginStatus::SignedIn,
        user: Some(User(done.user)),
        session: Some(Session(session)),
        token,
        csrf_token,
    }
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
        let password = SecretString::from(input.password);
        let done =
            login::login(&request.app, &request.origin, &input.identifier, password, input.transport.into())
                .await?;
        Ok(Some(payload(request, done)))
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
