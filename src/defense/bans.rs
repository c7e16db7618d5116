//! The ban list: addresses and networks whose requests are refused before anything is read of them.
//!
//! The list is in the database. Every change raises its version in the same transaction; each replica
//! asks for the version every second and reloads when it has changed.

use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::bus::Message;
use crate::crypto::random;
use crate::error::{Error, Problems, Result};
use crate::page::Page;
use crate::text;
use entity::audit_event::Status;
use entity::ban::{ActiveModel, Column, Entity, Model};
use entity::id::{BanId, UserId};
use entity::time::Timestamp;
use entity::version;
use ipnet::IpNet;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;
use std::net::IpAddr;

/// The list's name among the versions.
const LIST: &str = "bans";
/// Bans held at most; one more is refused.
const MAX: u64 = 100_000;
/// The widest networks that may be banned, so that a slip of the pen does not shut everybody out.
const WIDEST: (u8, u8) = (8, 16);

/// A ban that somebody asks for, unchecked.
#[derive(Debug, Clone)]
pub struct NewBan {
    /// An address or a network (CIDR).
    pub address: String,
    /// Why: 1 to 500 characters.
    pub reason: String,
    /// Until when; absent: until it is lifted.
    pub expires_at: Option<Timestamp>,
}

/// Parses an address or a network; host bits become zero, IPv4 in IPv6 becomes IPv4.
///
/// # Errors
/// A phrase that says what was expected.
pub fn parse(text: &str) -> Result<IpNet, String> {
    let expected = "must be an address or a network such as 192.0.2.7 or 2001:db8::/64";
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| expected.to_owned())?;
    if let (IpAddr::V6(v6), length @ 96..) = (network.addr(), network.prefix_len())
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return IpNet::new(IpAddr::V4(v4), length - 96)
            .map(|network| network.trunc())
            .map_err(|_| expected.to_owned());
    }
    Ok(network.trunc())
}

/// What is banned when a rule bans `address`: it alone, or the /64 that an IPv6 address is one of.
#[must_use]
pub fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv6() { 64 } else { 32 };
    IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address)).trunc()
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Refuses a network that must not be banned.
fn bannable(app: &App, network: &IpNet, own: Option<IpAddr>) -> Result<(), String> {
    let widest = if network.addr().is_ipv4() { WIDEST.0 } else { WIDEST.1 };
    if network.prefix_len() < widest {
        return Err(format!("is too wide: /{widest} at most"));
    }
    if own.is_some_and(|own| network.contains(&own.to_canonical())) {
        return Err("is where you are yourself".to_owned());
    }
    if network.addr().is_unspecified() || network.addr().is_loopback() {
        return Err("is this machine".to_owned());
    }
    let kept = |nets: &[IpNet]| nets.iter().any(|net| overlap(net, network));
    if kept(&app.config.trusted_proxies.0) {
        return Err("overlaps a trusted proxy".to_owned());
    }
    if kept(&app.config.limit_exempt.0) {
        return Err("overlaps an address that no limit meets".to_owned());
    }
    Ok(())
}

async fn raise_version(db: &impl ConnectionTrait) -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "one fixed row")]
    version::Entity::update_many()
        .col_expr(version::Column::Version, Expr::col(version::Column::Version).add(1))
        .filter(version::Column::Name.eq(LIST))
        .exec(db)
        .await?;
    Ok(())
}

/// Bans an address or network; a second ban of the same one replaces reason and expiry. `by` is absent
/// for the command line.
///
/// # Errors
/// `BAD_USER_INPUT` for what cannot be parsed or must not be banned; `CONFLICT` when the list is full.
pub async fn add(app: &App, origin: &Origin, by: Option<UserId>, new: NewBan) -> Result<Model> {
    let mut problems = Problems::default();
    let now = app.clock.now();
    let network = problems.take(
        "address",
        parse(&new.address).and_then(|network| bannable(app, &network, origin.address).map(|()| network)),
    );
    let reason = problems.take("reason", text::line(&new.reason, 1, 500));
    if new.expires_at.is_some_and(|expires| expires <= now) {
        problems.add("expiresAt", "must be in the future".to_owned());
    }
    let (Some(network), Some(reason)) = (network, reason) else { return Err(problems.into_error()) };
    problems.finish()?;
    let event = Event::success(Kind::AuthzAdmin, "banAddress");
    insert(app, origin, by, network, reason, new.expires_at, event).await
}

/// Bans `address` for `seconds` because `rule` says so. A no-op where it must not be banned or already is.
///
/// # Errors
/// When the database cannot.
pub async fn by_rule(app: &App, origin: &Origin, address: IpAddr, rule: &str, seconds: u64) -> Result<()> {
    let network = network_of(address);
    let now = app.clock.now();
    if bannable(app, &network, None).is_err() || app.bans.matches(address, now) {
        return Ok(());
    }
    let until = now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let event = Event::success(Kind::AuthzAdmin, "ban").status(Status::Alert);
    insert(app, origin, None, network, format!("rule: {rule}"), Some(until), event).await.map(|_| ())
}

async fn insert(
    app: &App,
    origin: &Origin,
    by: Option<UserId>,
    network: IpNet,
    reason: String,
    expires_at: Option<Timestamp>,
    event: Event,
) -> Result<Model> {
    let now = app.clock.now();
    let mut tx = app.audit.begin().await?;
    tx.publish(Message::BansChanged);
    // Raised first: on PostgreSQL its row lock makes changes of the list take turns.
    raise_version(tx.connection()).await?;
    // What has expired makes room.
    #[allow(clippy::disallowed_methods, reason = "expired bans, anybody's")]
    Entity::delete_many().filter(Column::ExpiresAt.lte(now)).exec(tx.connection()).await?;
    #[allow(clippy::disallowed_methods, reason = "one network")]
    let before = Entity::find().filter(Column::Address.eq(network.to_string())).one(tx.connection()).await?;
    let row = Model {
        id: before.as_ref().map_or_else(|| BanId(random::uuid_v7(now)), |before| before.id),
        address: network.to_string(),
        reason,
        created_at: before.as_ref().map_or(now, |before| before.created_at),
        expires_at,
        created_by: by,
    };
    if before.is_some() {
        Entity::update(ActiveModel::from(row.clone()).reset_all()).exec(tx.connection()).await?;
    } else {
        use sea_orm::PaginatorTrait;
        #[allow(clippy::disallowed_methods, reason = "a count")]
        if Entity::find().count(tx.connection()).await? >= MAX {
            return Err(Error::Conflict("the ban list is full; lift some bans or ban a network"));
        }
        Entity::insert(ActiveModel::from(row.clone())).exec_without_returning(tx.connection()).await?;
    }
    let said = |row: &Model| json!({ "address": row.address, "reason": row.reason, "expiresAt": row.expires_at.map(|at| at.0) });
    let details = json!({ "before": before.as_ref().map(said), "after": said(&row) });
    tx.commit(origin, event.on("ban", row.id).details(details)).await?;
    refresh(app).await?;
    Ok(row)
}

/// Lifts a ban.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lift(app: &App, origin: &Origin, id: BanId) -> Result<()> {
    let mut tx = app.audit.begin().await?;
    tx.publish(Message::BansChanged);
    raise_version(tx.connection()).await?;
    #[allow(clippy::disallowed_methods, reason = "ADMIN_ACCESS; a ban has no owner")]
    let before = Entity::find_by_id(id).one(tx.connection()).await?.ok_or(Error::NotFound)?;
    #[allow(clippy::disallowed_methods, reason = "ADMIN_ACCESS; a ban has no owner")]
    Entity::delete_by_id(id).exec(tx.connection()).await?;
    let details = json!({ "before": { "address": before.address, "reason": before.reason }, "after": null });
    tx.commit(origin, Event::success(Kind::AuthzAdmin, "liftBan").on("ban", id).details(details)).await?;
    refresh(app).await
}

/// One page of bans in force, newest first; one more than asked for tells whether more follow.
///
/// # Errors
/// When the database cannot.
pub async fn list(app: &App, page: Page) -> Result<Vec<Model>> {
    let now = app.clock.now();
    #[allow(clippy::disallowed_methods, reason = "ADMIN_ACCESS; a ban has no owner")]
    let mut query = Entity::find().filter(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)));
    if let Some(after) = page.after {
        query = query.filter(Column::Id.lt(BanId(after)));
    }
    Ok(query.order_by_desc(Column::Id).limit(page.limit()).all(app.db.reader()).await?)
}

/// Loads the list if it has changed: one small statement when it has not.
///
/// # Errors
/// When the database cannot; the list that is held stays in force.
pub async fn refresh(app: &App) -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "one fixed row")]
    let found = version::Entity::find_by_id(LIST).one(app.db.reader()).await?;
    let version = found.map_or(0, |row| row.version);
    if version == app.bans.version() {
        return Ok(());
    }
    let now = app.clock.now();
    #[allow(clippy::disallowed_methods, reason = "the whole list, into memory")]
    let rows = Entity::find()
        .filter(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)))
        .limit(MAX + 1)
        .all(app.db.reader())
        .await?;
    let bans = rows.into_iter().filter_map(|row| Some((row.address.parse().ok()?, row.expires_at)));
    app.bans.replace(version, bans);
    Ok(())
}
