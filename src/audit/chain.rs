//! Hash chains over the trail (OWASP ASVS 16.4.2).
//!
//! Each row's MAC is HMAC-SHA-256, under a keyring subkey, over the previous row's MAC and the row in
//! a canonical form, ciphertexts as they are stored. A process writes chains of its own, one for each
//! lane, so replicas and parallel requests do not wait for one another; a lane is held only while the
//! row is inserted and the transaction commits, and a chain never forks. After a failed commit, whose
//! outcome is unknown, the lane begins a new chain.

use crate::crypto::{Keyring, Purpose};
use entity::audit_event::Model;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which chain.
    pub chain: Uuid,
    /// The last row's place; 0 before the first.
    pub seq: i64,
    /// The last row's MAC; zeros before the first.
    pub mac: Vec<u8>,
}

impl Head {
    /// The beginning of a new chain.
    #[must_use]
    pub fn genesis(chain: Uuid) -> Self {
        Self { chain, seq: 0, mac: vec![0; 32] }
    }
}

/// The chains that this process writes.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Mutex<Option<Head>>>,
    next: AtomicUsize,
}

impl Lanes {
    /// `count` lanes, at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { lanes: (0..count.max(1)).map(|_| Mutex::new(None)).collect(), next: AtomicUsize::new(0) }
    }

    /// A free lane, or the next one in turn once it is free.
    pub async fn take(&self) -> MutexGuard<'_, Option<Head>> {
        for lane in &self.lanes {
            if let Ok(guard) = lane.try_lock() {
                return guard;
            }
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        self.lanes[turn].lock().await
    }
}

/// The MAC of `row`, which follows a row with MAC `previous`.
#[must_use]
pub fn mac(keyring: &Keyring, previous: &[u8], row: &Model) -> [u8; 32] {
    with_parts(previous, row, |parts| keyring.mac(Purpose::AuditChain, parts))
}

/// Whether `row` carries the right MAC after `previous`, under any key of the ring.
#[must_use]
pub fn verify(keyring: &Keyring, previous: &[u8], row: &Model) -> bool {
    let Ok(tag) = <&[u8; 32]>::try_from(row.mac.as_slice()) else { return false };
    with_parts(previous, row, |parts| keyring.verify_mac(Purpose::AuditChain, parts, tag))
}

/// Hands over the canonical form: every column in order, an absent one told apart from an empty one.
fn with_parts<T>(previous: &[u8], row: &Model, f: impl FnOnce(&[&[u8]]) -> T) -> T {
    let seq = row.seq.to_be_bytes();
    let at = row.at.0.to_be_bytes();
    let status = sea_orm::ActiveEnum::to_value(&row.status);
    let actor = row.actor_id.map(|id| *id.uuid().as_bytes());
    let session = row.session_id.map(|id| *id.uuid().as_bytes());
    let present: [Option<&[u8]>; 10] = [
        row.action.as_deref().map(str::as_bytes),
        actor.as_ref().map(<[u8; 16]>::as_slice),
        session.as_ref().map(<[u8; 16]>::as_slice),
        row.request_id.as_deref().map(str::as_bytes),
        row.address.as_ref().map(entity::sealed::Sealed::as_bytes),
        row.address_index.as_ref().map(entity::sealed::BlindIndex::as_bytes),
        row.user_agent.as_ref().map(entity::sealed::Sealed::as_bytes),
        row.resource_type.as_deref().map(str::as_bytes),
        row.resource_id.as_deref().map(str::as_bytes),
        row.details.as_ref().map(entity::sealed::Sealed::as_bytes),
    ];
    let flags: Vec<u8> = present.iter().map(|part| u8::from(part.is_some())).collect();
    let id = row.id.uuid();
    let mut parts: Vec<&[u8]> = vec![
        b"audit_events/1",
        previous,
        row.chain.as_bytes(),
        &seq,
        id.as_bytes(),
        &at,
        row.event_type.as_bytes(),
        status.as_bytes(),
        &flags,
    ];
    parts.extend(present.into_iter().flatten());
    f(&parts)
}
