//! Defence: what is refused at the door, and who is told when something is wrong.
//!
//! - [`matcher`]: the ban list in memory, asked for each request.
//! - [`bans`]: the ban list in the database, shared by all replicas.
//! - [`watch`], [`rules`]: what several events together tell, and who is told.
//! - [`graphql`]: the guarded fields.

pub mod bans;
pub mod graphql;
pub mod matcher;
pub mod rules;
pub mod watch;

pub use matcher::Matcher;
pub use watch::Watch;
