//! The door on port 0 with a fake application behind it, spoken to over raw sockets and reqwest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cross_origin;
mod kit;
mod limits;
mod protocol;
mod responses;
mod sockets;
mod tls;
