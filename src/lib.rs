//! Portcullis: a secure GraphQL backend in one binary.

pub mod clock;
pub mod crypto;
pub mod limits;
