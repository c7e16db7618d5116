//! Second factors in the schema.

use super::{enroll, login, manage, step_up};
use crate::crypto::BackupCode;
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, recent_auth, signed_in};
use crate::graphql::guard::declared;
use crate::graphql::scalars::RateClass;
use crate::sessions::graphql::{LoginPayload, Renewed, Session};
use async_graphql::{Context, InputObject, Object, SimpleObject};

/// The second step of a sign-in.
#[derive(InputObject)]
pub struct CompleteMfaLoginInput {
    /// From the first step.
    mfa_token: String,
    /// Six digits from the app, or a backup code.
    code: String,
}

/// What proves again who one is.
#[derive(InputObject)]
pub struct ReauthenticateInput {
    /// The password.
    password: String,
    /// With a second factor enrolled: six digits from the app, or a backup code.
    code: Option<String>,
}

/// The person proved again who they are. The session's old token opens nothing any more.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ReauthenticatePayload {
    /// The session.
    session: Session,
    /// TOKEN: its new token.
    token: Option<String>,
    /// TOKEN: for `refreshSession`; the one before is void.
    refresh_token: Option<String>,
    /// COOKIE: to send back as `X-CSRF-Token`.
    csrf_token: Option<String>,
}

/// What an authenticator app needs; shown this once. Nothing is on until `confirmMfa`.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct EnrollMfaPayload {
    /// To type in: base32.
    secret: String,
    /// To open on the same device.
    otpauth_uri: String,
    /// To scan: a PNG as `data:` URI.
    qr_code_png: String,
    /// To scan: an SVG element.
    qr_code_svg: String,
}

/// A first code from the app.
#[derive(InputObject)]
pub struct ConfirmMfaInput {
    /// Six digits.
    code: String,
}

/// The second factor is on.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ConfirmMfaPayload {
    /// Ten codes to write down, for when the app is lost; shown this once, each good once.
    backup_codes: Vec<String>,
}

/// A last code.
#[derive(InputObject)]
pub struct DisableMfaInput {
    /// Six digits from the app, or a backup code.
    code: String,
}

/// The second factor is off.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct DisableMfaPayload {
    /// Always true.
    done: bool,
}

/// The old codes are void.
#[derive(SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RegenerateBackupCodesPayload {
    /// Ten codes to write down; shown this once, each good once.
    backup_codes: Vec<String>,
}

fn shown(codes: &[BackupCode]) -> Vec<String> {
    codes.iter().map(BackupCode::expose).collect()
}

/// Second factors.
#[derive(Debug, Default)]
pub struct MfaMutation;

/// Second factors.
#[Object(guard = "declared(\"Mutation\")")]
impl MfaMutation {
    /// Signs in by the second factor, after `login` answered MFA_REQUIRED.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(20, None)
    )]
    async fn complete_mfa_login(
        &self,
        ctx: &Context<'_>,
        input: CompleteMfaLoginInput,
    ) -> Result<Option<LoginPayload>> {
        let request = RequestContext::of(ctx);
        let done = login::complete(&request.app, &request.origin, &input.mfa_token, &input.code).await?;
        Ok(Some(LoginPayload::signed_in(request, done)))
    }

    /// Proves again who one is, for fields marked `@recentAuth`.
    #[graphql(
        directive = signed_in::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(20, None)
    )]
    async fn reauthenticate(
        &self,
        ctx: &Context<'_>,
        input: ReauthenticateInput,
    ) -> Result<Option<ReauthenticatePayload>> {
        let request = RequestContext::of(ctx);
        let me = request.identity()?;
        let (app, origin) = (&request.app, &request.origin);
        let opened =
            step_up::reauthenticate(app, origin, me, input.password.into(), input.code.as_deref()).await?;
        let Renewed { session, token, refresh_token, csrf_token } = Renewed::new(request, opened);
        Ok(Some(ReauthenticatePayload { session, token, refresh_token, csrf_token }))
    }

    /// Begins to add an authenticator app.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = cost::apply(20, None)
    )]
    async fn enroll_mfa(&self, ctx: &Context<'_>) -> Result<Option<EnrollMfaPayload>> {
        let request = RequestContext::of(ctx);
        let enrolment = enroll::enroll(&request.app, &request.origin, request.identity()?).await?;
        Ok(Some(EnrollMfaPayload {
            secret: enrolment.secret,
            otpauth_uri: enrolment.otpauth_uri,
            qr_code_png: enrolment.qr_code_png,
            qr_code_svg: enrolment.qr_code_svg,
        }))
    }

    /// Turns the second factor on by a first code. Other sessions end.
    #[graphql(
        directive = signed_in::apply(),
        directive = cost::apply(10, None)
    )]
    async fn confirm_mfa(
        &self,
        ctx: &Context<'_>,
        input: ConfirmMfaInput,
    ) -> Result<Option<ConfirmMfaPayload>> {
        let request = RequestContext::of(ctx);
        let me = request.identity()?;
        let codes = enroll::confirm(&request.app, &request.origin, me, &input.code).await?;
        Ok(Some(ConfirmMfaPayload { backup_codes: shown(&codes) }))
    }

    /// Turns the second factor off by a last code. Other sessions end.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = cost::apply(10, None)
    )]
    async fn disable_mfa(
        &self,
        ctx: &Context<'_>,
        input: DisableMfaInput,
    ) -> Result<Option<DisableMfaPayload>> {
        let request = RequestContext::of(ctx);
        manage::disable(&request.app, &request.origin, request.identity()?, &input.code).await?;
        Ok(Some(DisableMfaPayload { done: true }))
    }

    /// Replaces the backup codes. Other sessions end.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = cost::apply(10, None)
    )]
    async fn regenerate_backup_codes(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<RegenerateBackupCodesPayload>> {
        let request = RequestContext::of(ctx);
        let codes = manage::regenerate(&request.app, &request.origin, request.identity()?).await?;
        Ok(Some(RegenerateBackupCodesPayload { backup_codes: shown(&codes) }))
    }
}
