//! Old events: archived as they are stored, then removed, whole chains at a time.
//!
//! The archive is `audit/archive-TIME-RANDOM.jsonl` in the data folder: one row a line, ciphertexts and
//! MACs as in the database, so that whoever has the keys can still open and verify it. A chain is on disk
//! before its rows are removed; a crash between the two leaves it in both, never in neither.
//!
//! The removal notes, in the same transaction, the last chain that is gone and the digest of all that
//! are, which is where verification and checkpoints go on from.

#![expect(clippy::disallowed_methods, reason = "archives what it removes, shows nothing; fixed statements")]

use super::checkpoint::Fold;
use super::{Event, Kind, Origin, heads};
use crate::app::App;
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::text::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::audit_archive;
use entity::audit_event::{Column, Entity, Model};
use entity::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set, Statement,
};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Rows that are read at once.
const BATCH: u64 = 500;

/// How far the trail has been archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// This chain and all before it are no longer in the table; nil: all are there.
    pub through: Uuid,
    /// Their ends, folded.
    pub fold: Fold,
}

/// How far the trail has been archived.
///
/// # Errors
/// When the database cannot.
pub async fn state(db: &impl ConnectionTrait) -> Result<Archived> {
    let Some(row) = audit_archive::Entity::find_by_id(1).one(db).await? else {
        return Ok(Archived::default());
    };
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let fold = Fold {
        chains: number(row.chains),
        events: number(row.events),
        digest: row.digest.try_into().unwrap_or_default(),
    };
    Ok(Archived { through: row.through, fold })
}

/// One round of archiving, a file of its own.
#[derive(Debug)]
pub struct Round {
    name: String,
    before: Timestamp,
    /// Events removed so far.
    pub removed: u64,
}

impl Round {
    /// A round over the chains that took no event after `before`; `None` when this database role may
    /// not remove events.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn begin(app: &App, before: Timestamp) -> Result<Option<Self>> {
        if !may_remove(app).await? {
            tracing::warn!(
                "this database role may not remove audit events; run `portcullis retention` as the tables' owner"
            );
            return Ok(None);
        }
        let time = rfc3339(app.clock.now()).replace([':', '.'], "-");
        let name = format!("archive-{time}-{}.jsonl", hex::encode(random::bytes::<4>()));
        Ok(Some(Self { name, before, removed: 0 }))
    }

    /// Archives and removes the oldest chain; `false` when there is none that old.
    ///
    /// # Errors
    /// When the archive cannot be written (then nothing is removed) or the database cannot.
    pub async fn chain(&mut self, app: &App) -> Result<bool> {
        let Some(head) = heads::first(app.db.reader(), heads::boundary(self.before)).await? else {
            return Ok(false);
        };
        copy(app, &app.config.data_dir.join("audit").join(&self.name), head.chain).await?;
        let tx = app.db.begin().await?;
        let mut archived = state(&tx).await?;
        archived.fold.add(&head);
        archived.through = head.chain;
        door(&tx, "archive").await?;
        let removed = Entity::delete_many().filter(Column::Chain.eq(head.chain)).exec(&tx).await?;
        door(&tx, "closed").await?;
        note(&tx, &archived).await?;
        tx.commit().await?;
        self.removed += removed.rows_affected;
        Ok(true)
    }

    /// Records what was done, if anything; how many events went.
    ///
    /// # Errors
    /// When the trail cannot be written.
    pub async fn end(self, app: &App, origin: &Origin) -> Result<u64> {
        if self.removed > 0 {
            let details =
                json!({ "rows": self.removed, "before": rfc3339(self.before), "archive": self.name });
            let event = Event::success(Kind::Delete, "retention").on("audit", "trail").details(details);
            app.audit.record(origin, vec![event]).await?;
        }
        Ok(self.removed)
    }
}

/// Notes how far the trail is archived.
async fn note(tx: &DatabaseTransaction, archived: &Archived) -> Result<()> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let row = audit_archive::ActiveModel {
        id: Set(1),
        through: Set(archived.through),
        chains: Set(number(archived.fold.chains)),
        events: Set(number(archived.fold.events)),
        digest: Set(archived.fold.digest.to_vec()),
    };
    use audit_archive::Column as To;
    let replace = OnConflict::column(To::Id)
        .update_columns([To::Through, To::Chains, To::Events, To::Digest])
        .to_owned();
    audit_archive::Entity::insert(row).on_conflict(replace).exec_without_returning(tx).await?;
    Ok(())
}

/// Appends a chain to the archive.
async fn copy(app: &App, path: &Path, chain: Uuid) -> Result<()> {
    let mut after = 0;
    loop {
        let rows = Entity::find()
            .filter(Column::Chain.eq(chain))
            .filter(Column::Seq.gt(after))
            .order_by_asc(Column::Seq)
            .limit(BATCH)
            .all(app.db.reader())
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.seq;
        let mut text = String::new();
        for row in &rows {
            text.push_str(&line(row).to_string());
            text.push('\n');
        }
        let target = path.to_owned();
        tokio::task::spawn_blocking(move || append(&target, text.as_bytes()))
            .await
            .map_err(Error::internal)?
            .map_err(Error::internal)?;
    }
}

/// Whether this role may remove audit events: the service's may not where roles are narrow
/// (`deploy/postgres-roles.sql`).
async fn may_remove(app: &App) -> Result<bool> {
    if app.db.backend() == DbBackend::Sqlite {
        return Ok(true);
    }
    let sql = "SELECT has_table_privilege('audit_events', 'DELETE')";
    let row = app.db.reader().query_one_raw(Statement::from_string(app.db.backend(), sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false))
}

/// Appends to the archive and waits until it is on disk.
fn append(path: &PathBuf, bytes: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::File::open(folder)?.sync_all()
}

/// Opens and closes the door that the append-only triggers leave for this.
async fn door(tx: &DatabaseTransaction, mode: &str) -> Result<()> {
    let statement = match tx.get_database_backend() {
        DbBackend::Sqlite => format!("UPDATE audit_guard SET mode = '{mode}'"),
        _ => format!("SET LOCAL portcullis.audit = '{mode}'"),
    };
    tx.execute_unprepared(&statement).await?;
    Ok(())
}

/// A row as it is stored.
fn line(row: &Model) -> Value {
    let bytes = |bytes: &[u8]| STANDARD.encode(bytes);
    json!({
        "format": "audit_events/1",
        "id": row.id.to_string(),
        "chain": row.chain.as_simple().to_string(),
        "seq": row.seq,
        "at": row.at.0,
        "eventType": row.event_type,
        "action": row.action,
        "status": row.status.to_value(),
        "actorId": row.actor_id.map(|id| id.to_string()),
        "sessionId": row.session_id.map(|id| id.to_string()),
        "requestId": row.request_id,
        "address": row.address.as_ref().map(|sealed| bytes(sealed.as_bytes())),
        "addressIndex": row.address_index.as_ref().map(|index| bytes(index.as_bytes())),
        "userAgent": row.user_agent.as_ref().map(|sealed| bytes(sealed.as_bytes())),
        "resourceType": row.resource_type,
        "resourceId": row.resource_id,
        "details": row.details.as_ref().map(|sealed| bytes(sealed.as_bytes())),
        "mac": bytes(&row.mac),
    })
}
