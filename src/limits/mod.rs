//! How much: what a request may cost, before the parser, before execution, and over time.
//!
//! In the order a request meets them:
//!
//! - [`json`]: the body, before serde: bytes, nesting, values, duplicate members.
//! - [`scan`]: the document, before the parser: tokens, brackets, strings.
//! - [`expand`]: fragments, sized without spreading them out.
//! - [`shape`]: the operation that will run: depth, fields, aliases, roots, repetitions.
//! - [`cost`]: what it may cost, with its real variables and the schema's own weights.
//! - [`policy`]: the table of limits over time, and the [`charge`]s it makes of an estimate.
//! - [`store`]: takes all the charges of a request or none, in [`memory`] or in [`redis`].
//! - [`headers`]: what the client is told.
//!
//! Each check before `policy` returns a [`Violation`] or, for limits in report mode, puts it on a
//! list. None does I/O, none recurses or allocates beyond what an earlier one has bounded.

pub mod actual;
pub mod charge;
pub mod cost;
mod cost_table;
pub mod expand;
pub mod headers;
pub mod json;
pub mod memory;
pub mod policy;
pub mod redis;
pub mod scan;
pub mod shape;
pub mod store;
pub mod violation;
pub mod window;

#[cfg(test)]
mod tests;

pub use violation::{Limit, Mode, Violation, ViolationCode};

/// Every limit of a document and its request, with sane defaults. One per role, if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLimits {
    /// The request body.
    pub json: json::JsonLimits,
    /// The document's text.
    pub scan: scan::ScanLimits,
    /// The document's definitions, fragments expanded.
    pub expand: expand::ExpandLimits,
    /// The operation that will run.
    pub shape: shape::ShapeLimits,
    /// Points one operation may cost.
    pub cost: Limit,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            json: json::JsonLimits::default(),
            scan: scan::ScanLimits::default(),
            expand: expand::ExpandLimits::default(),
            shape: shape::ShapeLimits::default(),
            cost: Limit::new(1_000),
        }
    }
}
