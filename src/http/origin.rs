//! Which web origin a request comes from (RFC 6454), compared exactly.
//!
//! An origin is this server's own, one of `cors_origins`, or foreign. No patterns, no suffixes, no
//! `null`: `https://app.example.evil.example`, another port and another scheme are all foreign.

use crate::config::Config;
use http::HeaderMap;
use http::header::{ORIGIN, REFERER};

/// Where the page stands that sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No `Origin` header: not a browser, or a browser's plain GET.
    None,
    /// This server's own.
    Own,
    /// On the list of `cors_origins`; the text to answer with.
    Listed(http::HeaderValue),
    /// Any other, `null`, several, or not text.
    Foreign,
}

impl Origin {
    /// Whether a page of this origin may call. A request without origin is judged by other means.
    #[must_use]
    pub fn is_welcome(&self) -> bool {
        !matches!(self, Self::Foreign)
    }
}

/// The origin that `headers` name, for a request that reached `host` over https or not.
pub(crate) fn of(config: &Config, https: bool, host: &str, headers: &HeaderMap) -> Origin {
    let mut named = headers.get_all(ORIGIN).iter();
    let (Some(value), several) = (named.next(), named.next().is_some()) else { return Origin::None };
    match value.to_str() {
        Ok(text) if !several => match judge(config, https, host, text) {
            Some(true) => Origin::Own,
            Some(false) => Origin::Listed(value.clone()),
            None => Origin::Foreign,
        },
        _ => Origin::Foreign,
    }
}

/// Whether the page that `Referer` names may call; `None` when there is no such header.
pub(crate) fn referer_is_welcome(
    config: &Config,
    https: bool,
    host: &str,
    headers: &HeaderMap,
) -> Option<bool> {
    let referer = headers.get(REFERER)?.to_str().unwrap_or_default();
    Some(judge(config, https, host, of_url(referer)).is_some())
}

/// Own: `Some(true)`; listed: `Some(false)`; foreign: `None`.
fn judge(config: &Config, https: bool, host: &str, origin: &str) -> Option<bool> {
    let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
        scheme == if https { "https" } else { "http" } && !host.is_empty() && authority == host
    });
    if own || (!origin.is_empty() && origin == of_url(&config.public_url)) {
        return Some(true);
    }
    config.cors_origins.0.iter().any(|listed| listed == origin).then_some(false)
}

/// `scheme://authority` of an absolute URL; empty for anything else.
pub(crate) fn of_url(url: &str) -> &str {
    let Some(start) = url.find("://").map(|at| at + 3) else { return "" };
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| start + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::config::Sources;

    fn config() -> Config {
        let sources = Sources::default()
            .with("PORTCULLIS_CORS_ORIGINS", "https://app.example,http://localhost:5173")
            .with("PORTCULLIS_PUBLIC_URL", "https://api.example/base");
        Config::load(sources).unwrap()
    }

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    /// ASVS: 3.4.2, 3.5.2
    #[test]
    fn origins_are_compared_exactly() {
        let config = config();
        let judged = |https, host: &str, origin: &str| of(&config, https, host, &headers(ORIGIN, &[origin]));
        for listed in ["https://app.example", "http://localhost:5173"] {
            let value = listed.parse().unwrap();
            assert_eq!(judged(true, "api.example", listed), Origin::Listed(value));
        }
        assert_eq!(judged(true, "api.example", "https://api.example"), Origin::Own);
        assert_eq!(judged(false, "127.0.0.1:8080", "http://127.0.0.1:8080"), Origin::Own);
        assert_eq!(judged(false, "10.0.0.5:8080", "https://api.example"), Origin::Own);
        for foreign in [
            "null",
            "",
            "*",
            "https://app.example.evil.example",
            "https://evilapp.example",
            "https://evil.example/https://app.example",
            "https://app.example:8443",
            "https://app.example:443",
            "https://app.example/",
            "https://app.example.",
            "http://app.example",
            "https://APP.example",
            "https://sub.app.example",
            "https://app.example@evil.example",
            "https://user@app.example",
            "https://localhost:5173",
            "http://localhost",
            "http://localhost:51730",
            "http://127.0.0.1:5173",
            "https://app.example https://evil.example",
            "http://api.example",
            "https://api.example:8080",
            "file://",
            "app.example",
            "://api.example",
        ] {
            assert_eq!(judged(true, "api.example", foreign), Origin::Foreign, "{foreign}");
        }
        let two = headers(ORIGIN, &["https://app.example", "https://app.example"]);
        assert_eq!(of(&config, true, "api.example", &two), Origin::Foreign);
        assert_eq!(of(&config, true, "api.example", &HeaderMap::new()), Origin::None);
    }

    #[test]
    fn a_referer_counts_by_its_origin_alone() {
        let config = config();
        let judged =
            |referer| referer_is_welcome(&config, true, "api.example", &headers(REFERER, &[referer]));
        assert_eq!(judged("https://app.example/page?next=https://evil.example"), Some(true));
        assert_eq!(judged("https://app.example"), Some(true));
        assert_eq!(judged("https://evil.example/https://app.example"), Some(false));
        assert_eq!(judged("https://app.example\\@evil.example"), Some(true));
        assert_eq!(judged("https://app.example@evil.example/"), Some(false));
        assert_eq!(judged("about:blank"), Some(false));
        assert_eq!(referer_is_welcome(&config, true, "api.example", &HeaderMap::new()), None);
    }
}
