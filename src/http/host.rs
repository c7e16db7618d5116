//! Only names that this server goes by: a request for another host was meant for somebody else, or
//! wants its `Host` echoed into a link.

use super::door::IncidentKind;
use super::incidents;
use super::passage::Passage;
use super::refusal::Refusal;
use warp::Rejection;

/// Refuses a request without exactly one host (400), or for a host that is not on the list (421).
pub(crate) async fn known(passage: Passage) -> Result<Passage, Rejection> {
    let host = &passage.inbound.host;
    if host.is_empty() {
        return Err(Refusal::NO_HOST.into());
    }
    let hosts = &passage.door.config().hosts.0;
    if hosts.is_empty() || is_listed(hosts, host) {
        return Ok(passage);
    }
    incidents::sampled(&passage, IncidentKind::WrongHost, "host not on the list").await;
    Err(Refusal::WRONG_HOST.into())
}

/// Whether `host` (lower case, perhaps with a port) is one of `hosts`; an entry without a port
/// matches any port.
fn is_listed(hosts: &[String], host: &str) -> bool {
    let name = without_port(host);
    hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(name))
}

/// `host` without `:port`; the colons of an IPv6 literal stand in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 4.1.3
    #[test]
    fn a_host_is_listed_whole_or_not_at_all() {
        let hosts = ["api.example", "Other.example:8443", "[::1]"].map(str::to_owned);
        for (host, expected) in [
            ("api.example", true),
            ("api.example:8080", true),
            ("other.example:8443", true),
            ("[::1]", true),
            ("[::1]:8080", true),
            ("other.example", false),
            ("other.example:8444", false),
            ("api.example.evil.example", false),
            ("evilapi.example", false),
            ("api.example.", false),
            ("api.example:8080@evil.example", false),
            ("evil.example:80#api.example", false),
            ("api.example:80a", false),
            ("[::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_listed(&hosts, host), expected, "{host}");
        }
    }
}
