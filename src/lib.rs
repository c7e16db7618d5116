//! Portcullis: a secure GraphQL backend in one binary.

pub mod clock;
pub mod config;
pub mod crypto;
pub mod http;
pub mod limits;
