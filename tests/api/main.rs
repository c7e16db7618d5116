//! The real server on a port of its own, against SQLite and against PostgreSQL.
//!
//! One binary; the files mirror the features. [`harness`] starts servers and speaks to them; its
//! `both!` makes every test twice. Run it with `make test`, or
//! `scripts/services cargo nextest run --test api -E 'test(/posts/)'`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "tests look behind the curtain")]
#![allow(clippy::large_futures, unreachable_pub)]

#[macro_use]
mod harness;

mod accounts;
mod addresses;
mod admin;
mod attacks;
mod audit;
mod bans;
mod canary;
mod defense;
mod dump;
mod input;
mod keys;
mod kill;
mod limits;
mod mail;
mod masking;
mod matrix;
mod mfa;
mod operator;
mod over_http;
mod pages;
mod passwords;
mod posts;
mod privacy;
mod readme;
mod schema;
mod sessions;
mod startup;
mod statements;
mod tokens;
mod trail;
mod websocket;
