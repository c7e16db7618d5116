//! Ending sessions. An ended session's row is gone, so its token opens nothing from then on.

use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use entity::id::{SessionId, UserId};
use entity::session::{Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

/// Ends the viewer's own session.
///
/// # Errors
/// When the database cannot.
pub async fn logout(app: &App, origin: &Origin, identity: &Identity) -> Result<()> {
    let mut tx = app.audit.begin().await?;
    tx.touch(identity.user_id());
    #[expect(clippy::disallowed_methods, reason = "the viewer's own")]
    Entity::delete_many()
        .filter(Column::Id.eq(identity.session_id()))
        .filter(Column::UserId.eq(identity.user_id()))
        .exec(tx.connection())
        .await?;
    tx.commit(origin, Event::success(Kind::SessionEnd, "logout").on("session", identity.session_id())).await
}

/// Ends all sessions of `user` but `except`, within a transaction of the caller's; returns how many.
///
/// # Errors
/// When the database cannot.
pub async fn all_of(db: &impl ConnectionTrait, user: UserId, except: Option<SessionId>) -> Result<u64> {
    #[allow(clippy::disallowed_methods, reason = "scoped to the user")]
    let mut query = Entity::delete_many().filter(Column::UserId.eq(user));
    if let Some(except) = except {
        query = query.filter(Column::Id.ne(except));
    }
    Ok(query.exec(db).await?.rows_affected)
}

/// Ends one session of the viewer's, this one or another.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn revoke(app: &App, origin: &Origin, identity: &Identity, session: SessionId) -> Result<()> {
    let mut tx = app.audit.begin().await?;
    tx.touch(identity.user_id());
    #[allow(clippy::disallowed_methods, reason = "scoped to the viewer")]
    let query = Entity::delete_many().filter(Column::Id.eq(session));
    let ended = query.filter(Column::UserId.eq(identity.user_id())).exec(tx.connection()).await?;
    if ended.rows_affected == 0 {
        return Err(Error::NotFound);
    }
    tx.commit(origin, Event::success(Kind::SessionEnd, "revokeSession").on("session", session)).await
}

/// Ends the viewer's sessions but the one of this request; returns how many.
///
/// # Errors
/// When the database cannot.
pub async fn revoke_others(app: &App, origin: &Origin, identity: &Identity) -> Result<u64> {
    let mut tx = app.audit.begin().await?;
    tx.touch(identity.user_id());
    let ended = all_of(tx.connection(), identity.user_id(), Some(identity.session_id())).await?;
    let event = Event::success(Kind::SessionEnd, "revokeOtherSessions")
        .on("user", identity.user_id())
        .details(serde_json::json!({ "sessionsEnded": ended }));
    tx.commit(origin, event).await?;
    Ok(ended)
}
