//! Proof that a request with a cookie session was meant: where it comes from, and its token.
//!
//! Three independent nets, because each has holes alone (`SameSite` does not stop another port of
//! the same host): the page's origin, a content type that a form cannot send, and a token bound to
//! the session. Requests that authenticate with `Authorization` need none of them.

use super::inbound::Inbound;
use super::origin::{Origin, referer_is_welcome};
use crate::config::Config;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Which proof is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrfFailure {
    /// The page that sent it is foreign.
    Origin,
    /// Its content type is one that a form on any page can send.
    ContentType,
    /// There is no token, or it is not this session's.
    Token,
}

impl CsrfFailure {
    /// A name for incidents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Origin => "foreign origin",
            Self::ContentType => "content type of a form",
            Self::Token => "token missing or wrong",
        }
    }
}

/// Whether the browser says that the request comes from this server's or a listed origin's page,
/// or says nothing at all (then the token decides).
///
/// `Origin` where there is one, else `Sec-Fetch-Site`, else `Referer` (ASVS 3.5.1, 3.5.8).
#[must_use]
pub fn comes_from_home(config: &Config, inbound: &Inbound, headers: &HeaderMap) -> bool {
    match inbound.origin {
        Origin::Own | Origin::Listed(_) => true,
        Origin::Foreign => false,
        Origin::None => match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => true,
            Some(_) => false,
            None => referer_is_welcome(config, inbound.https, &inbound.host, headers).unwrap_or(true),
        },
    }
}

/// Whether no form and no simple cross-origin request can have this content type, so that a
/// foreign page would have needed a preflight (ASVS 3.5.2).
#[must_use]
pub fn forces_preflight(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(one)), None) = (types.next().map(http::HeaderValue::to_str), types.next()) else {
        return false;
    };
    let mut parts = one.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, set)) if name.eq_ignore_ascii_case("charset") => {
            set.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    // A comma would let one server read another type out of it than the browser did.
    essence.eq_ignore_ascii_case("application/json") && is_utf8 && !one.contains(',')
}

/// The token: `X-CSRF-Token`, or `X-XSRF-Token` as some clients send it; one value only.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let mut given = ["x-csrf-token", "x-xsrf-token"].iter().flat_map(|name| headers.get_all(*name));
    let token = given.next()?.to_str().ok()?;
    given.all(|other| other.as_bytes() == token.as_bytes()).then_some(token)
}

/// All three nets for a request that changes something; `is_valid` checks the token against the session.
///
/// # Errors
/// The first proof that is missing.
pub fn check(
    config: &Config,
    inbound: &Inbound,
    headers: &HeaderMap,
    is_valid: impl FnOnce(&str) -> bool,
) -> Result<(), CsrfFailure> {
    if !comes_from_home(config, inbound, headers) {
        return Err(CsrfFailure::Origin);
    }
    if !forces_preflight(headers) {
        return Err(CsrfFailure::ContentType);
    }
    token(headers).is_some_and(is_valid).then_some(()).ok_or(CsrfFailure::Token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::origin;
    use super::*;
    use crate::config::Sources;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn checked(lines: &[(&str, &str)]) -> Result<(), CsrfFailure> {
        let sources = Sources::default().with("PORTCULLIS_CORS_ORIGINS", "https://app.example");
        let config = Config::load(sources).unwrap();
        let headers = headers(lines);
        let inbound = Inbound {
            request_id: "0".repeat(32),
            address: "203.0.113.7".parse().unwrap(),
            user_agent: None,
            https: true,
            host: "api.example".to_owned(),
            origin: origin::of(&config, true, "api.example", &headers),
        };
        check(&config, &inbound, &headers, |token| token == "good")
    }

    const JSON: (&str, &str) = ("content-type", "application/json");
    const TOKEN: (&str, &str) = ("x-csrf-token", "good");

    /// ASVS: 3.5.1, 3.5.2, 3.5.8
    #[test]
    fn each_net_holds_alone() {
        use CsrfFailure::{ContentType, Origin, Token};
        for (lines, expected) in [
            (vec![JSON, TOKEN], Ok(())),
            (vec![JSON, ("x-xsrf-token", "good")], Ok(())),
            (vec![JSON, TOKEN, ("origin", "https://app.example")], Ok(())),
            (vec![JSON, TOKEN, ("origin", "https://api.example")], Ok(())),
            (vec![JSON, TOKEN, ("sec-fetch-site", "same-origin")], Ok(())),
            (vec![JSON, TOKEN, ("sec-fetch-site", "none")], Ok(())),
            (vec![JSON, TOKEN, ("sec-fetch-site", "cross-site"), ("origin", "https://app.example")], Ok(())),
            (vec![JSON, TOKEN, ("referer", "https://app.example/x")], Ok(())),
            (vec![JSON, TOKEN, ("origin", "https://evil.example")], Err(Origin)),
            (vec![JSON, TOKEN, ("origin", "null")], Err(Origin)),
            (vec![JSON, TOKEN, ("origin", "https://api.example:8443")], Err(Origin)),
            (vec![JSON, TOKEN, ("sec-fetch-site", "cross-site")], Err(Origin)),
            (vec![JSON, TOKEN, ("sec-fetch-site", "same-site")], Err(Origin)),
            (vec![JSON, TOKEN, ("referer", "https://evil.example/")], Err(Origin)),
            (vec![("content-type", "application/json; charset=utf-8"), TOKEN], Ok(())),
            (vec![("content-type", "text/plain"), TOKEN], Err(ContentType)),
            (vec![("content-type", "text/plain; application/json"), TOKEN], Err(ContentType)),
            (vec![("content-type", "text/plain, application/json"), TOKEN], Err(ContentType)),
            (vec![("content-type", "application/json, text/plain"), TOKEN], Err(ContentType)),
            (vec![("content-type", "application/x-www-form-urlencoded"), TOKEN], Err(ContentType)),
            (vec![("content-type", "multipart/form-data; boundary=x"), TOKEN], Err(ContentType)),
            (vec![JSON, JSON, TOKEN], Err(ContentType)),
            (vec![TOKEN], Err(ContentType)),
            (vec![JSON], Err(Token)),
            (vec![JSON, ("x-csrf-token", "bad")], Err(Token)),
            (vec![JSON, ("x-csrf-token", "")], Err(Token)),
            (vec![JSON, TOKEN, ("x-csrf-token", "bad")], Err(Token)),
            (vec![JSON, TOKEN, ("x-xsrf-token", "bad")], Err(Token)),
            (vec![JSON, ("cookie", "csrf=good")], Err(Token)),
        ] {
            assert_eq!(checked(&lines), expected, "{lines:?}");
        }
    }
}
