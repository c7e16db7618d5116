//! Privacy in the schema.

use super::{erase, export};
use crate::error::Result;
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, recent_auth, signed_in};
use crate::graphql::guard::declared;
use crate::graphql::scalars::RateClass;
use crate::sessions::cookie;
use async_graphql::{Context, InputObject, Json, Object, SimpleObject};
use secrecy::SecretString;

/// One part of everything that is stored about the viewer.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ExportMyDataPayload {
    /// Profile and sessions (in the first part), posts and audit events.
    data: Json<serde_json::Value>,
    /// Pass as `after` for the next part; null when this was the last.
    next: Option<String>,
}

/// Proof that it is meant.
#[derive(InputObject)]
pub struct DeleteMyAccountInput {
    /// The password.
    password: String,
}

/// The account is gone.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct DeleteMyAccountPayload {
    /// Always true.
    done: bool,
}

/// A person's rights over their own data.
#[derive(Debug, Default)]
pub struct PrivacyMutation;

/// A person's rights over their own data.
#[Object(guard = "declared(\"Mutation\")")]
impl PrivacyMutation {
    /// Everything that is stored about the viewer, opened, in parts of about 4 MiB.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Register),
        directive = cost::apply(200, None)
    )]
    async fn export_my_data(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
    ) -> Result<Option<ExportMyDataPayload>> {
        let request = RequestContext::of(ctx);
        let part = export::part(&request.app, &request.origin, request.identity()?, after.as_deref()).await?;
        Ok(Some(ExportMyDataPayload { data: Json(part.data), next: part.next }))
    }

    /// Erases the viewer's account for good. All sessions end at once.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(20, None)
    )]
    async fn delete_my_account(
        &self,
        ctx: &Context<'_>,
        input: DeleteMyAccountInput,
    ) -> Result<Option<DeleteMyAccountPayload>> {
        let request = RequestContext::of(ctx);
        let identity = request.identity()?;
        erase::account(&request.app, &request.origin, identity, SecretString::from(input.password)).await?;
        if identity.by_cookie() {
            request.set_cookie(cookie::expire(&request.app));
            request.clear_site_data();
        }
        Ok(Some(DeleteMyAccountPayload { done: true }))
    }
}
