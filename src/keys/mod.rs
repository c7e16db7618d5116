//! The keyring's life: where it is kept, whether it goes with the database, and how keys are exchanged
//! while the server runs.
//!
//! - [`columns`]: LIST of every sealed column.
//! - [`file`](mod@file): the keyring's file.
//! - [`canary`]: whether a keyring is the one that the database was written under.
//! - [`watch`]: taking up a changed keyring without a restart.
//! - [`index`]: unique blind indexes under a key that changes.
//! - [`lease`]: one rotation at a time.
//! - [`rotate`], [`rows`]: bringing every row under the current key.
//! - [`status`], [`retire`]: what uses which key, and doing without one.

pub mod canary;
pub mod columns;
pub mod file;
pub mod index;
pub mod lease;
pub mod retire;
pub mod rotate;
pub mod rows;
pub mod status;
pub mod watch;
