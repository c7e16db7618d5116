//! Everything about the viewer as JSON, in parts of bounded size (GDPR, articles 15 and 20).
//!
//! The first part begins with the profile and the sessions; posts and events follow, oldest first, and
//! go on in the next part where one is full. A part is never larger than [`PART_BYTES`] and one batch.

#![expect(clippy::disallowed_methods, reason = "every finder is scoped to the viewer")]

use crate::access::Identity;
use crate::app::App;
use crate::audit::event::role_name;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::cursor;
use crate::error::{Error, Result};
use crate::keys::retire::UNUSABLE;
use crate::text::rfc3339;
use entity::id::{EventId, PostId, UserId};
use entity::sealed::{Sealed, SealedField};
use entity::{audit_event, post, session, user};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Bytes after which a part is full.
pub const PART_BYTES: usize = 4 << 20;
/// Rows read at once.
const BATCH: u64 = 100;

const POSTS: &str = "exportMyData.posts";
const EVENTS: &str = "exportMyData.events";

/// One part of an export.
#[derive(Debug)]
pub struct Part {
    /// The data, by kind.
    pub data: Value,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// Where a part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Posts(Uuid),
    Events(Option<Uuid>),
}

impl Place {
    fn parse(app: &App, after: Option<&str>) -> Result<Self> {
        let Some(after) = after else { return Ok(Self::Start) };
        if let Ok(id) = cursor::decode(&app.keyring, POSTS, after) {
            return Ok(Self::Posts(id));
        }
        cursor::decode(&app.keyring, EVENTS, after)
            .map(|id| Self::Events(Some(id)))
            .map_err(|_| Error::field("after", "is not where a part of an export ended"))
    }

    fn encode(self, app: &App) -> Option<String> {
        match self {
            Self::Posts(id) => Some(cursor::encode(&app.keyring, POSTS, id)),
            Self::Events(Some(id)) => Some(cursor::encode(&app.keyring, EVENTS, id)),
            Self::Start | Self::Events(None) => None,
        }
    }
}

/// One part of everything about the viewer, after `after`. Recorded before it is shown.
///
/// # Errors
/// `BAD_USER_INPUT` for an `after` that no part ended with; otherwise when the database cannot.
pub async fn part(app: &App, origin: &Origin, me: &Identity, after: Option<&str>) -> Result<Part> {
    part_of(app, origin, me, after, PART_BYTES).await
}

async fn part_of(
    app: &App,
    origin: &Origin,
    me: &Identity,
    after: Option<&str>,
    most: usize,
) -> Result<Part> {
    let mut place = Place::parse(app, after)?;
    let id = me.user_id();
    let event = Event::success(Kind::Read, "exportMyData").on("user", id);
    app.audit.record(origin, vec![event.details(json!({ "first": after.is_none() }))]).await?;
    let mut data = Map::new();
    data.insert("format".to_owned(), json!("portcullis-export/1"));
    data.insert("exportedAt".to_owned(), json!(rfc3339(app.clock.now())));
    if place == Place::Start {
        data.insert("profile".to_owned(), profile(app, id).await?);
        data.insert("sessions".to_owned(), sessions(app, id).await?);
        place = Place::Posts(Uuid::nil());
    }
    let mut bytes = 0;
    let (mut posts, mut events) = (Vec::new(), Vec::new());
    while bytes < most
        && let Place::Posts(after) = place
    {
        let rows = posts_after(app, id, after).await?;
        place = match rows.last() {
            Some(last) if rows.len() as u64 == BATCH => Place::Posts(last.id.uuid()),
            _ => Place::Events(None),
        };
        for row in rows {
            bytes += row.title.len() + row.body.len() + 300;
            posts.push(post_json(&row));
        }
    }
    let mut done = false;
    while bytes < most
        && !done
        && let Place::Events(after) = place
    {
        let rows = events_after(app, id, after).await?;
        done = (rows.len() as u64) < BATCH;
        if let Some(last) = rows.last() {
            place = Place::Events(Some(last.id.uuid()));
        }
        for row in rows {
            let value = event_json(app, &row);
            bytes += 400 + row.details.as_ref().map_or(0, |details| details.as_bytes().len());
            events.push(value);
        }
    }
    // A part that ended just before the events goes on with the first of them.
    if place == Place::Events(None) && !done {
        place = Place::Events(Some(Uuid::nil()));
    }
    data.insert("posts".to_owned(), Value::Array(posts));
    data.insert("auditEvents".to_owned(), Value::Array(events));
    let next = if done { None } else { place.encode(app) };
    Ok(Part { data: Value::Object(data), next })
}

/// An opened value; null where there is none. One that does not open says so and the rest follows.
fn open<F: SealedField>(app: &App, row: Uuid, sealed: Option<&Sealed<F>>) -> Value {
    match sealed.map(|sealed| app.keyring.open(row, sealed)) {
        None => Value::Null,
        Some(Ok(plain)) => json!(plain.expose_secret()),
        Some(Err(error)) => {
            tracing::error!(column = error.describe(), row = %row, "a sealed value does not open");
            json!("(cannot be opened)")
        }
    }
}

async fn profile(app: &App, id: UserId) -> Result<Value> {
    let user = user::Entity::find_by_id(id).one(app.db.reader()).await?.ok_or(Error::NotFound)?;
    let row = id.uuid();
    Ok(json!({
        "id": id.to_string(),
        "username": user.username,
        "email": open(app, row, Some(&user.email)),
        "emailVerifiedAt": user.email_verified_at.map(rfc3339),
        "fullName": open(app, row, user.full_name.as_ref()),
        "phone": open(app, row, user.phone.as_ref()),
        "role": role_name(user.role),
        "isActive": user.is_active,
        "hasPassword": user.password_hash != UNUSABLE,
        "mfaEnrolledAt": user.mfa_enrolled_at.map(rfc3339),
        "createdAt": rfc3339(user.created_at),
        "updatedAt": rfc3339(user.updated_at),
    }))
}

async fn sessions(app: &App, id: UserId) -> Result<Value> {
    let rows = session::Entity::find()
        .filter(session::Column::UserId.eq(id))
        .order_by_asc(session::Column::Id)
        .limit(1000)
        .all(app.db.reader())
        .await?;
    let one = |row: session::Model| {
        json!({
            "id": row.id.to_string(),
            "transport": row.transport.to_value(),
            "createdAt": rfc3339(row.created_at),
            "lastSeenAt": rfc3339(row.last_seen_at),
            "authenticatedAt": rfc3339(row.authenticated_at),
            "expiresAt": rfc3339(row.expires_at),
            "mfa": row.mfa,
            "ipAddress": open(app, row.id.uuid(), row.address.as_ref()),
            "userAgent": open(app, row.id.uuid(), row.user_agent.as_ref()),
        })
    };
    Ok(Value::Array(rows.into_iter().map(one).collect()))
}

async fn posts_after(app: &App, id: UserId, after: Uuid) -> Result<Vec<post::Model>> {
    let query = post::Entity::find().filter(post::Column::AuthorId.eq(id));
    let query = query.filter(post::Column::Id.gt(PostId(after)));
    Ok(query.order_by_asc(post::Column::Id).limit(BATCH).all(app.db.reader()).await?)
}

async fn events_after(app: &App, id: UserId, after: Option<Uuid>) -> Result<Vec<audit_event::Model>> {
    let query = audit_event::Entity::find().filter(audit_event::Column::ActorId.eq(id));
    let query = query.filter(audit_event::Column::Id.gt(EventId(after.unwrap_or_default())));
    Ok(query.order_by_asc(audit_event::Column::Id).limit(BATCH).all(app.db.reader()).await?)
}

fn post_json(row: &post::Model) -> Value {
    json!({
        "id": row.id.to_string(),
        "title": row.title,
        "body": row.body,
        "visibility": row.visibility.to_value(),
        "version": row.version,
        "createdAt": rfc3339(row.created_at),
        "updatedAt": rfc3339(row.updated_at),
    })
}

fn event_json(app: &App, row: &audit_event::Model) -> Value {
    let details = match open(app, row.id.uuid(), row.details.as_ref()) {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    json!({
        "id": row.id.to_string(),
        "at": rfc3339(row.at),
        "eventType": row.event_type,
        "action": row.action,
        "status": row.status.to_value(),
        "sessionId": row.session_id.map(|id| id.to_string()),
        "requestId": row.request_id,
        "ipAddress": open(app, row.id.uuid(), row.address.as_ref()),
        "userAgent": open(app, row.id.uuid(), row.user_agent.as_ref()),
        "resourceType": row.resource_type,
        "resourceId": row.resource_id,
        "details": details,
    })
}
