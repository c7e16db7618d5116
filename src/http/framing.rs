//! Bodies that every server on the way reads alike (RFC 9112, section 6).
//!
//! hyper refuses lengths that contradict each other. Beside `Transfer-Encoding` it drops
//! `Content-Length`, as the RFC lets it; a server before this one may have believed it. So codings
//! other than plain `chunked` are refused, and after any of them the connection closes: whatever
//! was smuggled behind is never read (ASVS 4.2.1).

use super::passage::Passage;
use super::refusal::Refusal;
use http::HeaderMap;
use http::header::TRANSFER_ENCODING;

/// Refuses a body in another coding than `chunked`.
///
/// # Errors
/// As above (400).
pub(crate) fn plain(passage: &Passage) -> Result<(), Refusal> {
    let mut codings = passage.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::MALFORMED),
    }
}

/// Whether the connection must close after a request with these headers.
pub(crate) fn ends_connection(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
}
