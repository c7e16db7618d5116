//! Accounts: who there is, and proving by password that one is them.
//!
//! - [`username`], [`email`]: what identifies a person, as parsed types.
//! - [`hasher`]: password hashing within a memory budget, off the async threads.
//! - [`register`]: making accounts, by anyone or by the command line.
//! - [`credentials`]: checking a password, at one cost whether or not the account exists.
//! - [`attempts`]: holding back guesses; [`device`]: devices that signed in before.
//! - [`tickets`]: one-time tokens, each for one purpose.
//! - [`password`]: whether a new password will do, and storing it.
//! - [`address`]: proving and changing the e-mail address; [`letters`]: what is written to it.
//! - [`profile`]: what people say about themselves.
//! - [`find`]: scoped finders.
//! - [`admins`]: the last active administrator stays.
//! - [`graphql`]: the guarded fields.

pub mod address;
pub mod admins;
pub mod attempts;
pub mod credentials;
pub mod device;
pub mod email;
pub mod find;
pub mod graphql;
pub mod hasher;
pub mod letters;
pub mod password;
pub mod profile;
pub mod register;
#[cfg(test)]
pub(crate) mod tests_kit;
pub mod tickets;
pub mod username;
