//! Where the chains end. The list of chains is walked by the unique index (chain, seq), one step a chain,
//! so its cost depends on the number of chains, never on the number of events.
//!
//! A chain takes no row after [`CHAIN_MILLIS`] from its beginning, which its id (a UUIDv7) tells; then it
//! is closed for good. So whoever follows the trail needs to look at young chains only.

use super::chain::Head;
use crate::error::Result;
use entity::audit_event::{Column, Entity};
use entity::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

/// How long a chain takes rows, in milliseconds: a day.
pub const CHAIN_MILLIS: i64 = 86_400_000;
/// A chain this much older is closed, whatever the replicas' clocks say: an hour's difference is allowed.
pub const CLOSED_MILLIS: i64 = CHAIN_MILLIS + 3_600_000;

/// When a chain began, from its id.
#[must_use]
pub fn began(chain: Uuid) -> Timestamp {
    let millis = u64::try_from(chain.as_u128() >> 80).unwrap_or(0);
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The smallest id of a chain that may still be open at `now`.
#[must_use]
pub fn boundary(now: Timestamp) -> Uuid {
    let millis = u128::try_from(now.0.saturating_sub(CLOSED_MILLIS).max(0)).unwrap_or(0);
    Uuid::from_u128((millis & 0xffff_ffff_ffff) << 80)
}

/// The first chain at or after `from`.
async fn chain_at(db: &impl ConnectionTrait, from: Uuid, inclusive: bool) -> Result<Option<Uuid>> {
    let bound = if inclusive { Column::Chain.gte(from) } else { Column::Chain.gt(from) };
    #[allow(clippy::disallowed_methods, reason = "ids of chains, shown to nobody")]
    let query = Entity::find().select_only().column(Column::Chain).filter(bound);
    Ok(query.order_by_asc(Column::Chain).order_by_asc(Column::Seq).limit(1).into_tuple().one(db).await?)
}

/// The end of `chain`.
///
/// # Errors
/// When the database cannot.
pub async fn head(db: &impl ConnectionTrait, chain: Uuid) -> Result<Option<Head>> {
    #[allow(clippy::disallowed_methods, reason = "places and MACs, shown to nobody")]
    let query = Entity::find().select_only().column(Column::Seq).column(Column::Mac);
    let found: Option<(i64, Vec<u8>)> = query
        .filter(Column::Chain.eq(chain))
        .order_by_desc(Column::Seq)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(found.map(|(seq, mac)| Head { chain, seq, mac }))
}

/// The end of the oldest chain, if it is before `before`.
///
/// # Errors
/// When the database cannot.
pub async fn first(db: &impl ConnectionTrait, before: Uuid) -> Result<Option<Head>> {
    match chain_at(db, Uuid::nil(), true).await?.filter(|chain| *chain < before) {
        Some(chain) => head(db, chain).await,
        None => Ok(None),
    }
}

/// The ends of all chains from `from` on (before `before`, where given), in order of their ids.
///
/// # Errors
/// When the database cannot.
pub async fn from(db: &impl ConnectionTrait, from: Uuid, before: Option<Uuid>) -> Result<Vec<Head>> {
    let mut heads = Vec::new();
    let mut next = chain_at(db, from, true).await?;
    while let Some(chain) = next.filter(|chain| before.is_none_or(|before| *chain < before)) {
        heads.extend(head(db, chain).await?);
        next = chain_at(db, chain, false).await?;
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random;

    #[test]
    fn a_chain_tells_when_it_began() {
        let now = Timestamp(1_767_225_600_000);
        let chain = random::uuid_v7(now);
        assert_eq!(began(chain), now);
        assert!(chain >= boundary(now));
        assert!(chain >= boundary(Timestamp(now.0 + CLOSED_MILLIS)));
        assert!(chain < boundary(Timestamp(now.0 + CLOSED_MILLIS + 1)));
    }
}
