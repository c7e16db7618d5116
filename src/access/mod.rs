//! Who may: the viewer, roles and their permissions, ownership.
//!
//! - [`role`]: the permissions, and which each role holds.
//! - [`viewer`]: who is asking.
//! - [`cache`]: identities looked up lately, valid for one epoch.
//! - [`owned`]: proof of ownership, which functions that change a row take.

pub mod cache;
pub mod owned;
pub mod role;
pub mod viewer;

pub use cache::{IdentityCache, TokenHash};
pub use owned::{Mine, Owned};
pub use role::Permission;
pub use viewer::{Identity, Viewer};
