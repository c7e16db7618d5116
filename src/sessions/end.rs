//! Ending sessions. An ended session's row is gone, so its token opens nothing from then on.

use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::Result;
use entity::session::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// Ends the viewer's own session.
///
/// # Errors
/// When the database cannot.
pub async fn logout(app: &App, origin: &Origin, identity: &Identity) -> Result<()> {
    let mut tx = app.audit.begin().await?;
    tx.touch(identity.user_id());
    Entity::delete_many()
        .filter(Column::Id.eq(identity.session_id()))
        .filter(Column::UserId.eq(identity.user_id()))
        .exec(tx.connection())
        .await?;
    tx.commit(origin, Event::success(Kind::SessionEnd, "logout").on("session", identity.session_id())).await
}
