//! Rules that watch the trail: what one event does not tell, several do. Each raises an incident, which is
//! an event of its own, counts it, and may ban the address for a while.
//!
//! A rule counts in the trail itself, by index and over a bounded number of rows, so it sees what every
//! replica recorded. An incident is raised once a window for whom it concerns: incidents take turns on one
//! row, so two replicas do not raise the same.

use super::bans;
use crate::app::App;
use crate::audit::search::first_id;
use crate::audit::{Event, Kind, Origin};
use crate::error::Result;
use entity::audit_event::{Column, Entity, Model, Status};
use entity::version;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::ExposeSecret;
use serde_json::json;
use std::collections::HashSet;
use std::net::IpAddr;

/// Rows that a rule looks at, at most.
const SCAN: u64 = 500;
/// The row that incidents take turns on.
const TURNS: &str = "incidents";

/// Something that a rule found.
#[derive(Debug)]
struct Finding {
    /// The rule's name, as in the settings and metrics.
    rule: &'static str,
    kind: Kind,
    /// Whom it concerns: kind and id. One incident a window for each.
    subject: (&'static str, String),
    /// How many events it counted.
    count: u64,
    /// The address behind it.
    address: Option<IpAddr>,
}

/// Looks at an event that was just recorded.
///
/// # Errors
/// When the database cannot.
pub async fn look(app: &App, row: &Model) -> Result<()> {
    if row.event_type != Kind::LoginFail.name() {
        return Ok(());
    }
    for finding in failed_sign_in(app, row).await? {
        raise(app, finding).await?;
    }
    Ok(())
}

/// The events of the window for which `who` holds, newest first: account and action of each.
async fn recent(app: &App, who: Condition) -> Result<Vec<(Option<String>, Option<String>)>> {
    let seconds = i64::try_from(app.config.rule_window_seconds).unwrap_or(i64::MAX);
    let since = app.clock.now().plus_seconds(-seconds);
    #[allow(clippy::disallowed_methods, reason = "a rule counts what everybody did")]
    let query = Entity::find().select_only().column(Column::ResourceId).column(Column::Action);
    Ok(query
        .filter(who)
        .filter(Column::EventType.eq(Kind::LoginFail.name()))
        .filter(Column::Id.gte(first_id(since)))
        .order_by_desc(Column::Id)
        .limit(SCAN)
        .into_tuple()
        .all(app.db.reader())
        .await?)
}

async fn failed_sign_in(app: &App, row: &Model) -> Result<Vec<Finding>> {
    let config = &app.config;
    let mut findings = Vec::new();
    let address = address(app, row);
    let second_factor = |action: &Option<String>| action.as_deref() == Some("completeMfaLogin");
    if let Some(index) = &row.address_index {
        let events = recent(app, Condition::all().add(Column::AddressIndex.eq(index.clone()))).await?;
        let subject = || ("address", hex::encode(index.as_bytes()));
        let count = events.len() as u64;
        if count >= u64::from(config.rule_login_address) {
            let kind = Kind::LoginFailMax;
            findings.push(Finding { rule: "login", kind, subject: subject(), count, address });
        }
        // Accounts that there are not have no id: each attempt at one counts for itself.
        let known: HashSet<&String> = events.iter().filter_map(|(account, _)| account.as_ref()).collect();
        let unknown = events.iter().filter(|(account, _)| account.is_none()).count();
        let accounts = (known.len() + unknown) as u64;
        if accounts >= u64::from(config.rule_spraying_accounts) {
            let kind = Kind::Spraying;
            findings.push(Finding { rule: "spraying", kind, subject: subject(), count: accounts, address });
        }
    }
    if let (Some("user"), Some(id)) = (row.resource_type.as_deref(), &row.resource_id) {
        let who =
            Condition::all().add(Column::ResourceType.eq("user")).add(Column::ResourceId.eq(id.as_str()));
        let events = recent(app, who).await?;
        let subject = || ("user", id.clone());
        let factors = events.iter().filter(|(_, action)| second_factor(action)).count() as u64;
        let count = events.len() as u64 - factors;
        if count >= u64::from(config.rule_login_account) {
            let kind = Kind::LoginFailMax;
            // Not the last address's fault alone: nobody is banned for an account.
            findings.push(Finding { rule: "account", kind, subject: subject(), count, address: None });
        }
        if factors >= u64::from(config.rule_mfa) {
            let kind = Kind::MfaFailMax;
            findings.push(Finding { rule: "mfa", kind, subject: subject(), count: factors, address });
        }
    }
    Ok(findings)
}

fn address(app: &App, row: &Model) -> Option<IpAddr> {
    let plain = app.keyring.open(row.id.uuid(), row.address.as_ref()?).ok()?;
    plain.expose_secret().parse().ok()
}

/// Notes that `address` asked for `count` things that there are not, or not for it: guessing ids.
///
/// # Errors
/// When an incident cannot be recorded.
pub async fn not_found(app: &App, address: IpAddr, count: u32) -> Result<()> {
    let network = bans::network_of(address);
    let window = app.config.rule_ids_seconds.saturating_mul(1000);
    let Some(count) = app.watch.misses(network, count, window, app.config.rule_ids, &app.clock) else {
        return Ok(());
    };
    let index = app.keyring.blind_index::<entity::audit_event::EventAddress>(&network.to_string());
    let subject = ("address", hex::encode(index.as_bytes()));
    let (kind, count) = (Kind::DirectReference, u64::from(count));
    raise(app, Finding { rule: "ids", kind, subject, count, address: Some(address) }).await
}

/// Notes that an operation took `millis`.
///
/// # Errors
/// When an incident cannot be recorded.
pub async fn took(app: &App, operation: Option<&str>, millis: u64) -> Result<()> {
    if millis < app.config.slow_request_ms {
        return Ok(());
    }
    let subject = ("operation", operation.unwrap_or("(unnamed)").to_owned());
    raise(app, Finding { rule: "slow", kind: Kind::SlowRequest, subject, count: millis, address: None }).await
}

/// Notes whether the limit store is away; a change is an incident.
///
/// # Errors
/// When an incident cannot be recorded.
pub async fn limit_store(app: &App) -> Result<()> {
    let Some(away) = app.watch.limit_store_changed(app.limits.degraded()) else { return Ok(()) };
    let status = if away { Status::Alert } else { Status::Success };
    metrics::gauge!("portcullis_limit_store_degraded").set(if away { 1.0 } else { 0.0 });
    let event = Event::success(Kind::Degraded, "limit store").status(status).details(json!({ "away": away }));
    app.audit.record(&Origin::default(), vec![event]).await
}

/// Records the incident unless there is one of this window, counts it, and bans if the settings say so.
async fn raise(app: &App, finding: Finding) -> Result<()> {
    let Finding { rule, kind, subject: (subject, id), count, address } = finding;
    let seconds = i64::try_from(app.config.rule_window_seconds).unwrap_or(i64::MAX);
    let tx = app.audit.begin().await?;
    #[allow(clippy::disallowed_methods, reason = "one fixed row: incidents take turns")]
    version::Entity::update_many()
        .col_expr(version::Column::Version, Expr::col(version::Column::Version).add(1))
        .filter(version::Column::Name.eq(TURNS))
        .exec(tx.connection())
        .await?;
    #[allow(clippy::disallowed_methods, reason = "whether there is one already")]
    let known = Entity::find()
        .select_only()
        .column(Column::Seq)
        .filter(Column::ResourceType.eq(subject))
        .filter(Column::ResourceId.eq(id.as_str()))
        .filter(Column::EventType.eq(kind.name()))
        .filter(Column::Action.eq(rule))
        .filter(Column::Id.gte(first_id(app.clock.now().plus_seconds(-seconds))))
        .limit(1)
        .into_tuple::<i64>()
        .one(tx.connection())
        .await?;
    if known.is_some() {
        return Ok(());
    }
    let bans = address.filter(|_| app.config.rule_bans.0.iter().any(|name| name == rule));
    let origin = Origin { address, ..Origin::default() };
    let details = json!({ "rule": rule, "count": count, "banned": bans.is_some() });
    let event = Event::success(kind, rule).status(Status::Alert).on(subject, id).details(details);
    tx.commit(&origin, event).await?;
    metrics::counter!("portcullis_incidents_total", "rule" => rule).increment(1);
    if let Some(address) = bans {
        bans::by_rule(app, &origin, address, rule, app.config.ban_seconds).await?;
    }
    Ok(())
}
