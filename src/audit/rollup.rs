//! Counts of events by the hour, kept up to date beside the trail.
//!
//! Each chain is counted from where the last count stopped; that place moves in the transaction that adds
//! the counts, and only from where it was, so replicas that count at the same time count nothing twice.

use super::heads;
use crate::app::App;
use crate::audit::chain::Head;
use crate::error::{Error, Result};
use entity::audit_event::{self, Status};
use entity::id::EventId;
use entity::rollup::{addresses, events, positions};
use entity::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Rows that are counted in one transaction.
const BATCH: u64 = 1000;
/// Milliseconds of an hour.
pub const HOUR: i64 = 3_600_000;
/// How long counts of addresses are kept, in hours: a month.
const ADDRESS_HOURS: i64 = 31 * 24;

/// What has been counted, as far as this process knows.
#[derive(Debug, Default)]
pub struct Rollup(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// All chains below are closed and counted.
    counted_below: Uuid,
    /// The hour in which old counts were last removed.
    swept: i64,
}

/// One row, as far as it is counted.
type Counted = (EventId, i64, Timestamp, String, Status, Option<Vec<u8>>);

/// The hour that `at` is in.
#[must_use]
pub fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(HOUR) * HOUR)
}

impl Rollup {
    /// Counts what is new, in at most `batches` transactions; returns whether all is counted.
    ///
    /// # Errors
    /// When the database cannot; what was counted by then stays counted.
    pub async fn step(&self, app: &App, batches: u32) -> Result<bool> {
        let mut state = self.0.lock().await;
        let boundary = heads::boundary(app.clock.now());
        let chains = heads::from(app.db.reader(), state.counted_below, None).await?;
        #[allow(clippy::disallowed_methods, reason = "places in chains, nobody's")]
        let known = positions::Entity::find()
            .filter(positions::Column::Chain.gte(state.counted_below))
            .all(app.db.reader())
            .await?;
        let known: HashMap<Uuid, i64> = known.into_iter().map(|row| (row.chain, row.seq)).collect();
        let mut left = batches;
        for head in chains {
            let mut position = known.get(&head.chain).copied();
            while position.unwrap_or(0) < head.seq {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                match count(app, &head, position).await? {
                    Some(reached) => position = Some(reached),
                    // Another replica is at it.
                    None => return Ok(false),
                }
            }
        }
        state.counted_below = Ord::max(state.counted_below, boundary);
        let hour = hour_of(app.clock.now()).0;
        if state.swept < hour {
            state.swept = hour;
            sweep(app, Timestamp(hour - ADDRESS_HOURS * HOUR)).await?;
        }
        Ok(true)
    }
}

async fn sweep(app: &App, before: Timestamp) -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "old counts, nobody's")]
    addresses::Entity::delete_many().filter(addresses::Column::Hour.lt(before)).exec(app.db.writer()).await?;
    Ok(())
}

/// Counts the rows of a chain after `position`; returns how far, or nothing when somebody else did.
async fn count(app: &App, head: &Head, position: Option<i64>) -> Result<Option<i64>> {
    use audit_event::Column;
    #[allow(clippy::disallowed_methods, reason = "kinds and outcomes, counted")]
    let rows: Vec<Counted> = audit_event::Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Seq,
            Column::At,
            Column::EventType,
            Column::Status,
            Column::AddressIndex,
        ])
        .filter(Column::Chain.eq(head.chain))
        .filter(Column::Seq.gt(position.unwrap_or(0)))
        .order_by_asc(Column::Seq)
        .limit(BATCH)
        .into_tuple()
        .all(app.db.reader())
        .await?;
    let Some(reached) = rows.last().map(|row| row.1) else { return Ok(None) };
    let mut kinds: BTreeMap<(i64, String, String), (Status, i64)> = BTreeMap::new();
    let mut places: BTreeMap<(i64, Vec<u8>), (EventId, i64)> = BTreeMap::new();
    for (id, _, at, kind, status, address) in rows {
        let hour = hour_of(at).0;
        kinds.entry((hour, kind, status.to_value())).or_insert((status, 0)).1 += 1;
        if let Some(address) = address.filter(|_| status != Status::Success) {
            let place = places.entry((hour, address)).or_insert((id, 0));
            *place = (id, place.1 + 1);
        }
    }
    let txn = app.db.begin().await?;
    if !move_on(&txn, head.chain, position, reached).await? {
        return Ok(None);
    }
    // In order of the keys, so that two replicas do not wait for each other in a circle.
    let kinds = kinds.into_iter().map(|((hour, event_type, _), (status, count))| {
        events::Model { hour: Timestamp(hour), event_type, status, count }.into_active_model()
    });
    let add = |table: &'static str| Expr::col((table, "count")).add(Expr::col(("excluded", "count")));
    let mut conflict =
        OnConflict::columns([events::Column::Hour, events::Column::EventType, events::Column::Status]);
    conflict.value(events::Column::Count, add("audit_rollups"));
    events::Entity::insert_many(kinds).on_conflict(conflict).exec_without_returning(&txn).await?;
    if !places.is_empty() {
        let places = places.into_iter().map(|((hour, address_index), (event_id, count))| {
            addresses::Model { hour: Timestamp(hour), address_index, count, event_id }.into_active_model()
        });
        let mut conflict = OnConflict::columns([addresses::Column::Hour, addresses::Column::AddressIndex]);
        conflict
            .value(addresses::Column::Count, add("audit_rollup_addresses"))
            .update_column(addresses::Column::EventId);
        addresses::Entity::insert_many(places).on_conflict(conflict).exec_without_returning(&txn).await?;
    }
    txn.commit().await?;
    Ok(Some(reached))
}

/// Moves the place in a chain from where it was; false when it was not there any more.
async fn move_on(db: &impl ConnectionTrait, chain: Uuid, from: Option<i64>, to: i64) -> Result<bool> {
    if let Some(from) = from {
        #[allow(clippy::disallowed_methods, reason = "one chain's place, nobody's")]
        let moved = positions::Entity::update_many()
            .col_expr(positions::Column::Seq, Expr::value(to))
            .filter(positions::Column::Chain.eq(chain))
            .filter(positions::Column::Seq.eq(from))
            .exec(db)
            .await?;
        return Ok(moved.rows_affected == 1);
    }
    let row = positions::Model { chain, seq: to }.into_active_model();
    let made = positions::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(made == 1)
}

/// What happened in the last hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// Sign-ins.
    pub logins: i64,
    /// Sign-ins that failed.
    pub failed_logins: i64,
    /// Sign-ins that were held back.
    pub lockouts: i64,
    /// Refusals for want of a right.
    pub denied: i64,
    /// Refusals by a limit over time.
    pub rate_limited: i64,
    /// Documents refused before they ran.
    pub rejected_queries: i64,
    /// What wants somebody's attention.
    pub incidents: i64,
    /// Sessions that have not ended.
    pub active_sessions: i64,
    /// Most failures, refusals and alerts: address and count.
    pub top_addresses: Vec<(String, i64)>,
}

/// The overview of the last `hours` hours, the current one included: a fixed number of statements over the
/// counts, whatever the length of the trail.
///
/// # Errors
/// When the database cannot.
pub async fn overview(app: &App, hours: i64) -> Result<Overview> {
    use sea_orm::PaginatorTrait;
    app.rollup.step(app, 20).await?;
    let since = Timestamp(hour_of(app.clock.now()).0 - (hours - 1) * HOUR);
    let total = || Expr::cust("CAST(SUM(count) AS BIGINT)");
    #[allow(clippy::disallowed_methods, reason = "counts, behind ADMIN_ACCESS")]
    let counts: Vec<(String, Status, i64)> = events::Entity::find()
        .select_only()
        .columns([events::Column::EventType, events::Column::Status])
        .expr_as(total(), "total")
        .filter(events::Column::Hour.gte(since))
        .group_by(events::Column::EventType)
        .group_by(events::Column::Status)
        .into_tuple()
        .all(app.db.reader())
        .await?;
    let mut found = Overview::default();
    for (kind, status, count) in counts {
        let slot = match kind.as_str() {
            "authn_login_success" => &mut found.logins,
            "authn_login_fail" => &mut found.failed_logins,
            "authn_login_lock" => &mut found.lockouts,
            "authz_fail" | "malicious_csrf" => &mut found.denied,
            "excess_rate_limit_exceeded" => &mut found.rate_limited,
            "input_validation_fail" => &mut found.rejected_queries,
            _ if status == Status::Alert => &mut found.incidents,
            _ => continue,
        };
        *slot += count;
    }
    let now = app.clock.now();
    #[allow(clippy::disallowed_methods, reason = "a count, behind ADMIN_ACCESS")]
    let sessions = entity::session::Entity::find().filter(entity::session::Column::ExpiresAt.gt(now));
    found.active_sessions = i64::try_from(sessions.count(app.db.reader()).await?).unwrap_or(i64::MAX);
    found.top_addresses = top_addresses(app, since).await?;
    Ok(found)
}

async fn top_addresses(app: &App, since: Timestamp) -> Result<Vec<(String, i64)>> {
    use secrecy::ExposeSecret;
    #[allow(clippy::disallowed_methods, reason = "counts, behind ADMIN_ACCESS")]
    let top: Vec<(Vec<u8>, i64)> = addresses::Entity::find()
        .select_only()
        .column(addresses::Column::AddressIndex)
        .expr_as(Expr::cust("CAST(SUM(count) AS BIGINT)"), "total")
        .filter(addresses::Column::Hour.gte(since))
        .group_by(addresses::Column::AddressIndex)
        .order_by_desc(Expr::cust("SUM(count)"))
        .order_by_asc(addresses::Column::AddressIndex)
        .limit(10)
        .into_tuple()
        .all(app.db.reader())
        .await?;
    if top.is_empty() {
        return Ok(Vec::new());
    }
    #[allow(clippy::disallowed_methods, reason = "ten addresses, behind ADMIN_ACCESS")]
    let samples: Vec<(Vec<u8>, EventId)> = addresses::Entity::find()
        .select_only()
        .columns([addresses::Column::AddressIndex, addresses::Column::EventId])
        .filter(addresses::Column::Hour.gte(since))
        .filter(addresses::Column::AddressIndex.is_in(top.iter().map(|(index, _)| index.clone())))
        .into_tuple()
        .all(app.db.reader())
        .await?;
    let samples: HashMap<Vec<u8>, EventId> = samples.into_iter().collect();
    #[allow(clippy::disallowed_methods, reason = "ten events, behind ADMIN_ACCESS")]
    let rows = audit_event::Entity::find()
        .filter(audit_event::Column::Id.is_in(samples.values().copied()))
        .all(app.db.reader())
        .await?;
    let mut plain = HashMap::new();
    for row in rows {
        if let Some(sealed) = &row.address {
            let address = app.keyring.open(row.id.uuid(), sealed).map_err(Error::internal)?;
            plain.insert(row.id, address.expose_secret().to_owned());
        }
    }
    let named =
        top.into_iter().filter_map(|(index, count)| Some((plain.get(samples.get(&index)?)?.clone(), count)));
    Ok(named.collect())
}
