//! Opening a session: a new 256-bit token, stored as its SHA-256 only (OWASP ASVS 7.2.3, 7.2.4).

use super::refresh;
use crate::app::App;
use crate::audit::Origin;
use crate::crypto::{Token, TokenKind, random};
use crate::error::Result;
use entity::id::{SessionId, UserId};
use entity::session::{ActiveModel, Column, Entity, Model, Transport};
use entity::time::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

/// A session and its token, which is shown once.
#[derive(Debug)]
pub struct Opened {
    /// The stored session.
    pub session: Model,
    /// The secret that proves it.
    pub token: Token,
    /// TOKEN transport: what renews it, once.
    pub refresh: Option<Token>,
}

/// Opens a session for `user` and ends their oldest ones beyond the allowed number.
///
/// # Errors
/// When the database cannot.
pub async fn open(
    app: &App,
    db: &impl ConnectionTrait,
    origin: &Origin,
    user: UserId,
    transport: Transport,
    mfa: bool,
) -> Result<Opened> {
    let now = app.clock.now();
    let id = random::uuid_v7(now);
    let token = Token::generate(TokenKind::Session);
    let minutes = i64::try_from(app.config.session_absolute_minutes).unwrap_or(i64::MAX / 60);
    let row = ActiveModel {
        id: Set(SessionId(id)),
        user_id: Set(user),
        token_hash: Set(token.hash().to_vec()),
        transport: Set(transport),
        created_at: Set(now),
        last_seen_at: Set(now),
        authenticated_at: Set(now),
        expires_at: Set(now.plus_seconds(minutes.saturating_mul(60))),
        mfa: Set(mfa),
        address: Set(origin.address.map(|address| app.keyring.seal(id, &address.to_canonical().to_string()))),
        user_agent: Set(origin.user_agent.as_deref().map(|agent| app.keyring.seal(id, agent))),
    };
    let session = row.insert(db).await?;
    end_surplus(app, db, user).await?;
    let refresh = match transport {
        Transport::Token => Some(refresh::begin(app, db, session.id).await?),
        Transport::Cookie => None,
    };
    Ok(Opened { session, token, refresh })
}

/// Ends the oldest sessions of `user` beyond `session_max_per_user` (OWASP ASVS 7.1.2).
async fn end_surplus(app: &App, db: &impl ConnectionTrait, user: UserId) -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "scoped to the user")]
    let surplus: Vec<SessionId> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::UserId.eq(user))
        .order_by_desc(Column::Id)
        .offset(u64::from(app.config.session_max_per_user))
        .limit(100)
        .into_tuple()
        .all(db)
        .await?;
    if !surplus.is_empty() {
        #[expect(clippy::disallowed_methods, reason = "the user's own, selected above")]
        Entity::delete_many().filter(Column::Id.is_in(surplus)).exec(db).await?;
    }
    Ok(())
}

/// When `session` ends if it is not used again.
#[must_use]
pub fn idle_deadline(app: &App, session: &Model) -> Timestamp {
    let minutes = i64::try_from(app.config.session_idle_minutes).unwrap_or(i64::MAX / 60);
    session.last_seen_at.plus_seconds(minutes.saturating_mul(60)).min(session.expires_at)
}
