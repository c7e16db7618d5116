//! Refuses what the server cannot take on, cheaply and early, instead of slowing everybody down.
//!
//! A place is taken once the request is read whole, so that slow senders hold none. Some places
//! are kept for requests with a live session; health checks need no place at all.

use super::client;
use super::passage::Passage;
use super::refusal::Refusal;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for requests under way.
#[derive(Debug)]
pub(crate) struct Overload {
    all: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

/// A place, until dropped.
#[derive(Debug)]
pub(crate) struct Place(
    #[allow(dead_code)] OwnedSemaphorePermit,
    #[allow(dead_code)] Option<OwnedSemaphorePermit>,
);

impl Overload {
    /// `places` in all, an eighth of them for known sessions only.
    pub(crate) fn new(places: u32) -> Self {
        let places = places as usize;
        Self {
            all: Arc::new(Semaphore::new(places)),
            open: Arc::new(Semaphore::new((places - places / 8).max(1))),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// None is free.
    pub(crate) fn take(&self, known: bool) -> Result<Place, Refusal> {
        let busy = |_| Refusal::OVERLOADED.after(1);
        let open = if known { None } else { Some(self.open.clone().try_acquire_owned().map_err(busy)?) };
        Ok(Place(self.all.clone().try_acquire_owned().map_err(busy)?, open))
    }
}

/// Takes a place for `passage`.
///
/// # Errors
/// The server is busy (503 with `Retry-After`).
pub(crate) fn place(passage: &Passage) -> Result<Place, Refusal> {
    let door = &passage.door;
    door.overload().take(door.backend().is_known(&passage.headers))
}

/// How many of something each address holds; an IPv6 /64 counts as one address.
#[derive(Debug, Clone)]
pub(crate) struct PerAddress {
    limit: u32,
    held: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One held by an address, until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: PerAddress,
    group: IpAddr,
}

impl PerAddress {
    /// At most `limit` for each address.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, held: Arc::default() }
    }

    /// One more for `address`, if it may.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Held> {
        let group = client::group(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(group).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Held { of: self.clone(), group })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// ASVS: 15.2.2
    #[test]
    fn an_eighth_is_kept_for_known_sessions() {
        let overload = Overload::new(8);
        let strangers: Vec<_> = (0..7).map(|_| overload.take(false).unwrap()).collect();
        assert_eq!(overload.take(false).unwrap_err(), Refusal::OVERLOADED.after(1));
        let known = overload.take(true).unwrap();
        assert_eq!(overload.take(true).unwrap_err(), Refusal::OVERLOADED.after(1));
        drop(strangers);
        assert!(overload.take(false).is_ok());
        drop(known);
        assert!(Overload::new(1).take(false).is_ok());
    }

    #[test]
    fn an_address_holds_no_more_than_its_limit() {
        let places = PerAddress::new(2);
        let address = |text: &str| text.parse().unwrap();
        let first = places.take(address("2001:db8::1")).unwrap();
        let _second = places.take(address("2001:db8::2")).unwrap();
        assert!(places.take(address("2001:db8::3")).is_none());
        let other = places.take(address("2001:db8:0:1::1")).unwrap();
        drop(first);
        let _third = places.take(address("2001:db8::3")).unwrap();
        assert!(places.take(address("2001:db8::3")).is_none());
        drop(other);
        assert_eq!(places.held.lock().unwrap().len(), 1);
    }
}
