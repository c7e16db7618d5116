//! Mechanism: keyring, sealing, password hashing, tokens, TOTP. No I/O, no policy.
//!
//! In reading order:
//!
//! - [`random`]: bytes from the operating system's generator, and UUIDv7 ids.
//! - [`keyring`]: numbered master keys, a subkey per purpose, message authentication codes.
//! - [`seal`]: encrypted columns and their blind indexes.
//! - [`token`]: opaque 256-bit bearer tokens, stored as hashes.
//! - [`csrf`]: CSRF tokens bound to a session.
//! - [`cursor`]: page cursors bound to their list.
//! - [`password`]: peppered Argon2id hashes.
//! - [`digest`]: SHA-256, for naming things by their content.
//! - [`strength`]: why a new password is refused.
//! - [`totp`]: one-time passwords of authenticator apps, and their QR codes.
//! - [`backup_code`]: codes to write down, each used once.
//! - `signing`: Ed25519 keys derived from the keyring.
//! - [`jwt`]: short-lived signed access tokens for other services.
//! - [`checkpoint`]: signed checkpoints of the audit trail.

pub mod backup_code;
pub mod checkpoint;
pub mod csrf;
pub mod cursor;
pub mod digest;
pub mod jwt;
pub mod keyring;
pub mod password;
pub mod random;
pub mod seal;
mod signing;
pub mod strength;
pub mod token;
pub mod totp;

pub use backup_code::BackupCode;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use jwt::{AccessClaims, JwtError, JwtSigner};
pub use keyring::{Keyring, KeyringError, Purpose};
pub use password::{HashParams, PasswordHasher, Verdict};
pub use seal::{Column, OpenError, sealed_key_number};
pub use token::{Token, TokenKind};
pub use totp::TotpSecret;
