//! The client's address: what trusted proxies say, right to left, and nobody else.
//!
//! Each proxy appends the address it was reached from. So the list is believed from its right end,
//! hop by hop, as long as the hop is itself a trusted proxy; the first other address is the client.
//! Everything left of it was written by the client and means nothing (ASVS 4.1.3, 15.3.4).

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// `address` with an IPv4-mapped IPv6 address turned into the IPv4 address it is.
pub(crate) fn folded(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What limits count by: an IPv4 address, or the /64 of an IPv6 address, which one customer has whole.
pub(crate) fn group(address: IpAddr) -> IpAddr {
    match folded(address) {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whether `address` is in one of `networks`.
pub(crate) fn is_trusted(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The client behind the trusted proxy `peer`: `Forwarded` (RFC 7239) where there is one, else
/// `X-Forwarded-For`. A hop that is no address ends the search: the last believed one counts.
pub(crate) fn behind(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    let standard = headers.contains_key(FORWARDED);
    let name = if standard { FORWARDED.as_str() } else { "x-forwarded-for" };
    for line in headers.get_all(name).iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for hop in line.rsplit(',') {
            let node = if standard { parameter(hop, "for") } else { Some(hop.trim()) };
            let Some(address) = node.and_then(address_of) else { return client };
            client = address;
            if !is_trusted(trusted, client) {
                return client;
            }
        }
    }
    client
}

/// Whether the proxy nearest to this server was reached over https.
pub(crate) fn https(headers: &HeaderMap) -> bool {
    let last = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    let proto = match last(FORWARDED.as_str()) {
        Some(line) => line.rsplit(',').next().and_then(|hop| parameter(hop, "proto")),
        None => last("x-forwarded-proto").and_then(|line| line.rsplit(',').next()).map(str::trim),
    };
    proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// The value of `name` in one element of `Forwarded`, without its quotes.
fn parameter<'a>(hop: &'a str, name: &str) -> Option<&'a str> {
    hop.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(bare)
    })
}

/// The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address_of(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    bare.parse().or_else(|_| node.parse::<SocketAddr>().map(|socket| socket.ip())).ok().map(folded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    /// ASVS: 4.1.3, 15.3.4
    #[test]
    fn hops_are_believed_from_the_right_while_they_are_trusted() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().unwrap()).collect();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for (lines, expected) in [
            (vec![], "10.0.0.1"),
            (vec![("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
            (vec![("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7"),
            (vec![("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
            (vec![("x-forwarded-for", "2001:db8::7")], "2001:db8::7"),
            (vec![("x-forwarded-for", "[2001:db8::7]:99")], "2001:db8::7"),
            // The client wrote the first entry; the proxy appended the second.
            (vec![("x-forwarded-for", "1.1.1.1, 203.0.113.7")], "203.0.113.7"),
            (vec![("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.9.9.9")], "203.0.113.7"),
            (vec![("x-forwarded-for", "127.0.0.1, 203.0.113.7")], "203.0.113.7"),
            // Two header lines are one list.
            (vec![("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
            (vec![("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.2.2.2")], "203.0.113.7"),
            // Rubbish ends the search.
            (vec![("x-forwarded-for", "203.0.113.7, unknown, 10.2.2.2")], "10.2.2.2"),
            (vec![("x-forwarded-for", "")], "10.0.0.1"),
            (vec![("x-forwarded-for", "203.0.113.7, ")], "10.0.0.1"),
            (vec![("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            // The standard header goes before the other one.
            (vec![("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "1.1.1.1")], "203.0.113.9"),
            (vec![("forwarded", "for=1.1.1.1, For=\"[2001:db8::9]:80\";proto=https")], "2001:db8::9"),
            (vec![("forwarded", "for=203.0.113.9;by=10.0.0.1, for=10.3.3.3")], "203.0.113.9"),
            (vec![("forwarded", "for=_hidden, for=10.3.3.3")], "10.3.3.3"),
            (vec![("forwarded", "by=203.0.113.9")], "10.0.0.1"),
            (vec![("x-real-ip", "1.1.1.1"), ("client-ip", "1.1.1.1")], "10.0.0.1"),
        ] {
            assert_eq!(behind(&trusted, peer, &headers(&lines)).to_string(), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        for (lines, expected) in [
            (vec![], false),
            (vec![("x-forwarded-proto", "https")], true),
            (vec![("x-forwarded-proto", "https, http")], false),
            (vec![("x-forwarded-proto", "http, https")], true),
            (vec![("x-forwarded-proto", "httpsx")], false),
            (vec![("forwarded", "for=1.1.1.1;proto=HTTPS")], true),
            (vec![("forwarded", "proto=https, for=1.1.1.1;proto=http")], false),
            (vec![("forwarded", "for=1.1.1.1"), ("x-forwarded-proto", "https")], false),
        ] {
            assert_eq!(https(&headers(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn limits_count_by_ipv4_address_and_ipv6_network() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(group(address.parse().unwrap()).to_string(), expected);
        }
    }
}
