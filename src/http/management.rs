//! The management listener: health in detail and metrics, for operators only. It has a port of its
//! own, so that nothing on the public one can reach it (ASVS 13.4.5).

use super::door::Door;
use super::refusal;
use super::route::{json, ready};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use std::convert::Infallible;
use warp::Filter;

/// Everything the management listener answers.
pub(crate) fn pipeline(
    door: Door,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let with = warp::any().map(move || door.clone());
    let live = warp::path!("health").map(|| json(StatusCode::OK, "{\"status\":\"ok\"}".into()));
    let ready = warp::path!("health" / "ready")
        .and(with.clone())
        .then(|door: Door| async move { ready(&door).await });
    let detailed = warp::path!("health" / "detailed").and(with.clone()).then(|door: Door| async move {
        json(StatusCode::OK, door.backend().health().await.to_string().into())
    });
    let metrics = warp::path!("metrics").and(with).map(|door: Door| text(door.backend().metrics()));
    warp::get()
        .and(live.or(ready).unify().or(detailed).unify().or(metrics).unify())
        .map(|response: Response<Bytes>| response.map(Into::into))
        .recover(refusal::recover)
        .unify()
}

/// Metrics in Prometheus' text format.
fn text(body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
