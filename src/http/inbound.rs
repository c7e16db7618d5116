//! What is known of a request before it is read: who sent it, from where, under which id.

use super::client;
use super::door::Door;
use super::origin::{self, Origin};
use super::request_id;
use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Method, Request};
use std::net::IpAddr;
use std::sync::Arc;

/// The far end of the connection a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address, IPv4-mapped addresses folded to IPv4.
    pub(crate) address: IpAddr,
    /// Whether this very connection is encrypted.
    pub(crate) tls: bool,
}

/// The facts about a request that every later step shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Names this request in logs, errors and audit events: made here, or a trusted proxy's.
    pub request_id: String,
    /// The client's address: the peer's, or what trusted proxies say (ASVS 4.1.3, 15.3.4).
    pub address: IpAddr,
    /// The `User-Agent` header where it is text.
    pub user_agent: Option<String>,
    /// Whether the client's own connection was encrypted, here or at a trusted proxy.
    pub https: bool,
    /// The authority the client asked for, lower case, with its port if it gave one; empty when it
    /// gave none, several, two that differ, or one that is no authority.
    pub host: String,
    /// The origin of the page that sent it.
    pub origin: Origin,
}

impl Inbound {
    /// Learns what there is to learn from the head of `request`.
    pub(crate) fn of<B>(door: &Door, peer: Peer, request: &Request<B>) -> Self {
        let headers = request.headers();
        let trusted = &door.config().trusted_proxies.0;
        let proxied = client::is_trusted(trusted, peer.address);
        let https = peer.tls || (proxied && client::https(headers));
        let host = host_of(request);
        Self {
            request_id: request_id::choose(door.clock(), proxied, headers),
            address: if proxied { client::behind(trusted, peer.address, headers) } else { peer.address },
            user_agent: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
            origin: origin::of(door.config(), https, &host, headers),
            https,
            host,
        }
    }
}

/// The one authority of `request` (RFC 9112, section 3.2; RFC 9113, section 8.3.1), or nothing.
fn host_of<B>(request: &Request<B>) -> String {
    let mut named = request.headers().get_all(HOST).iter();
    let header = named.next().map(|value| value.to_str().unwrap_or_default());
    let several = named.next().is_some();
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    let one = match (target, header) {
        _ if several => "",
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => "",
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => "",
    };
    let plain = one
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    if plain { one.to_ascii_lowercase() } else { String::new() }
}

/// A request for `/graphql`, read whole: its body is within the byte limit.
#[derive(Debug, Clone)]
pub struct GraphqlRequest {
    /// Who sent it, under which id.
    pub inbound: Arc<Inbound>,
    /// GET or POST; others were refused.
    pub method: Method,
    /// All headers.
    pub headers: HeaderMap,
    /// What stands behind the `?`, still encoded.
    pub query: Option<String>,
    /// The body; empty for GET.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str, headers: &[&str]) -> String {
        let mut request = Request::builder().uri(uri);
        for value in headers {
            request = request.header(HOST, *value);
        }
        host_of(&request.body(()).unwrap_or_default())
    }

    /// ASVS: 4.2.1
    #[test]
    fn there_is_exactly_one_host() {
        assert_eq!(host("/graphql", &["API.example:8080"]), "api.example:8080");
        assert_eq!(host("https://api.example/graphql", &[]), "api.example");
        assert_eq!(host("https://api.example/graphql", &["api.example"]), "api.example");
        assert_eq!(host("https://api.example/graphql", &["evil.example"]), "");
        assert_eq!(host("/graphql", &["api.example", "evil.example"]), "");
        assert_eq!(host("/graphql", &[]), "");
        assert_eq!(host("/graphql", &["user@api.example"]), "");
        assert_eq!(host("/graphql", &["api.example/x"]), "");
        assert_eq!(host("/graphql", &["api.example, evil.example"]), "");
    }
}
