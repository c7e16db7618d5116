//! The door: what stands between the network and the schema. The only user of warp, hyper and tower.
//!
//! ```text
//! serve       connections: caps, TLS, header and write timeouts, HTTP/1.1 and 2, graceful end
//! edge        request id, client address; around all: headers, JSON errors, panics
//! shield      a burst limit per client address
//! pipeline    the chain of filters below, one file each
//! Backend     the application, behind a trait
//! ```

#![allow(dead_code, reason = "the filters come one by one")]

mod bans;
mod body;
mod client;
mod cors;
pub mod csrf;
mod door;
mod edge;
mod graphql;
mod headers;
mod host;
mod inbound;
mod incidents;
mod origin;
mod overload;
mod passage;
mod refusal;
mod request_id;
mod route;
mod serve;
mod shield;
mod size;
mod suspicious;
mod suspicious_rules;
mod tally;

pub use door::{Backend, Door, Incident, IncidentKind, Readiness};
pub use graphql::{Media, negotiate, operation, respond};
pub use inbound::{GraphqlRequest, Inbound};
pub use origin::Origin;
pub use serve::serve;

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
