//! Changes and their events, together or not at all.
//!
//! A change is made in a [`Tx`], and a `Tx` can only be committed with an event. So no change is
//! without its event and no event without its change, whatever happens between the two.

use super::chain::{self, Head, Lanes};
use super::event::{Event, Kind, Origin};
use super::log::Log;
use super::spool::{Spool, Standing};
use super::{export, heads};
use crate::bus::{Bus, Message};
use crate::clock::Clock;
use crate::crypto::{Keyring, random};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::limits::charge::EpochKey;
use crate::limits::store::Store;
use entity::audit_event::{self, Status};
use entity::id::{EventId, UserId};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Writes the trail. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auditor {
    db: Db,
    bus: Bus,
    limits: Store,
    keyring: Keyring,
    clock: Clock,
    lanes: Arc<Lanes>,
    spool: Spool,
    log: Log,
    watch: mpsc::Sender<audit_event::Model>,
    /// Until then (milliseconds of the monotonic clock) the database counts as away.
    away_until: Arc<AtomicU64>,
}

/// How long after a failure events go straight to the spool, in milliseconds.
const AWAY_MILLIS: u64 = 1000;
/// Spooled rows put into the trail in one transaction.
const REPLAY: usize = 200;

/// What the trail is written to and with.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Who is told.
    pub bus: Bus,
    /// Epochs of identities.
    pub limits: Store,
    /// The keys.
    pub keyring: Keyring,
    /// The time.
    pub clock: Clock,
    /// Where events wait while the database is away.
    pub spool: Spool,
    /// Where each event goes as a JSON line.
    pub log: Log,
    /// Who looks at failures, refusals and alerts.
    pub watch: mpsc::Sender<audit_event::Model>,
}

/// A transaction that ends with an audit event. Dropped without commit, it changes nothing.
#[derive(Debug)]
pub struct Tx {
    txn: DatabaseTransaction,
    auditor: Auditor,
    after: Vec<Message>,
}

impl Auditor {
    /// A writer. SQLite has one writer at a time, so one lane; PostgreSQL gets several.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { db, bus, limits, keyring, clock, spool, log, watch } = parts;
        let lanes = Arc::new(Lanes::new(if db.backend() == DbBackend::Sqlite { 1 } else { 8 }));
        Self { db, bus, limits, keyring, clock, lanes, spool, log, watch, away_until: Arc::default() }
    }

    /// Begins a change.
    ///
    /// # Errors
    /// When the database cannot; [`Error::Overloaded`] while the spool is full.
    pub async fn begin(&self) -> Result<Tx> {
        if self.spool.standing() == Standing::Full {
            return Err(Error::Overloaded { retry_after: 5 });
        }
        self.open().await
    }

    async fn open(&self) -> Result<Tx> {
        Ok(Tx { txn: self.db.begin().await?, auditor: self.clone(), after: Vec::new() })
    }

    /// Writes events that no change belongs to: a refusal, a failed sign-in. While the database is away
    /// they are on the disk when this returns.
    ///
    /// # Errors
    /// When neither the database nor the spool can.
    pub async fn record(&self, origin: &Origin, events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let rows = self.rows(origin, events);
        if self.monotonic() >= self.away_until.load(Ordering::Relaxed) {
            let written = match self.open().await {
                Ok(tx) => tx.commit_rows(rows.clone()).await,
                Err(error) => Err(error),
            };
            let Err(error) = written else { return Ok(()) };
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "events go to the spool: the database does not take them");
            self.away_until.store(self.monotonic() + AWAY_MILLIS, Ordering::Relaxed);
        }
        // The ids are the same, so what was committed after all is not written twice.
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || spool.append(&rows)).await.map_err(Error::internal)?
    }

    /// How the spool stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.spool.standing()
    }

    /// Where each event goes as a JSON line.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Puts what waits in the spool into the trail, in order, each event once.
    ///
    /// # Errors
    /// When the database or the disk cannot; what is in the trail by then is not written again.
    pub async fn replay(&self) -> Result<()> {
        if self.spool.look() == Standing::Empty {
            return Ok(());
        }
        let spool = self.spool.clone();
        let (rows, bytes) =
            tokio::task::spawn_blocking(move || spool.read()).await.map_err(Error::internal)??;
        let count = rows.len();
        for batch in rows.chunks(REPLAY) {
            let tx = self.open().await?;
            #[allow(clippy::disallowed_methods, reason = "which of the spooled ids are there already")]
            let there: Vec<EventId> = audit_event::Entity::find()
                .select_only()
                .column(audit_event::Column::Id)
                .filter(audit_event::Column::Id.is_in(batch.iter().map(|row| row.id)))
                .into_tuple()
                .all(tx.connection())
                .await?;
            let missing: Vec<_> = batch.iter().filter(|row| !there.contains(&row.id)).cloned().collect();
            if !missing.is_empty() {
                tx.commit_rows(missing).await?;
            }
        }
        if count > 0 {
            // It took them: it is back.
            self.away_until.store(0, Ordering::Relaxed);
        }
        let spool = self.spool.clone();
        let (emptied, lost) =
            tokio::task::spawn_blocking(move || spool.clear(bytes)).await.map_err(Error::internal)??;
        if emptied {
            self.away_until.store(0, Ordering::Relaxed);
            tracing::info!(count, lost, "the audit spool is in the trail");
            let event = Event::success(Kind::Degraded, "audit spool")
                .status(if lost > 0 { Status::Alert } else { Status::Success })
                .details(serde_json::json!({ "replayed": count, "refusalsNotRecorded": lost }));
            self.record(&Origin::default(), vec![event]).await?;
        }
        Ok(())
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn rows(&self, origin: &Origin, events: Vec<Event>) -> Vec<audit_event::Model> {
        for event in &events {
            if event.status != Status::Success {
                tracing::info!(event = event.kind.name(), status = ?event.status, action = event.action, "audit");
            }
        }
        events.into_iter().map(|event| self.row(origin, event)).collect()
    }

    /// Whether a chain still takes rows: its day is not over (see [`heads`]).
    fn takes_rows(&self, head: &Head) -> bool {
        let age = self.clock.now().0.saturating_sub(heads::began(head.chain).0);
        (0..heads::CHAIN_MILLIS).contains(&age)
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
        let rows = self.auditor.rows(origin, events);
        self.commit_rows(rows).await
    }

    async fn commit_rows(self, mut rows: Vec<audit_event::Model>) -> Result<()> {
        let Self { txn, auditor, after } = self;
        let mut lane = auditor.lanes.take().await;
        // Taken out: whatever fails from here on leaves an empty lane, and the next event a new chain.
        let mut head = lane
            .take()
            .filter(|head| auditor.takes_rows(head))
            .unwrap_or_else(|| Head::genesis(random::uuid_v7(auditor.clock.now())));
        for row in &mut rows {
            row.chain = head.chain;
            row.seq = head.seq + 1;
            row.mac = chain::mac(&auditor.keyring, &head.mac, row).to_vec();
            head.seq = row.seq;
            head.mac.clone_from(&row.mac);
        }
        let written = rows.iter().map(|row| Message::audit_recorded(row.id, row.actor_id));
        let after: Vec<Message> = after.into_iter().chain(written).collect();
        let lines: Vec<String> = if auditor.log.is_on() {
            rows.iter().map(|row| export::json_line(&auditor.keyring, row)).collect()
        } else {
            Vec::new()
        };
        let watched: Vec<_> = rows.iter().filter(|row| row.status != Status::Success).cloned().collect();
        let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
        audit_event::Entity::insert_many(rows).exec_without_returning(&txn).await?;
        txn.commit().await?;
        *lane = Some(head);
        drop(lane);
        lines.into_iter().for_each(|line| auditor.log.send(line));
        // A full queue is a flood of failures: the rules count in the trail, so the next one shows them all.
        watched.into_iter().for_each(|row| drop(auditor.watch.try_send(row)));
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
