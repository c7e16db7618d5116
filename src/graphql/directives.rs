//! The directives of the schema: who may use a field, how it is counted, what it costs.

#![allow(missing_docs, non_camel_case_types, reason = "the macro makes the items; the schema documents them")]

use super::scalars::{PermissionName, RateClass};
use async_graphql::TypeDirective;

/// Anyone, signed in or not.
#[TypeDirective(location = "FieldDefinition", location = "Object")]
pub fn public() {}

/// Any active session.
#[TypeDirective(location = "FieldDefinition", location = "Object", name = "signedIn")]
pub fn signed_in() {}

/// A session whose role holds the permission.
#[TypeDirective(location = "FieldDefinition", location = "Object")]
pub fn requires(permission: PermissionName) {}

/// The owner, or a session whose role holds the permission.
#[TypeDirective(location = "FieldDefinition", location = "Object", name = "ownerOr")]
pub fn owner_or(permission: PermissionName) {}

/// The owner and nobody else.
#[TypeDirective(location = "FieldDefinition", location = "Object", name = "ownerOnly")]
pub fn owner_only() {}

/// On top of another rule: the person proved who they are a few minutes ago.
#[TypeDirective(location = "FieldDefinition", name = "recentAuth")]
pub fn recent_auth() {}

/// Counted against the class for each time the field executes.
#[TypeDirective(location = "FieldDefinition", name = "rateLimit")]
pub fn rate_limit(class: RateClass) {}

/// Points for each time the field executes; the named arguments multiply what is beneath.
#[TypeDirective(location = "FieldDefinition")]
pub fn cost(weight: i32, multipliers: Option<Vec<String>>) {}
