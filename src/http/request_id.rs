//! The request id: a trusted proxy's, else made here. Echoed as `x-request-id`.

use crate::clock::Clock;
use crate::crypto::random;
use http::{HeaderMap, HeaderName};

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id for a request with these headers; `proxied` says whether a trusted proxy sent them.
pub(crate) fn choose(clock: &Clock, proxied: bool, headers: &HeaderMap) -> String {
    let given = headers.get(HEADER).filter(|_| proxied).and_then(|value| value.to_str().ok());
    match given {
        Some(given) if is_plain(given) => given.to_owned(),
        _ => random::uuid_v7(clock.now()).as_simple().to_string(),
    }
}

/// Whether `id` is short and made of letters, digits, `-`, `_` and `.`: nothing that could break a
/// log line or a header (ASVS 16.4.1).
fn is_plain(id: &str) -> bool {
    (8..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// ASVS: 4.1.3, 16.4.1
    #[test]
    fn only_a_trusted_proxy_may_name_a_request() {
        let clock = Clock::test(1_000);
        let with = |id: &str| HeaderMap::from_iter([(HEADER, id.parse().unwrap())]);
        assert_eq!(choose(&clock, true, &with("edge-0123.4_5")), "edge-0123.4_5");
        for (proxied, id) in [
            (false, "edge-0123.4_5"),
            (true, "short"),
            (true, "with space"),
            (true, "quote\"quote"),
            (true, "{\"a\":\"bcd\"}"),
            (true, &"x".repeat(65)),
        ] {
            let made = choose(&clock, proxied, &with(id));
            assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{id}: {made}");
        }
        assert_ne!(choose(&clock, false, &HeaderMap::new()), choose(&clock, false, &HeaderMap::new()));
    }
}
