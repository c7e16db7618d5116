//! From a token to an identity (OWASP ASVS 7.2.1, 7.3.1, 7.3.2).

use super::open::idle_deadline;
use crate::access::Identity;
use crate::app::App;
use crate::crypto::{Token, TokenKind};
use crate::error::Result;
use entity::session::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::sync::Arc;

/// Milliseconds between two notes of when a session was last used.
const SEEN_EVERY_MS: i64 = 60_000;

/// The identity that `token` proves: an unexpired session of an active account. `None` for anything
/// else, whatever is wrong with it. One statement; none for text that cannot be a token.
///
/// # Errors
/// When the database cannot.
pub async fn authenticate(app: &App, token: &str) -> Result<Option<Identity>> {
    let Ok(token) = Token::parse(TokenKind::Session, token) else { return Ok(None) };
    #[allow(clippy::disallowed_methods, reason = "scoped by the secret token")]
    let found = Entity::find()
        .filter(Column::TokenHash.eq(token.hash().to_vec()))
        .find_also_related(entity::user::Entity)
        .one(app.db.reader())
        .await?;
    let now = app.clock.now();
    let Some((session, Some(user))) = found else { return Ok(None) };
    if now >= session.expires_at || now >= idle_deadline(app, &session) || !user.is_active {
        return Ok(None);
    }
    if now >= session.last_seen_at.plus_millis(SEEN_EVERY_MS) {
        note_use(app, session.id);
    }
    Ok(Some(Identity { user: Arc::new(user), session: Arc::new(session) }))
}

/// Notes the use in the background; the request does not wait for it.
fn note_use(app: &App, id: entity::id::SessionId) {
    let worker = app.clone();
    app.tasks.spawn(async move {
        let now = worker.clock.now();
        let noted = Entity::update_many()
            .col_expr(Column::LastSeenAt, sea_orm::sea_query::Expr::value(now))
            .filter(Column::Id.eq(id))
            .filter(Column::LastSeenAt.lt(now))
            .exec(worker.db.writer())
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "a session's last use could not be noted");
        }
    });
}
