//! The door: what stands between the network and the schema. The only user of warp, hyper and tower.
//!
//! ```text
//! serve       connections: caps, TLS, header and write timeouts, HTTP/1.1 and 2, graceful end
//! edge        request id, client address; around all: headers, JSON errors, panics
//! pipeline    the chain of filters below, one file each
//! Backend     the application, behind a trait
//! ```

#![allow(dead_code, reason = "the filters come one by one")]

mod body;
mod client;
mod door;
mod edge;
mod graphql;
mod headers;
mod inbound;
mod passage;
mod refusal;
mod request_id;
mod route;
mod serve;

pub use door::{Backend, Door, Incident, IncidentKind, Readiness};
pub use graphql::{Media, negotiate, operation, respond};
pub use inbound::{GraphqlRequest, Inbound};
pub use serve::serve;

#[cfg(test)]
mod tests;

use passage::passage;
use std::convert::Infallible;
use warp::Filter;

/// Every step between a parsed request head and its answer, in order.
fn pipeline(
    door: Door,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    passage(door)
        .and(route::route()) // 404
        .and(warp::body::stream())
        .and_then(route::follow) // 405, 413, 415, 408, and the answer
        .recover(refusal::recover)
        .unify()
}
