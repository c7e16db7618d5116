//! Everything the door answers by itself instead of passing a request on, as JSON.
//!
//! A filter rejects with a [`Refusal`]; [`super::edge`] writes the body, because it knows the
//! request id, so that every refusal looks the same wherever it was decided.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use std::convert::Infallible;
use warp::reject::Rejection;

/// Why a request is not served: a status, `extensions.code`, and a message for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// `extensions.code`.
    pub(crate) code: &'static str,
    /// What the client may read.
    pub(crate) message: &'static str,
    /// Seconds after which it may try again.
    pub(crate) retry_after: Option<u64>,
    /// The methods there are, for 405.
    pub(crate) allow: Option<&'static str>,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $message:literal;)*) => {
        impl Refusal {
            $($(#[$doc])* pub(crate) const $name: Self = Self {
                status: StatusCode::$status,
                code: $code,
                message: $message,
                retry_after: None,
                allow: None,
            };)*
        }

        #[cfg(test)]
        pub(crate) const ALL: &[Refusal] = &[$(Refusal::$name),*];
    };
}

refusals! {
    NOT_FOUND = NOT_FOUND, "NOT_FOUND", "there is nothing at this path";
    METHOD = METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this path does not take that method";
    SLOW_BODY = REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body did not arrive in time";
    BROKEN_BODY = BAD_REQUEST, "BAD_REQUEST", "the body broke off or is not well formed";
    LARGE_BODY = PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "the body is too large";
    LONG_URI = URI_TOO_LONG, "URI_TOO_LONG", "the address is too long";
    LARGE_HEADERS = REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", "the headers are too large";
    MALFORMED = BAD_REQUEST, "BAD_REQUEST", "not a well-formed HTTP request";
    MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "send application/json in UTF-8";
    ENCODED_BODY = UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "send the body without content-encoding";
    NO_HOST = BAD_REQUEST, "BAD_REQUEST", "exactly one Host is required";
    WRONG_HOST = MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST", "this server does not answer for that host";
    BANNED = FORBIDDEN, "BANNED", "requests from this address are refused for now";
    SUSPICIOUS = BAD_REQUEST, "SUSPICIOUS_REQUEST", "the request looks like an attack and was refused";
    ORIGIN = FORBIDDEN, "FORBIDDEN", "this origin may not call this server";
    UNAUTHENTICATED = UNAUTHORIZED, "UNAUTHENTICATED", "sign in first";
    RATE_LIMITED = TOO_MANY_REQUESTS, "RATE_LIMITED", "too many requests";
    OVERLOADED = SERVICE_UNAVAILABLE, "OVERLOADED", "the server is busy";
    INTERNAL = INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong on our side";
}

impl warp::reject::Reject for Refusal {}

impl Refusal {
    /// The same, to be tried again after `seconds`.
    pub(crate) const fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// [`Refusal::METHOD`] for a path that takes `methods`.
    pub(crate) const fn method(methods: &'static str) -> Self {
        Self { allow: Some(methods), ..Self::METHOD }
    }

    /// An empty response that carries the refusal, for the edge to write out.
    pub(crate) fn response<B: From<Bytes>>(self) -> Response<B> {
        let mut response = Response::new(Bytes::new().into());
        response.extensions_mut().insert(self);
        response
    }

    /// The headers and the body that the client sees.
    pub(crate) fn write<B: From<Bytes>>(self, request_id: &str, response: &mut Response<B>) {
        *response.status_mut() = self.status;
        *response.body_mut() = self.body(request_id).into();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // The rest of the body is not read: the client must not send another request behind it.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
    }

    /// The body. `request_id` is plain by construction (see [`super::request_id`]); codes and
    /// messages are literals without quotes: nothing needs escaping, which the tests prove.
    pub(crate) fn body(self, request_id: &str) -> Bytes {
        let retry = self.retry_after.map(|s| format!(",\"retryAfter\":{s}")).unwrap_or_default();
        let Self { message, code, .. } = self;
        format!(
            "{{\"errors\":[{{\"message\":\"{message}\",\"extensions\":{{\"code\":\"{code}\",\"requestId\":\"{request_id}\"{retry}}}}}]}}"
        )
        .into()
    }
}

/// Turns what filters rejected with into a response; a path that no route knows is 404.
pub(crate) async fn recover(rejection: Rejection) -> Result<warp::reply::Response, Infallible> {
    let refusal = match rejection.find::<Refusal>() {
        Some(refusal) => *refusal,
        None if rejection.is_not_found() => Refusal::NOT_FOUND,
        None => Refusal::MALFORMED,
    };
    Ok(refusal.response())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_refusal_is_the_same_json() {
        for refusal in ALL {
            let body = refusal.after(7).body("0123456789abcdef");
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let error = &json["errors"][0];
            assert_eq!(error["message"], refusal.message);
            assert_eq!(error["extensions"]["code"], refusal.code);
            assert_eq!(error["extensions"]["requestId"], "0123456789abcdef");
            assert_eq!(error["extensions"]["retryAfter"], 7);
        }
    }
}
