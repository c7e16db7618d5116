//! The guard on every type: enforces the rule that the schema declares for the field.
//!
//! A type names this guard once (`guard = "guard::declared(\"User\")"`), and async-graphql asks it for
//! each of the type's fields. No field has a guard of its own, since that would replace this one.
//! A field without a rule is refused, whoever asks.

use super::context::RequestContext;
use super::rules::{Access, Rule, Rules};
use crate::error::Error;
use async_graphql::{Context, Guard, Result};
use entity::id::UserId;
use std::sync::{Arc, OnceLock};

/// The rules, known once the schema is built.
pub type SharedRules = Arc<OnceLock<Rules>>;

/// Enforces the declared rule of the field at hand.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    type_name: &'static str,
    owner: Option<UserId>,
}

/// The guard for a type whose rows have no owner, or whose owner a resolver has to find out.
#[must_use]
pub const fn declared(type_name: &'static str) -> Declared {
    Declared { type_name, owner: None }
}

/// What a session may do whose role demands a second factor and that is without: enrol one, sign in
/// otherwise, or leave.
const WITHOUT_FACTOR: [&str; 7] =
    ["me", "enrollMfa", "confirmMfa", "reauthenticate", "logout", "login", "completeMfaLogin"];

/// Whether the viewer's role demands a second factor and the session is without one.
fn lacks_factor(request: &RequestContext) -> bool {
    request.viewer.identity().is_some_and(|identity| {
        let proved = identity.session.mfa && identity.user.mfa_enrolled_at.is_some();
        !proved && request.app.demands_mfa(identity.role())
    })
}

impl Declared {
    /// The same for a row that belongs to `owner`.
    #[must_use]
    pub const fn owned_by(self, owner: UserId) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Decides without side effects.
    fn decide(self, field: &str, rule: Rule, request: &RequestContext) -> std::result::Result<(), Error> {
        let is_root = matches!(self.type_name, "Query" | "Mutation" | "Subscription");
        if is_root && lacks_factor(request) && !WITHOUT_FACTOR.contains(&field) {
            return Err(Error::EnrolmentRequired);
        }
        let is_owner = self.owner.is_some_and(|owner| request.is(owner));
        if rule.access == Access::Public
            || (is_owner && matches!(rule.access, Access::OwnerOr(_) | Access::OwnerOnly))
        {
            return Ok(());
        }
        let Some(identity) = request.viewer.identity() else { return Err(Error::Unauthenticated) };
        let allowed = match rule.access {
            Access::Public | Access::SignedIn => true,
            Access::Requires(permission) => identity.holds(permission),
            // On a mutation the row is not known yet: its function takes `Mine` or asks for the permission.
            Access::OwnerOr(permission) => self.owner.is_none() || identity.holds(permission),
            Access::OwnerOnly => false,
        };
        if !allowed {
            return Err(Error::Forbidden);
        }
        let minutes = request.app.config.recent_auth_minutes;
        if rule.recent && !identity.recently_authenticated(request.app.clock.now(), minutes) {
            return Err(Error::ReauthenticationRequired);
        }
        Ok(())
    }
}

impl Guard for Declared {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        let request = RequestContext::of(ctx);
        let field = ctx.item.node.name.node.as_str();
        let rules = ctx.data_unchecked::<SharedRules>().get();
        let rule = rules.and_then(|rules| rules.get(self.type_name, field));
        let outcome = match rule {
            Some(rule) => self.decide(field, rule, request),
            None => Err(Error::Forbidden),
        };
        outcome.map_err(|error| {
            request.note_refusal(self.type_name, field, error.code());
            error.into()
        })
    }
}
