//! GraphiQL at `/graphiql`, from the binary: nothing is loaded from elsewhere.
//!
//! `make playground` builds it with Node; `build.rs` compresses it. A development tool: in
//! production it is off unless enabled, and then only for administrators.

use super::door::Door;
use super::passage::Passage;
use super::refusal::Refusal;
use crate::config::Mode;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    VARY,
};
use http::{Response, StatusCode};
use rust_embed::RustEmbed;
use std::io::Read;

/// The built playground, each file compressed with gzip.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/playground"]
struct Files;

/// A page under this policy runs only what came with it; no inline scripts or styles, no eval.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What stands there when the playground was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Playground</title>\
    <p>This server was built without the playground. With Node installed run <code>make playground</code>, \
    then build the server again.</p></html>";

/// Whether `/graphiql` exists at all.
pub(crate) fn is_on(door: &Door) -> bool {
    match door.config().playground.as_deref() {
        Some(set) => set == "true",
        None => door.config().mode == Mode::Development,
    }
}

/// The file at `path` below `/graphiql/`; the page itself when empty.
pub(crate) async fn serve(passage: &Passage, path: &str) -> Result<Response<Bytes>, Refusal> {
    let door = &passage.door;
    if !is_on(door)
        || (door.config().mode == Mode::Production && !door.backend().may_explore(&passage.headers).await)
    {
        return Err(Refusal::NOT_FOUND);
    }
    let name = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Files::get(name) else {
        return if path.is_empty() {
            Ok(page(NOT_BUILT.into(), "index.html"))
        } else {
            Err(Refusal::NOT_FOUND)
        };
    };
    let compressed = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => bytes.into(),
    };
    if accepts_gzip(passage) {
        let mut response = page(compressed, name);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok(response);
    }
    let mut plain = Vec::new();
    GzDecoder::new(compressed.as_ref()).read_to_end(&mut plain).map_err(|_| Refusal::INTERNAL)?;
    Ok(page(plain.into(), name))
}

/// A response with what the playground's files carry. Files below `assets/` have their content's
/// hash in their name, so they may be kept for ever.
fn page(body: Bytes, name: &str) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if name.starts_with("assets/") {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(CACHE_CONTROL, forever);
    }
    response
}

/// The media type that a file's name says.
fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether the client takes gzip.
fn accepts_gzip(passage: &Passage) -> bool {
    let values = passage.headers.get_all(ACCEPT_ENCODING).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && parts.next() != Some("q=0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 3.6.1, 3.4.3
    #[test]
    fn the_policy_allows_nothing_inline_and_nothing_from_elsewhere() {
        let policy = POLICY;
        let policy = policy.to_str().unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; "));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
    }

    #[test]
    fn hashed_files_are_kept_and_the_page_is_not() {
        assert!(page(Bytes::new(), "assets/index-1234.js").headers().contains_key(CACHE_CONTROL));
        assert!(!page(Bytes::new(), "index.html").headers().contains_key(CACHE_CONTROL));
    }
}
