//! Privacy: a person takes their data away, or has their account erased.
//!
//! - [`export`]: everything about the viewer, opened, in parts of bounded size.
//! - [`erase`]: removing the viewer's account.
//! - [`graphql`]: the guarded fields.

pub mod erase;
pub mod export;
pub mod graphql;
