//! What uses which key: rows of every sealed column, unique indexes, password peppers.

use super::columns::{SEALED, unique_indexes};
use super::{index, rows};
use crate::app::App;
use crate::error::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, QueryResult};

/// Rows of one kind under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `table.column`.
    pub what: String,
    /// The key's number; `None` for what this build cannot read.
    pub key: Option<u32>,
    /// How many rows.
    pub rows: u64,
    /// Whether rotation leaves them under their key.
    pub kept: bool,
}

fn pair(row: &QueryResult) -> Result<(Vec<u8>, u64)> {
    let header: Vec<u8> = row.try_get_by_index(0)?;
    let count: i64 = row.try_get_by_index(1)?;
    Ok((header, u64::try_from(count).unwrap_or(0)))
}

/// Counts everything that is stored under a key. Reads every row of every table with a sealed column.
///
/// # Errors
/// When the database cannot.
pub async fn usage(app: &App) -> Result<Vec<Usage>> {
    let db = app.db.reader();
    let mut found = Vec::new();
    for sealed in SEALED {
        let name = sealed.column.column;
        let query = Query::select()
            .expr(rows::header_of(name))
            .expr(Expr::cust("COUNT(*)"))
            .from(sealed.column.table)
            .and_where(Expr::col(Alias::new(name)).is_not_null())
            .add_group_by([rows::header_of(name)])
            .to_owned();
        for row in db.query_all(&query).await? {
            let (header, rows) = pair(&row)?;
            let key = crate::crypto::sealed_key_number(&header);
            found.push(Usage { what: sealed.name(), key, rows, kept: sealed.kept });
        }
    }
    found.retain(|usage| usage.what != "key_canaries.canary");
    for sealed in unique_indexes() {
        found.extend(indexes(app, sealed).await?);
    }
    found.extend(peppers(app).await?);
    Ok(found)
}

/// The rows of a unique index by the key that it is looked up by.
async fn indexes(app: &App, sealed: super::columns::SealedColumn) -> Result<Vec<Usage>> {
    let Some((column, next)) =
        sealed.index.and_then(|index| index.rotates.map(|(next, _)| (index.column, next)))
    else {
        return Ok(Vec::new());
    };
    let Some(state) = index::state(app.db.reader(), sealed).await? else { return Ok(Vec::new()) };
    let table = sealed.column.table;
    let all = rows::count(app.db.reader(), table, sea_orm::sea_query::Condition::all()).await?;
    let number = |key: i64| u32::try_from(key).ok();
    let what = format!("{table}.{column}");
    let one = |key, rows| Usage { what: what.clone(), key, rows, kept: false };
    if !state.switching {
        return Ok(vec![one(number(state.index_key), all)]);
    }
    // Which older key the rest is under is not in the row; it is one that the ring must keep.
    let rest = rows::count(app.db.reader(), table, rows::unswitched(column, next)).await?;
    let older = app.keyring.numbers().into_iter().rev().find(|n| i64::from(*n) < state.index_key);
    Ok(vec![one(number(state.index_key), all - rest), one(older, rest)])
}

/// The `keyid` of a password hash made under key `number`, as it stands in the PHC string.
#[must_use]
pub fn pepper_pattern(number: u32) -> String {
    format!("%,keyid={}$%", STANDARD_NO_PAD.encode(number.to_be_bytes()))
}

/// Password hashes by the key of their pepper.
async fn peppers(app: &App) -> Result<Vec<Usage>> {
    let mut found = Vec::new();
    for number in app.keyring.numbers() {
        let query = Query::select()
            .expr(Expr::cust("COUNT(*)"))
            .from("users")
            .and_where(Expr::col(Alias::new("password_hash")).like(pepper_pattern(number)))
            .to_owned();
        let row = app.db.reader().query_one(&query).await?;
        let rows: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        found.push(Usage {
            what: "users.password_hash".to_owned(),
            key: Some(number),
            rows: u64::try_from(rows).unwrap_or(0),
            kept: true,
        });
    }
    Ok(found)
}
