//! Finding rows that are not under the current key, and sealing them again, a batch at a time.
//!
//! Which key a row is under is in the row, so nothing has to be remembered from one batch to the next
//! but the last id, and that only to save work.

use super::columns::SealedColumn;
use crate::app::App;
use crate::crypto::Keyring;
use crate::error::Result;
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;
use zeroize::Zeroize;

/// The six bytes that every value sealed under key `number` begins with.
#[must_use]
pub fn header(number: u32) -> Vec<u8> {
    let mut header = vec![1, 1];
    header.extend_from_slice(&number.to_be_bytes());
    header
}

/// The first six bytes of a column; on both databases.
pub(super) fn header_of(column: &str) -> Expr {
    Expr::cust(format!("substr(\"{column}\", 1, 6)"))
}

fn col(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}

/// Rows in which one of `columns` is not under key `current`.
pub(super) fn stale(columns: &[SealedColumn], current: u32) -> Condition {
    let mut any = Condition::any();
    for sealed in columns {
        let name = sealed.column.column;
        any = any.add(col(name).is_not_null().and(header_of(name).ne(header(current))));
        if let Some((next, _)) = sealed.index.and_then(|index| index.rotates) {
            any = any.add(col(name).is_not_null().and(col(next).is_null()));
        }
    }
    any
}

/// How many rows of `table` match.
///
/// # Errors
/// When the database cannot.
pub(super) async fn count(db: &impl ConnectionTrait, table: &'static str, which: Condition) -> Result<u64> {
    let query = Query::select().expr(Expr::cust("COUNT(*)")).from(table).cond_where(which).to_owned();
    let row = db.query_one(&query).await?;
    let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The last row's id; `None` when there was no row.
    pub(super) last: Option<Uuid>,
    /// Rows looked at.
    pub(super) seen: u64,
    /// Rows sealed again.
    pub(super) changed: u64,
    /// Columns of rows that do not open, as `table.column row`.
    pub(super) broken: Vec<(String, Uuid)>,
}

/// Seals up to `limit` rows after `after` again, in one transaction. A row that somebody else changed
/// between the reading and the writing is left to them: each update names the old ciphertexts.
pub(super) async fn reseal_batch(
    app: &App,
    table: &'static str,
    columns: &[SealedColumn],
    after: Option<Uuid>,
    limit: u64,
) -> Result<Batch> {
    let current = app.keyring.current();
    let mut query = Query::select();
    query
        .column("id")
        .from(table)
        .cond_where(stale(columns, current))
        .order_by("id", Order::Asc)
        .limit(limit);
    for sealed in columns {
        query.column(sealed.column.column);
        if let Some((next, _)) = sealed.index.and_then(|index| index.rotates) {
            query.column(next);
        }
    }
    if let Some(after) = after {
        query.and_where(col("id").gt(after));
    }
    let rows = app.db.reader().query_all(&query).await?;
    let mut batch = Batch { seen: rows.len() as u64, ..Batch::default() };
    let mut updates = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: Uuid = row.try_get("", "id")?;
        batch.last = Some(id);
        match resealed(&app.keyring, columns, id, row, current)? {
            Resealed::Update(update) => updates.extend(update),
            Resealed::Broken(column) => batch.broken.push((column, id)),
        }
    }
    if updates.is_empty() {
        return Ok(batch);
    }
    let tx = app.db.begin().await?;
    for update in updates {
        let mut statement = Query::update();
        statement.table(table).and_where(col("id").eq(update.id));
        for (name, value) in update.set {
            statement.value(name, value);
        }
        for (name, old) in update.old {
            statement.and_where(col(name).eq(old));
        }
        batch.changed += tx.execute(&statement).await?.rows_affected();
    }
    tx.commit().await?;
    Ok(batch)
}

/// One row's change: what to set, if the ciphertexts are still these.
struct Update {
    id: Uuid,
    set: Vec<(&'static str, Vec<u8>)>,
    old: Vec<(&'static str, Vec<u8>)>,
}

enum Resealed {
    Update(Option<Update>),
    Broken(String),
}

fn resealed(
    keyring: &Keyring,
    columns: &[SealedColumn],
    id: Uuid,
    row: &QueryResult,
    current: u32,
) -> Result<Resealed> {
    let mut update = Update { id, set: Vec::new(), old: Vec::new() };
    for sealed in columns {
        let name = sealed.column.column;
        let Some(old) = row.try_get::<Option<Vec<u8>>>("", name)? else { continue };
        let fresh = old.starts_with(&header(current));
        let Ok(new) = keyring.reseal_column(sealed.column, id, &old) else {
            return Ok(Resealed::Broken(sealed.name()));
        };
        let mut touched = false;
        if let Some((next, normalise)) = sealed.index.and_then(|index| index.rotates) {
            let absent = row.try_get::<Option<Vec<u8>>>("", next)?.is_none();
            if absent || !fresh {
                let plain = keyring.open_column(sealed.column, id, &old).ok();
                let text = plain.as_ref().and_then(|plain| std::str::from_utf8(plain).ok());
                let Some(text) = text else { return Ok(Resealed::Broken(sealed.name())) };
                let mut normalised = normalise(text);
                let index = keyring.index_column(sealed.column, &normalised);
                normalised.zeroize();
                update.set.push((next, index));
                touched = true;
            }
        }
        if let Some(new) = new {
            update.set.push((name, new));
            touched = true;
        }
        if touched {
            update.old.push((name, old));
        }
    }
    Ok(Resealed::Update((!update.set.is_empty()).then_some(update)))
}

/// Rows of `table` whose index is not yet their next one.
pub(super) fn unswitched(index: &'static str, next: &'static str) -> Condition {
    Condition::all().add(col(index).ne(col(next)))
}

/// Exchanges the indexes of up to `limit` rows after `after` for their next ones. The last row's id, and
/// how many changed; `None` when there was no row.
pub(super) async fn switch_batch(
    app: &App,
    table: &'static str,
    (index, next): (&'static str, &'static str),
    after: Option<Uuid>,
    limit: u64,
) -> Result<Option<(Uuid, u64)>> {
    let mut query = Query::select();
    query
        .column("id")
        .from(table)
        .cond_where(unswitched(index, next))
        .order_by("id", Order::Asc)
        .limit(limit);
    if let Some(after) = after {
        query.and_where(col("id").gt(after));
    }
    let rows = app.db.reader().query_all(&query).await?;
    let ids: Vec<Uuid> =
        rows.iter().map(|row| row.try_get("", "id")).collect::<std::result::Result<_, _>>()?;
    let Some(last) = ids.last().copied() else { return Ok(None) };
    let statement = Query::update()
        .table(table)
        .value(index, col(next))
        .and_where(col("id").is_in(ids))
        .cond_where(unswitched(index, next))
        .to_owned();
    let changed = app.db.writer().execute(&statement).await?.rows_affected();
    Ok(Some((last, changed)))
}
