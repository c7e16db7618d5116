//! What a row is: one module a table, typed ids, sealed columns. No GraphQL, no logic.
//!
//! - [`id`]: UUIDv7 newtypes with a prefix on the wire, so an id of one kind cannot be used as another.
//! - [`time`]: milliseconds since the Unix epoch, the same on every database.
//! - [`sealed`]: ciphertext columns bound to their table, column and row.
//! - [`user`], [`session`], [`ticket`], [`attempt`], [`factor`], [`backup_code`], [`outbox`], [`post`],
//!   [`audit_event`]: a table each.
//! - [`audit_archive`]: how far the trail has been archived.
//! - [`key_canary`], [`lease`], [`index_state`]: what key rotation keeps.

pub mod attempt;
pub mod audit_archive;
pub mod audit_event;
pub mod backup_code;
pub mod ban;
pub mod factor;
pub mod id;
pub mod index_state;
pub mod key_canary;
pub mod lease;
pub mod outbox;
pub mod post;
pub mod refresh_token;
pub mod rollup;
pub mod sealed;
pub mod session;
pub mod ticket;
pub mod time;
pub mod user;
pub mod version;
