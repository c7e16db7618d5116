//! What an audit event says.

use entity::audit_event::Status;
use entity::id::{SessionId, UserId};
use std::net::IpAddr;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)*) => {
        /// The kinds of event, named after the OWASP Application Logging Vocabulary.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)* }

        impl Kind {
            /// All of them, for the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name as stored and as clients filter by it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// Somebody signed in; the details name the factors.
    LoginSuccess = "authn_login_success";
    /// A sign-in failed.
    LoginFail = "authn_login_fail";
    /// Sign-in is held back after failures.
    LoginLock = "authn_login_lock";
    /// A password was right and a second factor is asked for.
    MfaRequired = "authn_mfa_required";
    /// A password changed.
    PasswordChange = "authn_password_change";
    /// A password change or reset failed.
    PasswordChangeFail = "authn_password_change_fail";
    /// A second factor was enrolled, changed or removed.
    MfaChange = "authn_mfa_change";
    /// A token was made.
    TokenCreated = "authn_token_created";
    /// A token was revoked.
    TokenRevoked = "authn_token_revoked";
    /// A token was used again after it had been replaced.
    TokenReuse = "authn_token_reuse";
    /// A session ended by its owner's or an administrator's wish.
    SessionEnd = "session_end";
    /// A request was refused for want of a permission or a session.
    AuthzFail = "authz_fail";
    /// A role changed.
    AuthzChange = "authz_change";
    /// An administrator acted.
    AuthzAdmin = "authz_admin";
    /// An account was made.
    UserCreated = "user_created";
    /// An account changed.
    UserUpdated = "user_updated";
    /// An account was removed.
    UserDeleted = "user_deleted";
    /// A resource was made.
    Create = "sensitive_create";
    /// Another person's personal data, or the trail itself, was read.
    Read = "sensitive_read";
    /// A resource changed.
    Update = "sensitive_update";
    /// A resource was removed.
    Delete = "sensitive_delete";
    /// A limit was exceeded.
    RateLimit = "excess_rate_limit_exceeded";
    /// Input was refused by a rule that honest clients do not meet.
    InputFail = "input_validation_fail";
    /// A request looked like an attack.
    Malicious = "malicious_attack_tool";
    /// A cross-site request was refused.
    CsrfFail = "malicious_csrf";
    /// A stored ciphertext did not open.
    SealBroken = "crypt_decrypt_fail";
    /// A key was made, rotated or retired.
    KeyChange = "crypt_key_change";
    /// The server started.
    Startup = "sys_startup";
    /// The server stopped.
    Shutdown = "sys_shutdown";
    /// The audit trail does not verify.
    AuditBroken = "sys_audit_broken";
    /// Too many sign-ins failed for one account or from one address.
    LoginFailMax = "authn_login_fail_max";
    /// One address tried many accounts.
    Spraying = "malicious_password_spraying";
    /// Somebody guesses ids.
    DirectReference = "malicious_direct_reference";
    /// Too many second factors failed.
    MfaFailMax = "authn_mfa_fail_max";
    /// A request took very long.
    SlowRequest = "sys_slow_request";
    /// A part of the system failed or recovered.
    Degraded = "sys_degraded";
}

/// The name of `role` in details.
#[must_use]
pub fn role_name(role: entity::user::Role) -> String {
    sea_orm::ActiveEnum::to_value(&role)
}

/// Who acts and from where: the same for every event of a request.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Who, when signed in.
    pub actor: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's user agent.
    pub user_agent: Option<String>,
    /// The mark of a device that signed in before, as presented; not written to the trail.
    pub device: Option<String>,
}

/// One event, before it is written.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// How it ended.
    pub status: Status,
    /// The GraphQL field or command.
    pub action: Option<String>,
    /// What it was done to: kind and id.
    pub resource: Option<(&'static str, String)>,
    /// More, sealed.
    pub details: Option<serde_json::Value>,
    /// Who did it, where the origin does not know (a sign-in).
    pub actor: Option<UserId>,
    /// The session that the event opens, where the origin has none.
    pub session: Option<SessionId>,
}

impl Event {
    /// Something that was done by `action`.
    #[must_use]
    pub fn success(kind: Kind, action: impl Into<String>) -> Self {
        Self {
            kind,
            status: Status::Success,
            action: Some(action.into()),
            resource: None,
            details: None,
            actor: None,
            session: None,
        }
    }

    /// The same with another outcome.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Names what it was done to.
    #[must_use]
    pub fn on(mut self, kind: &'static str, id: impl ToString) -> Self {
        self.resource = Some((kind, id.to_string()));
        self
    }

    /// Says more.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Names who did it.
    #[must_use]
    pub fn by(mut self, actor: UserId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Names the session it opened.
    #[must_use]
    pub fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }
}
