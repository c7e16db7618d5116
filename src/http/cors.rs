//! Cross-origin calls (the Fetch standard's CORS protocol): exact origins, or nothing.
//!
//! A page of a listed origin may read answers and send credentials. A foreign page is refused
//! outright, so that it neither reads an answer nor causes anything. Every answer varies by origin.

use super::door::IncidentKind;
use super::incidents;
use super::origin::Origin;
use super::passage::Passage;
use super::refusal::Refusal;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use warp::Rejection;

/// Seconds that a browser may remember a preflight's answer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// Request headers that a page may set.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, x-csrf-token, x-xsrf-token");
/// Response headers that a page may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("retry-after, ratelimit, ratelimit-policy, x-request-id");

/// Refuses a call from a foreign page.
pub(crate) async fn welcome(passage: Passage) -> Result<Passage, Rejection> {
    if passage.inbound.origin.is_welcome() {
        return Ok(passage);
    }
    incidents::sampled(&passage, IncidentKind::WrongOrigin, "foreign origin").await;
    Err(Refusal::ORIGIN.into())
}

/// Answers OPTIONS for a path that takes `methods`: a preflight, or a plain question.
pub(crate) fn options(passage: &Passage, methods: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let listed = matches!(passage.inbound.origin, Origin::Listed(_));
    if listed && passage.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        let asked = "access-control-request-method, access-control-request-headers";
        headers.append(VARY, HeaderValue::from_static(asked));
    } else {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    response
}

/// Adds what lets a page of a listed origin read this answer, whatever its status.
pub(crate) fn mark(origin: &Origin, headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Origin::Listed(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
