//! The door: what stands between the network and the schema. The only user of warp, hyper and tower.
//!
//! ```text
//! serve       accepts connections within caps; graceful end
//! connection  TLS, HTTP/1.1 and 2, header and write timeouts, stream limits
//! edge        request id, client address; around all: headers, JSON errors, panics
//! shield      a burst limit per client address
//! pipeline    the chain of filters below, one file each
//! Backend     the application, behind a trait
//! ```

mod activity;
mod bans;
mod body;
mod client;
mod connection;
mod cors;
pub mod csrf;
mod door;
mod edge;
mod framing;
mod graphql;
mod headers;
mod host;
mod inbound;
mod incidents;
mod io;
mod management;
mod origin;
mod overload;
mod passage;
mod playground;
mod refusal;
mod request_id;
mod route;
mod serve;
mod shield;
mod size;
mod socket_message;
mod suspicious;
mod suspicious_rules;
mod tally;
mod tls;
mod websocket;

pub use door::{Backend, Door, Incident, IncidentKind, Readiness, SocketSession};
pub use graphql::{Media, negotiate, operation, respond};
pub use inbound::{GraphqlRequest, Inbound};
pub use origin::Origin;
pub use serve::{serve, serve_management};
pub use websocket::Close;

#[cfg(test)]
mod tests;

use passage::{check, passage};
use std::convert::Infallible;
use warp::Filter;

/// Every step between a parsed request head and its answer, in order.
fn pipeline(
    door: Door,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    passage(door)
        .and_then(check(size::within_reason)) // 414, 431
        .and_then(check(framing::plain)) // 400
        .and_then(host::known) // 400, 421
        .and_then(bans::admitted) // 403
        .and_then(suspicious::unlikely) // 400
        .and_then(cors::welcome) // 403
        .and(route::route()) // 404
        .and(warp::body::stream())
        .and_then(route::follow) // 405, 415, 413, 408, 503, and the answer
        .recover(refusal::recover)
        .unify()
}
