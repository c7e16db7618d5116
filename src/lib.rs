//! Portcullis: a secure GraphQL backend in one binary.
//!
//! Modules in reading order, each using only what stands below it:
//!
//! ```text
//! cli         commands; serve, migrate, admin, schema, config, keys
//! background  what runs beside the requests
//! server      the application behind the door
//! http        the door: connections, filters, transports
//! engine      the way of one operation: scan, parse, shape, cost, admit, execute
//! schema      the slices' roots, merged
//! accounts sessions mfa posts admin audit mail defense privacy   slices: domain, and graphql.rs with the guarded fields
//! graphql     the kit for resolvers: rules, guard, context, pages, the error boundary
//! access      who may: viewer, roles, ownership
//! retention   what has run out goes, in the background
//! keys        the keyring's life: file, canaries, rotation
//! limits      how much: before the parser, before execution, over time
//! crypto      mechanism: keys, sealing, hashing, tokens
//! app bus db config clock error page text telemetry
//! entity, migration                 crates of their own: rows and tables
//! ```

pub mod access;
pub mod accounts;
pub mod admin;
pub mod app;
pub mod audit;
pub mod background;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod defense;
pub mod engine;
pub mod error;
pub mod graphql;
pub mod http;
pub mod keys;
pub mod limits;
pub mod mail;
pub mod mfa;
pub mod page;
pub mod posts;
pub mod privacy;
pub mod retention;
pub mod schema;
pub mod server;
pub mod sessions;
pub mod telemetry;
pub mod text;
