//! [`Passage`]: what is handed along the chain of filters, and how a plain check becomes one.

use super::door::Door;
use super::inbound::Inbound;
use super::refusal::Refusal;
use http::{HeaderMap, Method};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use warp::path::FullPath;
use warp::{Filter, Rejection};

/// The head of a request on its way through the filters.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) door: Door,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) method: Method,
    pub(crate) path: FullPath,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

/// Starts the chain with what [`super::edge`] learned.
pub(crate) fn passage(door: Door) -> impl Filter<Extract = (Passage,), Error = Rejection> + Clone {
    warp::ext::get::<Arc<Inbound>>()
        .and(warp::method())
        .and(warp::path::full())
        .and(query())
        .and(warp::header::headers_cloned())
        .map(move |inbound, method, path, query, headers| Passage {
            door: door.clone(),
            inbound,
            method,
            path,
            query,
            headers,
        })
}

/// What stands behind the `?`, undecoded.
fn query() -> impl Filter<Extract = (Option<String>,), Error = Infallible> + Clone {
    warp::query::raw().map(Some).or(warp::any().map(|| None)).unify()
}

/// Makes a filter of a check that needs no waiting.
pub(crate) fn check(
    refuse: impl Fn(&Passage) -> Result<(), Refusal> + Clone,
) -> impl Fn(Passage) -> Ready<Result<Passage, Rejection>> + Clone {
    move |passage| ready(refuse(&passage).map(|()| passage).map_err(Rejection::from))
}
