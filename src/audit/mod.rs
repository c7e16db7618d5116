//! The audit trail: who did what, to which resource, from where, and how it ended.
//!
//! - [`event`]: the kinds of event and what one says.
//! - [`writer`]: the only way to commit a change is together with its event.
//! - [`archive`]: old chains leave the database, verification goes on from where they end.
//! - [`chain`]: each row carries a MAC over the row before it, so a changed or removed row shows.
//! - [`spool`]: where events wait while the database is away.
//! - [`log`]: events as JSON lines the moment they are recorded.
//! - [`heads`], [`verify`], [`integrity`]: whether the chains hold, from the command line and online.
//! - [`checkpoint`]: signed statements of what the trail holds, to be kept elsewhere.
//! - [`export`]: the trail for other tools.
//! - [`rollup`]: counts by the hour, for an overview that never scans the trail.
//! - [`search`]: reading the trail, filtered and paged.
//! - [`graphql`]: the guarded fields.

pub mod archive;
pub mod chain;
pub mod checkpoint;
pub mod event;
pub mod export;
pub mod graphql;
pub mod heads;
pub mod integrity;
pub mod log;
pub mod rollup;
pub mod search;
pub mod spool;
pub mod verify;
pub mod writer;

pub use event::{Event, Kind, Origin};
pub use writer::{Auditor, Tx};
