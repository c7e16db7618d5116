//! The ban list in memory: one look-up for each prefix length in use, whatever the length of the list.

use entity::time::Timestamp;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Networks and until when each is banned (`None`: until lifted).
#[derive(Debug, Default)]
struct Networks {
    /// Lengths of IPv4 and of IPv6 prefixes in use.
    lengths: [BTreeSet<u8>; 2],
    until: HashMap<IpNet, Option<Timestamp>>,
    /// The list's version in the database.
    version: i64,
}

/// Who is banned. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Matcher(Arc<RwLock<Arc<Networks>>>);

/// IPv4 addresses dressed as IPv6 are IPv4.
fn folded(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Matcher {
    fn networks(&self) -> Arc<Networks> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether requests from `address` are refused at `now`.
    #[must_use]
    pub fn matches(&self, address: IpAddr, now: Timestamp) -> bool {
        let networks = self.networks();
        if networks.until.is_empty() {
            return false;
        }
        let address = folded(address);
        networks.lengths[usize::from(address.is_ipv6())].iter().any(|length| {
            IpNet::new(address, *length).is_ok_and(|network| {
                networks
                    .until
                    .get(&network.trunc())
                    .is_some_and(|until| until.is_none_or(|until| now < until))
            })
        })
    }

    /// The version that is held.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.networks().version
    }

    /// Exchanges the list.
    pub fn replace(&self, version: i64, bans: impl IntoIterator<Item = (IpNet, Option<Timestamp>)>) {
        let mut networks = Networks { version, ..Networks::default() };
        for (network, until) in bans {
            let network = network.trunc();
            networks.lengths[usize::from(network.addr().is_ipv6())].insert(network.prefix_len());
            networks.until.insert(network, until);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(networks);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn banned(matcher: &Matcher, address: &str, now: i64) -> bool {
        matcher.matches(address.parse().unwrap(), Timestamp(now))
    }

    #[test]
    fn networks_addresses_and_expiry() {
        let matcher = Matcher::default();
        assert!(!banned(&matcher, "192.0.2.1", 0));
        let list =
            [("192.0.2.0/24", Some(Timestamp(100))), ("198.51.100.7/32", None), ("2001:db8:1::/64", None)];
        matcher.replace(3, list.map(|(network, until)| (network.parse().unwrap(), until)));
        assert_eq!(matcher.version(), 3);
        assert!(banned(&matcher, "192.0.2.255", 99));
        assert!(!banned(&matcher, "192.0.2.255", 100));
        assert!(!banned(&matcher, "192.0.3.0", 0));
        assert!(banned(&matcher, "198.51.100.7", i64::MAX));
        assert!(!banned(&matcher, "198.51.100.8", 0));
        assert!(banned(&matcher, "::ffff:198.51.100.7", 0), "IPv4 in IPv6 is IPv4");
        assert!(banned(&matcher, "2001:db8:1::ffff", 0));
        assert!(!banned(&matcher, "2001:db8:2::1", 0));
        matcher.replace(4, []);
        assert!(!banned(&matcher, "198.51.100.7", 0));
    }
}
