//! Reading the trail: newest first, by keyset, every filter backed by an index.

use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::Result;
use crate::page::Page;
use entity::audit_event::{self, Column, Model, Status};
use entity::id::{EventId, UserId};
use entity::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

/// What to look for; whatever is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these kinds.
    pub kinds: Option<Vec<String>>,
    /// This outcome.
    pub status: Option<Status>,
    /// Done by this person.
    pub actor: Option<UserId>,
    /// From exactly this address.
    pub address: Option<std::net::IpAddr>,
    /// Done to this kind of resource.
    pub resource_type: Option<String>,
    /// Done to this resource.
    pub resource_id: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not at or after.
    pub until: Option<Timestamp>,
}

/// The smallest UUIDv7 of the millisecond `at`: ids are in order of time, so time is a range of ids.
#[must_use]
pub fn first_id(at: Timestamp) -> EventId {
    let millis = u128::try_from(at.0.max(0)).unwrap_or(0) & 0xffff_ffff_ffff;
    EventId(Uuid::from_u128(millis << 80))
}

/// The rows that `filter` lets through.
fn matching(app: &App, filter: &Filter) -> Select<audit_event::Entity> {
    #[allow(clippy::disallowed_methods, reason = "a finder of its own, behind ADMIN_ACCESS")]
    let mut query = audit_event::Entity::find();
    if let Some(kinds) = &filter.kinds {
        query = query.filter(Column::EventType.is_in(kinds.iter().map(String::as_str)));
    }
    if let Some(status) = filter.status {
        query = query.filter(Column::Status.eq(status));
    }
    if let Some(actor) = filter.actor {
        query = query.filter(Column::ActorId.eq(actor));
    }
    if let Some(address) = filter.address {
        let index =
            app.keyring.blind_indexes::<audit_event::EventAddress>(&address.to_canonical().to_string());
        query = query.filter(Column::AddressIndex.is_in(index));
    }
    if let Some(kind) = &filter.resource_type {
        query = query.filter(Column::ResourceType.eq(kind.as_str()));
    }
    if let Some(id) = &filter.resource_id {
        query = query.filter(Column::ResourceId.eq(id.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(Column::Id.gte(first_id(since)));
    }
    if let Some(until) = filter.until {
        query = query.filter(Column::Id.lt(first_id(until)));
    }
    query
}

/// The event `id`, if `filter` lets it through.
///
/// # Errors
/// When the database cannot.
pub async fn one(app: &App, filter: &Filter, id: EventId) -> Result<Option<Model>> {
    Ok(matching(app, filter).filter(Column::Id.eq(id)).one(app.db.reader()).await?)
}

/// One page of events in one statement; one row more than asked for tells whether there is a next page.
///
/// # Errors
/// When the database cannot.
pub async fn events(app: &App, filter: &Filter, page: Page) -> Result<Vec<Model>> {
    let mut query = matching(app, filter);
    if let Some(after) = page.after {
        query = query.filter(Column::Id.lt(EventId(after)));
    }
    Ok(query.order_by_desc(Column::Id).limit(page.limit()).all(app.db.reader()).await?)
}

/// Notes that the trail was read.
///
/// # Errors
/// When it cannot be written; then nothing is shown.
pub async fn note_read(app: &App, origin: &Origin) -> Result<()> {
    app.audit.record(origin, vec![Event::success(Kind::Read, "auditEvents").on("audit", "trail")]).await
}
