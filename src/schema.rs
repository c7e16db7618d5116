//! The schema: the slices' roots, merged, and the rules read back from it.

use crate::accounts::graphql::{AccountMutation, AccountQuery};
use crate::admin::graphql::AdminMutation;
use crate::audit::graphql::{AuditQuery, AuditSubscription};
use crate::defense::graphql::{DefenseMutation, DefenseQuery};
use crate::graphql::guard::SharedRules;
use crate::graphql::rules::{Rules, Undeclared};
use crate::mfa::graphql::MfaMutation;
use crate::posts::graphql::{PostMutation, PostQuery, PostSubscription};
use crate::privacy::graphql::PrivacyMutation;
use crate::sessions::graphql::SessionMutation;
use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions, Schema};

/// Everything that can be read.
#[derive(Debug, MergedObject, Default)]
pub struct Query(AccountQuery, PostQuery, AuditQuery, DefenseQuery);

/// Everything that can be changed.
#[derive(Debug, MergedObject, Default)]
pub struct Mutation(
    AccountMutation,
    SessionMutation,
    MfaMutation,
    PostMutation,
    AdminMutation,
    DefenseMutation,
    PrivacyMutation,
);

/// Everything that can be listened to.
#[derive(Debug, MergedSubscription, Default)]
pub struct Subscription(PostSubscription, AuditSubscription);

/// The schema's type.
pub type Gate = Schema<Query, Mutation, Subscription>;

/// Builds the schema and makes sure that every field says who may use it.
///
/// # Errors
/// The fields that do not.
pub fn build() -> Result<(Gate, String), Undeclared> {
    let shared = SharedRules::default();
    let schema = Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .data(SharedRules::clone(&shared))
        .validation_mode(async_graphql::ValidationMode::Strict)
        .finish();
    let sdl = schema
        .sdl_with_options(SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items());
    let rules = Rules::from_sdl(&sdl)?;
    // Set exactly once, right here.
    let _ = shared.set(rules);
    Ok((schema, sdl))
}
