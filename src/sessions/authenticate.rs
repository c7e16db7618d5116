//! From a token to an identity (OWASP ASVS 7.2.1, 7.3.1, 7.3.2).

use super::open::idle_deadline;
use crate::access::{Identity, TokenHash};
use crate::app::App;
use crate::error::Result;
use entity::id::SessionId;
use entity::session::{Column, Entity};
use entity::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::sync::Arc;

/// Milliseconds between two notes of when a session was last used.
const SEEN_EVERY_MS: i64 = 60_000;

/// What a proven credential names its session by.
#[derive(Debug, Clone, Copy)]
pub enum SessionKey {
    /// The digest of the session's own token.
    Token(TokenHash),
    /// The session's id, from a verified access token.
    Id(SessionId),
}

/// The identity that `key` proves: an unexpired session of an active account. `None` for anything else,
/// whatever is wrong with it. One statement.
///
/// # Errors
/// When the database cannot.
pub async fn authenticate(app: &App, key: &SessionKey) -> Result<Option<Identity>> {
    let named = match key {
        SessionKey::Token(hash) => Column::TokenHash.eq(hash.to_vec()),
        SessionKey::Id(id) => Column::Id.eq(*id),
    };
    #[allow(clippy::disallowed_methods, reason = "scoped by the secret token")]
    let found =
        Entity::find().filter(named).find_also_related(entity::user::Entity).one(app.db.reader()).await?;
    let Some((session, Some(user))) = found else { return Ok(None) };
    let mut identity = Identity { user: Arc::new(user), session: Arc::new(session) };
    if !still_valid(app, &identity) {
        return Ok(None);
    }
    // Whoever keeps the identity keeps the time of this use: the row has it a moment later.
    let now = app.clock.now();
    if is_use_due(&identity, now) {
        Arc::make_mut(&mut identity.session).last_seen_at = now;
    }
    Ok(Some(identity))
}

/// Whether `identity`, as it was read, may still be used. Notes the use now and then.
#[must_use]
pub fn still_valid(app: &App, identity: &Identity) -> bool {
    let now = app.clock.now();
    let session = &identity.session;
    if now >= session.expires_at || now >= idle_deadline(app, session) || !identity.user.is_active {
        return false;
    }
    if is_use_due(identity, now) {
        note_use(app, identity);
    }
    true
}

/// Whether the last note is old enough for another.
fn is_use_due(identity: &Identity, now: Timestamp) -> bool {
    now >= identity.session.last_seen_at.plus_millis(SEEN_EVERY_MS)
}

/// Notes the use in the background; the request does not wait for it.
fn note_use(app: &App, identity: &Identity) {
    let worker = app.clone();
    let id = identity.session_id();
    forget(app, identity);
    app.tasks.spawn(async move {
        let now = worker.clock.now();
        #[expect(clippy::disallowed_methods, reason = "the session in use")]
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

/// Has the session read again at its next use, with its new time of last use.
fn forget(app: &App, identity: &Identity) {
    if let Ok(hash) = identity.session.token_hash.as_slice().try_into() {
        app.identities.forget(hash);
    }
}
