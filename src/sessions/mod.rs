//! Sessions: who is signed in, for how long, from where.
//!
//! - [`open`]: a new token for somebody who proved who they are.
//! - [`authenticate`]: from a token to an identity, in one statement.
//! - [`cookie`]: how a browser carries the token.
//! - [`login`]: by password, the first factor.
//! - [`renew`]: a new token for a session whose owner proved again who they are.
//! - [`password`]: changing the password, and setting one by e-mail.
//! - [`end`]: signing out and revoking.
//! - [`list`]: the sessions that have not ended.
//! - [`refresh`]: renewing a session without its owner.
//! - [`graphql`]: the guarded fields.

pub mod authenticate;
pub mod cookie;
pub mod end;
pub mod graphql;
pub mod list;
pub mod login;
pub mod open;
pub mod password;
pub mod refresh;
pub mod renew;
