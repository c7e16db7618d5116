//! Old audit rows: archived as they are stored, then removed.
//!
//! The archive is `audit/archive-TIME-RANDOM.jsonl` in the data folder: one row a line, ciphertexts and
//! MACs as in the database, so that whoever has the keys can still open and verify it. A batch is on
//! disk before its rows are removed; a crash between the two leaves a row in both, never in neither.

#![expect(clippy::disallowed_methods, reason = "archives what it removes, shows nothing; fixed statements")]

use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::keys::lease::Lease;
use crate::text::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::audit_event::{Column, Entity, Model};
use entity::time::Timestamp;
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Archives and removes the rows from before `before`, up to `rounds` batches; how many rows.
///
/// # Errors
/// When the archive cannot be written (then nothing is removed) or the database cannot.
pub(super) async fn archive(
    app: &App,
    origin: &Origin,
    lease: &Lease,
    before: Timestamp,
    batch: u64,
    rounds: u32,
) -> Result<u64> {
    let time = rfc3339(app.clock.now()).replace([':', '.'], "-");
    let name = format!("archive-{time}-{}.jsonl", hex::encode(random::bytes::<4>()));
    let path = app.config.data_dir.join("audit").join(&name);
    let mut removed = 0;
    if !may_remove(app).await? {
        tracing::warn!(
            "this database role may not remove audit events; run `portcullis retention` as the tables' owner"
        );
        return Ok(0);
    }
    for _ in 0..rounds {
        let rows = Entity::find()
            .filter(Column::At.lt(before))
            .order_by_asc(Column::Id)
            .limit(batch)
            .all(app.db.reader())
            .await?;
        if rows.is_empty() {
            break;
        }
        let mut text = String::new();
        for row in &rows {
            text.push_str(&line(row).to_string());
            text.push('\n');
        }
        let target = path.clone();
        tokio::task::spawn_blocking(move || append(&target, text.as_bytes()))
            .await
            .map_err(Error::internal)?
            .map_err(Error::internal)?;
        removed += remove(app, &rows).await?;
        if (rows.len() as u64) < batch || !lease.renew(removed, removed).await? {
            break;
        }
    }
    if removed > 0 {
        let details = json!({ "rows": removed, "before": rfc3339(before), "archive": name });
        let event = Event::success(Kind::Delete, "retention").on("audit", "trail").details(details);
        app.audit.record(origin, vec![event]).await?;
    }
    Ok(removed)
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

/// Removes rows through the door that the append-only triggers leave for it.
async fn remove(app: &App, rows: &[Model]) -> Result<u64> {
    let tx = app.db.begin().await?;
    door(&tx, "archive").await?;
    let removed = Entity::delete_many()
        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(&tx)
        .await?
        .rows_affected;
    door(&tx, "closed").await?;
    tx.commit().await?;
    Ok(removed)
}

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
