//! The audit trail: who did what, to which resource, from where, and how it ended.
//!
//! - [`event`]: the kinds of event and what one says.
//! - [`writer`]: the only way to commit a change is together with its event.
//! - [`chain`]: each row carries a MAC over the row before it, so a changed or removed row shows.
//! - [`search`]: reading the trail, filtered and paged.
//! - [`graphql`]: the guarded fields.

pub mod chain;
pub mod event;
pub mod graphql;
pub mod search;
pub mod writer;

pub use event::{Event, Kind, Origin};
pub use writer::{Auditor, Tx};
