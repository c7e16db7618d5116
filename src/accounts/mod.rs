//! Accounts: who there is, and proving by password that one is them.
//!
//! - [`username`], [`email`]: what identifies a person, as parsed types.
//! - [`hasher`]: password hashing within a memory budget, off the async threads.
//! - [`register`]: making accounts, by anyone or by the command line.
//! - [`credentials`]: checking a password, at one cost whether or not the account exists.
//! - [`find`]: scoped finders.
//! - [`admins`]: the last active administrator stays.
//! - [`graphql`]: the guarded fields.

pub mod admins;
pub mod credentials;
pub mod email;
pub mod find;
pub mod graphql;
pub mod hasher;
pub mod register;
pub mod username;
