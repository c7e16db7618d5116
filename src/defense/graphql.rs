//! Bans in the schema.

use super::bans::{self, NewBan};
use crate::audit::{Event, Kind, rollup};
use crate::error::{Error, Result};
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, public, rate_limit, requires};
use crate::graphql::guard::declared;
use crate::graphql::id;
use crate::graphql::page::{self, Connection};
use crate::graphql::scalars::{DateTime, PermissionName, RateClass};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::ban::Model;

/// A banned address or network.
#[derive(Debug, Clone)]
pub struct Ban(pub Model);

/// A banned address or network. Reached only with ADMIN_ACCESS.
#[Object(directive = public::apply())]
impl Ban {
    /// The ban's id.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The network in CIDR form; an address is a network of one.
    async fn address(&self) -> &str {
        &self.0.address
    }

    /// Why.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Since when.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Until when; null: until it is lifted.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(Into::into)
    }
}

/// Whom to ban, and why.
#[derive(Debug, InputObject)]
pub struct BanAddressInput {
    /// An address or a network (CIDR). Not one's own, this machine's or a trusted proxy's.
    address: String,
    /// Why: 1 to 500 characters.
    reason: String,
    /// Until when; absent: until it is lifted.
    expires_at: Option<DateTime>,
}

/// Which ban to lift.
#[derive(Debug, InputObject)]
pub struct LiftBanInput {
    /// Its id.
    id: ID,
}

/// The ban in force.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct BanPayload {
    /// The ban.
    ban: Ban,
}

/// The ban is lifted.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct LiftBanPayload {
    /// Its id.
    lifted_id: ID,
}

/// What happened in the last hours.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct SecurityOverview {
    /// Sign-ins.
    logins: i32,
    /// Sign-ins that failed.
    failed_logins: i32,
    /// Sign-ins that were held back after failures.
    lockouts: i32,
    /// Requests and fields refused for want of a right.
    denied: i32,
    /// Requests refused by a limit over time.
    rate_limited: i32,
    /// Documents refused before they ran.
    rejected_queries: i32,
    /// What wants somebody's attention.
    incidents: i32,
    /// Sessions that have not ended.
    active_sessions: i32,
    /// The ten addresses with the most failures, refusals and alerts.
    top_addresses: Vec<AddressCount>,
}

/// An address and how often.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct AddressCount {
    /// The address.
    address: String,
    /// How often.
    count: i32,
}

/// A count on the wire.
fn number(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Reading the ban list.
#[derive(Debug, Default)]
pub struct DefenseQuery;

/// Reading the ban list.
#[Object(guard = "declared(\"Query\")")]
impl DefenseQuery {
    /// What happened in the last hours (1 to 720), the current one included.
    #[graphql(directive = requires::apply(PermissionName::AdminAccess), directive = cost::apply(50, None))]
    async fn security_overview(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(24)")] hours: Option<i32>,
    ) -> Result<Option<SecurityOverview>> {
        let request = RequestContext::of(ctx);
        let hours = hours.unwrap_or(24);
        if !(1..=720).contains(&hours) {
            return Err(Error::field("hours", "must be from 1 to 720"));
        }
        let found = rollup::overview(&request.app, i64::from(hours)).await?;
        let read = Event::success(Kind::Read, "securityOverview").on("audit", "trail");
        request.app.audit.record(&request.origin, vec![read]).await?;
        Ok(Some(SecurityOverview {
            logins: number(found.logins),
            failed_logins: number(found.failed_logins),
            lockouts: number(found.lockouts),
            denied: number(found.denied),
            rate_limited: number(found.rate_limited),
            rejected_queries: number(found.rejected_queries),
            incidents: number(found.incidents),
            active_sessions: number(found.active_sessions),
            top_addresses: found
                .top_addresses
                .into_iter()
                .map(|(address, count)| AddressCount { address, count: number(count) })
                .collect(),
        }))
    }

    /// The bans in force, newest first.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = cost::apply(1, Some(vec!["first".to_owned()]))
    )]
    async fn bans(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Option<Connection<Ban>>> {
        let request = RequestContext::of(ctx);
        let page = page::request(&request.app, "bans", first, after.as_deref())?;
        let rows = bans::list(&request.app, page).await?;
        Ok(Some(page::connection(&request.app, "bans", page, rows, |ban| ban.id.uuid(), Ban)))
    }
}

/// Changing the ban list.
#[derive(Debug, Default)]
pub struct DefenseMutation;

/// Changing the ban list.
#[Object(guard = "declared(\"Mutation\")")]
impl DefenseMutation {
    /// Refuses all requests from an address or network, on every replica within a second.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn ban_address(&self, ctx: &Context<'_>, input: BanAddressInput) -> Result<Option<BanPayload>> {
        let request = RequestContext::of(ctx);
        let by = request.identity()?.user_id();
        let new = NewBan {
            address: input.address,
            reason: input.reason,
            expires_at: input.expires_at.map(|time| time.0),
        };
        let ban = bans::add(&request.app, &request.origin, Some(by), new).await?;
        Ok(Some(BanPayload { ban: Ban(ban) }))
    }

    /// Lifts a ban, on every replica within a second.
    #[graphql(
        directive = requires::apply(PermissionName::AdminAccess),
        directive = rate_limit::apply(RateClass::Admin),
        directive = cost::apply(10, None)
    )]
    async fn lift_ban(&self, ctx: &Context<'_>, input: LiftBanInput) -> Result<Option<LiftBanPayload>> {
        let request = RequestContext::of(ctx);
        bans::lift(&request.app, &request.origin, id::parse("id", &input.id)?).await?;
        Ok(Some(LiftBanPayload { lifted_id: input.id }))
    }
}
