//! The kit for resolvers: rules and guards, the request's context, ids, pages, the error boundary.
//!
//! - [`directives`]: the directives that declare who may use a field, visible in the schema.
//! - [`rules`]: those declarations, read back from the schema; a field without one stops the start.
//! - [`guard`]: enforces the declared rule on every field.
//! - [`context`]: what a resolver knows of its request.
//! - [`coerce`]: the variables of an operation against their types.
//! - [`scalars`]: times and enums on the wire.
//! - [`id`]: ids of the right kind.
//! - [`page`]: Relay connections over keyset pages.
//! - [`sealed`]: opening encrypted columns for an answer.
//! - [`shape`]: puts an answer in the order and with the nulls that the specification asks for.
//! - [`error`]: the boundary that turns the one `Error` into `extensions.code`.

pub mod coerce;
pub mod context;
pub mod directives;
pub mod error;
pub mod guard;
pub mod id;
pub mod loaders;
pub mod page;
pub mod rules;
pub mod scalars;
pub mod sealed;
pub mod shape;
