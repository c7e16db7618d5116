//! Heads of requests within reason.

use super::passage::Passage;
use super::refusal::Refusal;

/// Bytes of path and query at most; a GET query of GraphQL has room in it.
const URI: usize = 8 * 1024;
/// Bytes of all header names and values at most.
const HEADERS: usize = 16 * 1024;

/// Refuses a longer target (414) or larger headers (431).
///
/// # Errors
/// As above.
pub(crate) fn within_reason(passage: &Passage) -> Result<(), Refusal> {
    if passage.path.as_str().len() + passage.query.as_ref().map_or(0, String::len) > URI {
        return Err(Refusal::LONG_URI);
    }
    let headers: usize = passage.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > HEADERS { Err(Refusal::LARGE_HEADERS) } else { Ok(()) }
}
