//! The trail for other tools: JSON lines, or CSV that no spreadsheet takes for formulas.

use super::search::first_id;
use crate::app::App;
use crate::crypto::Keyring;
use crate::error::Result;
use crate::text::rfc3339;
use entity::audit_event::{Column, Entity, Model};
use entity::id::EventId;
use entity::sealed::{Sealed, SealedField};
use entity::time::Timestamp;
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Rows that are read at once.
const BATCH: u64 = 500;

/// The names of what an exported event has, in the order of the CSV columns.
pub const COLUMNS: [&str; 15] = [
    "id",
    "chain",
    "seq",
    "at",
    "eventType",
    "action",
    "status",
    "actorId",
    "sessionId",
    "requestId",
    "ipAddress",
    "userAgent",
    "resourceType",
    "resourceId",
    "details",
];

/// One page of events from `since` on, oldest first, after the event `after`.
///
/// # Errors
/// When the database cannot.
pub async fn page(
    app: &App,
    since: Timestamp,
    until: Option<Timestamp>,
    after: Option<EventId>,
) -> Result<Vec<Model>> {
    #[allow(clippy::disallowed_methods, reason = "the whole trail, for the operator")]
    let mut query = Entity::find().filter(Column::Id.gte(first_id(since)));
    if let Some(until) = until {
        query = query.filter(Column::Id.lt(first_id(until)));
    }
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    Ok(query.order_by_asc(Column::Id).limit(BATCH).all(app.db.reader()).await?)
}

fn open<F: SealedField>(keyring: &Keyring, row: Uuid, sealed: Option<&Sealed<F>>) -> Value {
    match sealed.map(|sealed| keyring.open(row, sealed)) {
        None => Value::Null,
        Some(Ok(plain)) => Value::from(plain.expose_secret()),
        Some(Err(_)) => Value::from("(does not open)"),
    }
}

/// The event as an object; what is sealed is opened, and what does not open says so.
#[must_use]
pub fn object(keyring: &Keyring, row: &Model) -> Map<String, Value> {
    let id = row.id.uuid();
    let details = match open(keyring, id, row.details.as_ref()) {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    let value = json!({
        "id": row.id.to_string(),
        "chain": row.chain.as_simple().to_string(),
        "seq": row.seq,
        "at": rfc3339(row.at),
        "eventType": row.event_type,
        "action": row.action,
        "status": row.status.to_value(),
        "actorId": row.actor_id.map(|id| id.to_string()),
        "sessionId": row.session_id.map(|id| id.to_string()),
        "requestId": row.request_id,
        "ipAddress": open(keyring, id, row.address.as_ref()),
        "userAgent": open(keyring, id, row.user_agent.as_ref()),
        "resourceType": row.resource_type,
        "resourceId": row.resource_id,
        "details": details,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The event as one line of JSON.
#[must_use]
pub fn json_line(keyring: &Keyring, row: &Model) -> String {
    Value::Object(object(keyring, row)).to_string()
}

/// The event as one line of CSV (RFC 4180).
#[must_use]
pub fn csv_line(keyring: &Keyring, row: &Model) -> String {
    let object = object(keyring, row);
    let cells = COLUMNS.map(|column| match object.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => csv_cell(text),
        Some(other) => csv_cell(&other.to_string()),
    });
    cells.join(",")
}

/// A CSV cell: quoted, and with an apostrophe before what a spreadsheet would take for a formula
/// (OWASP: CSV injection).
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 1.2.10
    #[test]
    fn no_cell_is_a_formula_or_breaks_out() {
        for (text, cell) in [
            ("plain", "\"plain\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("a\",=1", "\"a\"\",=1\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
