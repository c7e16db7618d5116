//! Changes and their events, together or not at all.
//!
//! A change is made in a [`Tx`], and a `Tx` can only be committed with an event. So no change is
//! without its event and no event without its change, whatever happens between the two.

use super::chain::{self, Head, Lanes};
use super::event::{Event, Origin};
use crate::bus::{Bus, Message};
use crate::clock::Clock;
use crate::crypto::{Keyring, random};
use crate::db::Db;
use crate::error::Result;
use crate::limits::charge::EpochKey;
use crate::limits::store::Store;
use entity::audit_event::{self, Status};
use entity::id::{EventId, UserId};
use sea_orm::{DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel};
use std::sync::Arc;

/// Writes the trail. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auditor {
    db: Db,
    bus: Bus,
    limits: Store,
    keyring: Keyring,
    clock: Clock,
    lanes: Arc<Lanes>,
}

/// A transaction that ends with an audit event. Dropped without commit, it changes nothing.
#[derive(Debug)]
pub struct Tx {
    txn: DatabaseTransaction,
    auditor: Auditor,
    after: Vec<Message>,
}

impl Auditor {
    /// A writer on `db`. SQLite has one writer at a time, so one lane; PostgreSQL gets several.
    #[must_use]
    pub fn new(db: Db, bus: Bus, limits: Store, keyring: Keyring, clock: Clock) -> Self {
        let lanes = if db.backend() == DbBackend::Sqlite { 1 } else { 8 };
        Self { db, bus, limits, keyring, clock, lanes: Arc::new(Lanes::new(lanes)) }
    }

    /// Begins a change.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx { txn: self.db.begin().await?, auditor: self.clone(), after: Vec::new() })
    }

    /// Writes events that no change belongs to: a refusal, a failed sign-in.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn record(&self, origin: &Origin, events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        self.begin().await?.commit_all(origin, events).await
    }

    /// The row for `event`, sealed, not yet in a chain.
    fn row(&self, origin: &Origin, event: Event) -> audit_event::Model {
        let at = self.clock.now();
        let id = random::uuid_v7(at);
        let address = origin.address.map(|address| address.to_canonical().to_string());
        audit_event::Model {
            id: EventId(id),
            chain: uuid::Uuid::nil(),
            seq: 0,
            at,
            event_type: event.kind.name().to_owned(),
            action: event.action,
            status: event.status,
            actor_id: event.actor.or(origin.actor),
            session_id: event.session.or(origin.session),
            request_id: origin.request_id.clone(),
            address: address.as_deref().map(|address| self.keyring.seal(id, address)),
            address_index: address.as_deref().map(|address| self.keyring.blind_index(address)),
            user_agent: origin.user_agent.as_deref().map(|agent| self.keyring.seal(id, agent)),
            resource_type: event.resource.as_ref().map(|(kind, _)| (*kind).to_owned()),
            resource_id: event.resource.map(|(_, id)| id),
            details: event.details.map(|details| self.keyring.seal(id, &details.to_string())),
            mac: Vec::new(),
        }
    }
}

impl Tx {
    /// The connection to run statements on.
    #[must_use]
    pub fn connection(&self) -> &DatabaseTransaction {
        &self.txn
    }

    /// Has `message` told to all replicas once the change has committed.
    pub fn publish(&mut self, message: Message) {
        self.after.push(message);
    }

    /// Notes that the change concerns what `user` may do or which sessions they have: from the commit on
    /// no replica uses what it knew of them.
    pub fn touch(&mut self, user: UserId) {
        self.publish(Message::identity_changed(user));
    }

    /// Commits the change with its event.
    ///
    /// # Errors
    /// When the database cannot; then neither is kept.
    pub async fn commit(self, origin: &Origin, event: Event) -> Result<()> {
        self.commit_all(origin, vec![event]).await
    }

    /// Commits the change with several events.
    ///
    /// # Errors
    /// When the database cannot; then nothing is kept.
    pub async fn commit_all(self, origin: &Origin, events: Vec<Event>) -> Result<()> {
        let Self { txn, auditor, after } = self;
        for event in &events {
            if event.status != Status::Success {
                tracing::info!(event = event.kind.name(), status = ?event.status, action = event.action, "audit");
            }
        }
        let mut rows: Vec<_> = events.into_iter().map(|event| auditor.row(origin, event)).collect();
        let mut lane = auditor.lanes.take().await;
        // Taken out: whatever fails from here on leaves an empty lane, and the next event a new chain.
        let mut head = lane.take().unwrap_or_else(|| Head::genesis(random::uuid_v7(auditor.clock.now())));
        for row in &mut rows {
            row.chain = head.chain;
            row.seq = head.seq + 1;
            row.mac = chain::mac(&auditor.keyring, &head.mac, row).to_vec();
            head.seq = row.seq;
            head.mac.clone_from(&row.mac);
        }
        let written = rows.iter().map(|row| Message::audit_recorded(row.id, row.actor_id));
        let after: Vec<Message> = after.into_iter().chain(written).collect();
        let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
        audit_event::Entity::insert_many(rows).exec_without_returning(&txn).await?;
        txn.commit().await?;
        *lane = Some(head);
        drop(lane);
        for message in after {
            // The epoch first: whoever hears the message and looks again sees the change.
            if let Message::IdentityChanged { user } = message {
                auditor.limits.bump_epoch(EpochKey::user(user)).await;
            }
            auditor.bus.publish(message);
        }
        Ok(())
    }
}
