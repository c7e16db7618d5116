//! Defence: what is refused at the door, and who is told when something is wrong.
//!
//! - [`matcher`]: the ban list in memory, asked for each request.
//! - [`bans`]: the ban list in the database, shared by all replicas.
//! - [`graphql`]: the guarded fields.

pub mod bans;
pub mod graphql;
pub mod matcher;

pub use matcher::Matcher;
