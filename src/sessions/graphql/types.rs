//! What goes into signing in and out, and what comes back.

use crate::accounts::device;
use crate::accounts::graphql::User;
use crate::crypto::{Token, csrf};
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::public;
use crate::graphql::guard::declared;
use crate::graphql::scalars::{DateTime, Transport};
use crate::graphql::sealed;
use crate::sessions::cookie;
use crate::sessions::login::SignedIn;
use crate::sessions::open::Opened;
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use entity::session::Model;

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
    pub(super) identifier: String,
    /// The password.
    pub(super) password: String,
    /// How the token is to travel.
    #[graphql(default_with = "Transport::Cookie")]
    pub(super) transport: Transport,
    /// TOKEN: the `deviceToken` of an earlier sign-in on this device; better sent as `X-Device-Token`, which
    /// the limits see too. Browsers keep it in a cookie.
    pub(super) device_token: Option<String>,
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
    pub(super) status: LoginStatus,
    /// Who signed in.
    pub(super) user: Option<User>,
    /// The new session.
    pub(super) session: Option<Session>,
    /// TOKEN: the session's token, for `Authorization: Bearer`.
    pub(super) token: Option<String>,
    /// TOKEN: a signed token (JWT) of 15 minutes, for other services; this one takes it as Bearer too.
    pub(super) access_token: Option<String>,
    /// When that ends.
    pub(super) access_token_expires_at: Option<DateTime>,
    /// TOKEN: for `refreshSession`, once; used again, it ends the session.
    pub(super) refresh_token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    pub(super) csrf_token: Option<String>,
    /// MFA_REQUIRED: for `completeMfaLogin`, within five minutes.
    pub(super) mfa_token: Option<String>,
    /// TOKEN: marks this device; give it back at the next sign-in. It opens nothing.
    pub(super) device_token: Option<String>,
}

impl LoginPayload {
    /// Somebody is signed in; sets the cookies where that is the transport.
    #[must_use]
    pub fn signed_in(request: &RequestContext, done: SignedIn) -> Self {
        request.prove(done.user.id);
        let user = done.user;
        let renewed = Renewed::new(request, done.opened);
        let mut payload = Self::renewed(request, user, renewed);
        let by_cookie = payload.csrf_token.is_some();
        if let Some(mark) = done.device.as_deref().filter(|_| by_cookie) {
            request.set_cookie(device::cookie(mark));
        }
        payload.device_token = done.device.filter(|_| !by_cookie);
        payload
    }

    /// The session has new tokens.
    pub(super) fn renewed(request: &RequestContext, user: entity::user::Model, renewed: Renewed) -> Self {
        let Renewed { session, token, refresh_token, csrf_token } = renewed;
        let access = token.is_some().then(|| access_token(request, &user, &session.0));
        let (access_token, access_token_expires_at) = access.unzip();
        Self {
            status: LoginStatus::SignedIn,
            user: Some(User(user)),
            session: Some(session),
            token,
            access_token,
            access_token_expires_at,
            refresh_token,
            csrf_token,
            mfa_token: None,
            device_token: None,
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
            access_token: None,
            access_token_expires_at: None,
            refresh_token: None,
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
    /// TOKEN: for `refreshSession`, once; the one before is void.
    pub refresh_token: Option<String>,
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
                request.set_cookie(cookie::issue(&request.app, &session, &opened.token));
                (None, Some(csrf::issue(&request.app.keyring, session.id.uuid())))
            }
        };
        let refresh_token = opened.refresh.map(|token| token.expose());
        Self { session: Session(session), token, refresh_token, csrf_token }
    }
}

/// A signed access token for `session`, and when it ends.
fn access_token(
    request: &RequestContext,
    user: &entity::user::Model,
    session: &entity::session::Model,
) -> (String, DateTime) {
    let role = crate::access::role::name(user.role);
    let now = request.app.clock.now();
    let (token, ends) = request.app.jwt.issue(&user.id.to_string(), &session.id.to_string(), role, now);
    (token, ends.into())
}

/// What renews a session.
#[derive(InputObject)]
pub struct RefreshSessionInput {
    /// The refresh token of the last answer. Absent: the cookie session of this request gets a new token.
    pub(super) refresh_token: Option<String>,
}

/// The password has changed. The session's old token opens nothing any more.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ChangePasswordPayload {
    /// The session.
    pub(super) session: Session,
    /// TOKEN: its new token.
    pub(super) token: Option<String>,
    /// TOKEN: for `refreshSession`; the one before is void.
    pub(super) refresh_token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    pub(super) csrf_token: Option<String>,
}

/// The password at hand and the one to be.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The password at hand.
    pub(super) current_password: String,
    /// 15 characters or more, or 8 with a second factor.
    pub(super) new_password: String,
}

/// Whose password was forgotten.
#[derive(InputObject)]
pub struct RequestPasswordResetInput {
    /// The account's address.
    pub(super) email: String,
}

/// The same whether or not there is such an account.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RequestPasswordResetPayload {
    /// The request was well formed.
    pub(super) accepted: bool,
}

/// The token from the message and the password to be.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The token.
    pub(super) token: String,
    /// 15 characters or more, or 8 with a second factor.
    pub(super) new_password: String,
}

/// The password is set; nobody is signed in by that.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ResetPasswordPayload {
    /// Always true.
    pub(super) done: bool,
}

/// The session has ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct LogoutPayload {
    /// Always true.
    pub(super) done: bool,
}

/// Which session to end.
#[derive(Debug, InputObject)]
pub struct RevokeSessionInput {
    /// Its id; it must be the viewer's.
    pub(super) id: ID,
}

/// The session has ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RevokeSessionPayload {
    /// Its id.
    pub(super) revoked_id: ID,
}

/// The other sessions have ended.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RevokeOtherSessionsPayload {
    /// How many they were.
    pub(super) revoked: i32,
}
