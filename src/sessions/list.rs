//! Listing sessions that have not ended.

use crate::app::App;
use crate::error::Result;
use entity::id::UserId;
use entity::session::{Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// The live sessions of each of `users`, newest first, in one statement. For the owner and ADMIN_ACCESS
/// (the guard asks). A person has `session_max_per_user` at most.
///
/// # Errors
/// When the database cannot.
pub async fn by_users(app: &App, users: &[UserId]) -> Result<Vec<Model>> {
    let now = app.clock.now();
    let idle = i64::try_from(app.config.session_idle_minutes).unwrap_or(i64::MAX / 60_000);
    let limit = u64::from(app.config.session_max_per_user).saturating_mul(users.len() as u64);
    #[allow(clippy::disallowed_methods, reason = "scoped to the users")]
    let query = Entity::find().filter(Column::UserId.is_in(users.iter().copied()));
    Ok(query
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::LastSeenAt.gt(now.plus_seconds(-idle.saturating_mul(60))))
        .order_by_desc(Column::Id)
        .limit(limit)
        .all(app.db.reader())
        .await?)
}
