//! GraphQL over HTTP: from a request to an operation, from an answer to a response.
//!
//! Media types and status codes follow the GraphQL-over-HTTP draft: `application/graphql-response+json`
//! when asked for, `application/json` for clients that do not know better.

use super::inbound::GraphqlRequest;
use crate::engine::{Answer, Operation, Outcome};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value};

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status says how far the operation came.
    Response,
    /// `application/json`: 200 for everything that was a GraphQL request.
    Json,
}

/// Chooses among what the client accepts, by preference; `None` when it accepts neither.
#[must_use]
pub fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let mut offered = false;
    let mut best: Option<(Media, u16)> = None;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            if name.is_empty() {
                continue;
            }
            offered = true;
            let mut quality = 1000;
            let mut charset_ok = true;
            for part in parts {
                if let Some(q) = part.strip_prefix("q=") {
                    quality = thousandths(q);
                } else if let Some(charset) = part.strip_prefix("charset=") {
                    charset_ok = charset.trim_matches('"').eq_ignore_ascii_case("utf-8");
                }
            }
            let media = match name.as_str() {
                "application/graphql-response+json" => Media::Response,
                "application/json" | "application/*" | "*/*" => Media::Json,
                _ => continue,
            };
            if charset_ok && quality > 0 && best.is_none_or(|(_, other)| quality > other) {
                best = Some((media, quality));
            }
        }
    }
    if offered { best.map(|(media, _)| media) } else { Some(Media::Json) }
}

/// A quality value in thousandths (RFC 9110, section 12.4.2).
fn thousandths(q: &str) -> u16 {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let mut value: u16 = if whole == "1" { 1000 } else { 0 };
    let mut place = 100;
    for digit in fraction.bytes().take(3) {
        value += u16::from(digit.saturating_sub(b'0').min(9)) * place;
        place /= 10;
    }
    value.min(1000)
}

/// The operation in `request`, whose body `check` looks at before it is read.
///
/// # Errors
/// The answer that says what is wrong with it.
pub fn operation(
    request: &GraphqlRequest,
    check: impl FnOnce(&[u8]) -> Result<(), Answer>,
) -> Result<Operation, Answer> {
    let read = if request.method == Method::GET {
        Operation::from_object(parameters(request.query.as_deref().unwrap_or_default())?)
    } else {
        check(&request.body)?;
        Operation::from_body(&request.body)
    };
    read.map_err(|error| {
        let code =
            if error == crate::engine::RequestError::Batch { "BATCH_TOO_LARGE" } else { "BAD_REQUEST" };
        Answer::refused(code, error.to_string())
    })
}

/// The members of a GET request: text as it is, `variables` and `extensions` as JSON. One of each.
fn parameters(query: &str) -> Result<Map<String, Value>, Answer> {
    let bad = |message: String| Answer::refused("BAD_REQUEST", message);
    let mut members = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let value = match name.as_ref() {
            "query" | "operationName" | "documentId" => Value::String(text.into_owned()),
            "variables" | "extensions" if text.is_empty() => Value::Null,
            "variables" | "extensions" => {
                serde_json::from_str(&text).map_err(|_| bad(format!("`{name}` is not valid JSON")))?
            }
            _ => continue,
        };
        if members.insert(name.clone().into_owned(), value).is_some() {
            return Err(bad(format!("`{name}` is given more than once")));
        }
    }
    Ok(members)
}

/// The status for an operation that did not run for the reason `code`.
fn status(code: &str, media: Media) -> StatusCode {
    match code {
        "GRAPHQL_PARSE_FAILED" | "GRAPHQL_VALIDATION_FAILED" if media == Media::Json => StatusCode::OK,
        "UNAUTHENTICATED" | "REAUTHENTICATION_REQUIRED" => StatusCode::UNAUTHORIZED,
        "FORBIDDEN" | "CSRF_FAILED" => StatusCode::FORBIDDEN,
        "METHOD_NOT_ALLOWED" => StatusCode::METHOD_NOT_ALLOWED,
        "NOT_ACCEPTABLE" => StatusCode::NOT_ACCEPTABLE,
        "RATE_LIMITED" | "COST_BUDGET_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
        "OVERLOADED" => StatusCode::SERVICE_UNAVAILABLE,
        "TIMEOUT" => StatusCode::GATEWAY_TIMEOUT,
        "INTERNAL" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The response that carries `answer`.
#[must_use]
pub fn respond(answer: &Answer, media: Media) -> Response<Bytes> {
    let status = match answer.outcome {
        Outcome::Executed => StatusCode::OK,
        Outcome::Refused(code) => status(code, media),
    };
    let body = serde_json::to_vec(answer).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        br#"{"errors":[{"message":"something went wrong on our side","extensions":{"code":"INTERNAL"}}]}"#
            .to_vec()
    });
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media = match media {
        Media::Response => "application/graphql-response+json; charset=utf-8",
        Media::Json => "application/json; charset=utf-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        _ => {}
    }
    for (name, value) in &answer.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for cookie in &answer.cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if answer.clear_site_data {
        let name = HeaderName::from_static("clear-site-data");
        headers.insert(name, HeaderValue::from_static("\"cache\", \"storage\""));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &'static str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(text));
        negotiate(&headers)
    }

    #[test]
    fn the_client_chooses_the_media_type() {
        assert_eq!(negotiate(&HeaderMap::new()), Some(Media::Json));
        for (text, media) in [
            ("*/*", Some(Media::Json)),
            ("application/json", Some(Media::Json)),
            ("application/graphql-response+json", Some(Media::Response)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(Media::Response),
            ),
            ("application/json, application/graphql-response+json", Some(Media::Json)),
            ("application/json;q=0.5, application/graphql-response+json;q=0.9", Some(Media::Response)),
            ("application/graphql-response+json;q=0", None),
            ("text/html", None),
            ("text/html, */*;q=0.1", Some(Media::Json)),
        ] {
            assert_eq!(accept(text), media, "{text}");
        }
    }
}
