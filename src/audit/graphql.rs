//! The audit trail in the schema.

use super::search::{self, Filter};
use crate::accounts::graphql::User;
use crate::bus::{Message, events};
use crate::error::{Error, Result};
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, requires, signed_in};
use crate::graphql::guard::declared;
use crate::graphql::page::{self, Connection};
use crate::graphql::scalars::{AuditStatus, DateTime, PermissionName};
use crate::graphql::{id, sealed};
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject, Subscription};
use entity::audit_event::Model;
use futures_util::{Stream, StreamExt};
use std::sync::Arc;

/// One row of the trail.
#[derive(Debug, Clone)]
pub struct AuditEvent(pub Model);

/// Something that somebody did or tried. Reached only with ADMIN_ACCESS, or by whom it concerns.
#[Object(directive = public::apply())]
impl AuditEvent {
    /// The event's id.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The chain that the row belongs to.
    async fn chain(&self) -> String {
        self.0.chain.as_simple().to_string()
    }

    /// The row's place in its chain, from 1.
    async fn seq(&self) -> i32 {
        i32::try_from(self.0.seq).unwrap_or(i32::MAX)
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        self.0.at.into()
    }

    /// What happened, in the OWASP logging vocabulary.
    async fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// The field or command that caused it.
    async fn action(&self) -> Option<&str> {
        self.0.action.as_deref()
    }

    /// How it ended.
    async fn status(&self) -> AuditStatus {
        self.0.status.into()
    }

    /// Who did it.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(actor) = self.0.actor_id else { return Ok(None) };
        Ok(RequestContext::of(ctx).loaders.users.load_one(actor).await?.map(User))
    }

    /// The id of who did it, also when the account is gone.
    async fn actor_id(&self) -> Option<ID> {
        self.0.actor_id.map(|id| id.to_string().into())
    }

    /// From which address.
    async fn ip_address(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.address.as_ref()).await
    }

    /// With which program.
    async fn user_agent(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.user_agent.as_ref()).await
    }

    /// In which session.
    async fn session_id(&self) -> Option<ID> {
        self.0.session_id.map(|id| id.to_string().into())
    }

    /// The request's id, as in the logs and the answer.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// What kind of thing it was done to.
    async fn resource_type(&self) -> Option<&str> {
        self.0.resource_type.as_deref()
    }

    /// Which one.
    async fn resource_id(&self) -> Option<&str> {
        self.0.resource_id.as_deref()
    }

    /// More about it.
    async fn details(&self, ctx: &Context<'_>) -> Result<Option<Json<serde_json::Value>>> {
        let text = sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.details.as_ref()).await?;
        text.map(|text| serde_json::from_str(&text).map(Json).map_err(Error::internal)).transpose()
    }
}

/// Which events to list; whatever is absent does not matter.
#[derive(Debug, InputObject)]
pub struct AuditFilter {
    /// Any of these kinds; 20 at most.
    event_types: Option<Vec<String>>,
    /// This outcome.
    status: Option<AuditStatus>,
    /// Done by this person.
    actor_id: Option<ID>,
    /// From exactly this address.
    ip_address: Option<String>,
    /// Done to this kind of resource.
    resource_type: Option<String>,
    /// Done to this resource; needs `resourceType`.
    resource_id: Option<String>,
    /// Not before.
    since: Option<DateTime>,
    /// Before.
    until: Option<DateTime>,
}

impl AuditFilter {
    fn checked(self) -> Result<Filter> {
        if self.event_types.as_ref().is_some_and(|kinds| kinds.len() > 20) {
            return Err(Error::field("eventTypes", "must have at most 20 items"));
        }
        if self.resource_id.is_some() && self.resource_type.is_none() {
            return Err(Error::field("resourceId", "needs resourceType"));
        }
        Ok(Filter {
            kinds: self.event_types,
            status: self.status.map(Into::into),
            actor: self.actor_id.map(|id| id::parse("actorId", &id)).transpose()?,
            address: self
                .ip_address
                .map(|text| text.parse().map_err(|_| Error::field("ipAddress", "must be an IP address")))
                .transpose()?,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            since: self.since.map(|time| time.0),
            until: self.until.map(|time| time.0),
        })
    }
}

/// Reading the trail.
#[derive(Debug, Default)]
pub struct AuditQuery;

/// Reading the trail.
#[Object(guard = "declared(\"Query\")")]
impl AuditQuery {
    /// The audit trail, newest first. Reading it is itself recorded.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = cost::apply(1, Some(vec!["first".to_owned()]))
    )]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<AuditFilter>,
    ) -> Result<Option<Connection<AuditEvent>>> {
        let request = RequestContext::of(ctx);
        let page = page::request(&request.app, "auditEvents", first, after.as_deref())?;
        let filter = filter.map(AuditFilter::checked).transpose()?.unwrap_or_default();
        let rows = search::events(&request.app, &filter, page).await?;
        search::note_read(&request.app, &request.origin).await?;
        Ok(Some(page::connection(&request.app, "auditEvents", page, rows, |row| row.id.uuid(), AuditEvent)))
    }

    /// Whether the trail holds: each request verifies a bounded number of events, a small trail whole.
    #[graphql(directive = requires::apply(PermissionName::AdminAccess), directive = cost::apply(200, None))]
    async fn audit_integrity(&self, ctx: &Context<'_>) -> Result<Option<AuditIntegrity>> {
        let app = &RequestContext::of(ctx).app;
        let report = app.integrity.check(app).await?;
        let number = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        Ok(Some(AuditIntegrity {
            intact: report.intact,
            events: number(report.events),
            verified: number(report.verified),
            head: report.head,
            first_broken_chain: report.broken.as_ref().map(|broken| broken.chain.as_simple().to_string()),
            first_broken_seq: report.broken.map(|broken| i32::try_from(broken.seq).unwrap_or(i32::MAX)),
        }))
    }
}

/// Whether the trail holds.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct AuditIntegrity {
    /// Whether nothing wrong was found.
    intact: bool,
    /// Events in the trail.
    events: i32,
    /// Events that the pass at hand has verified. It goes on with each request, a bounded number at a
    /// time, and begins anew when it is through.
    verified: i32,
    /// SHA-256 over the ends of all chains, hexadecimal: the root hash of a checkpoint.
    head: String,
    /// The chain that is broken, if one is.
    first_broken_chain: Option<String>,
    /// The place in it of the first wrong or missing row.
    first_broken_seq: Option<i32>,
}

/// The trail as it grows.
#[derive(Debug, Default)]
pub struct AuditSubscription;

/// The trail as it grows.
#[Subscription(guard = "declared(\"Subscription\")")]
impl AuditSubscription {
    /// What is done by, or tried against, the viewer's own account. Ends when the session ends.
    #[graphql(directive = signed_in::apply())]
    async fn my_security_events(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = AuditEvent> + 'static> {
        let request = RequestContext::shared(ctx);
        let me = request.identity()?.user_id();
        Ok(recorded(request, move |actor| actor == Some(me.uuid()), Filter::default()))
    }

    /// Every event that the filter lets through, as it is recorded.
    #[graphql(directive = requires::apply(PermissionName::AdminAccess))]
    async fn audit_event_recorded(
        &self,
        ctx: &Context<'_>,
        filter: Option<AuditFilter>,
    ) -> Result<impl Stream<Item = AuditEvent> + 'static> {
        let filter = filter.map(AuditFilter::checked).transpose()?.unwrap_or_default();
        Ok(recorded(RequestContext::shared(ctx), |_| true, filter))
    }
}

/// Events as they are recorded, of actors that `concerns` lets through, that match `filter`.
fn recorded(
    request: Arc<RequestContext>,
    concerns: impl Fn(Option<uuid::Uuid>) -> bool + Send + Sync + 'static,
    filter: Filter,
) -> impl Stream<Item = AuditEvent> + 'static {
    let filter = Arc::new(filter);
    events(&request.app.bus)
        .filter_map(move |message| {
            let wanted = match message {
                Message::AuditRecorded { event, actor } if concerns(actor) => Some(event),
                _ => None,
            };
            std::future::ready(wanted)
        })
        .filter_map(move |event| {
            let (request, filter) = (Arc::clone(&request), Arc::clone(&filter));
            async move { search::one(&request.app, &filter, event.into()).await.ok()?.map(AuditEvent) }
        })
}
