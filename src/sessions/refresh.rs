//! Renewing a session that travels as a token, without its owner (OAuth 2.0 Security BCP, RFC 9700,
//! section 4.14.2).
//!
//! Each refresh token is good once and is followed by another; the session gets a new token with it. One
//! that is used again tells that somebody copied it: the session ends, for thief and owner alike. An answer
//! may be lost on its way, though, so within ten seconds the same pair is given again. It is derived from
//! the used token under the keyring, so no token has to be stored for that.

#![allow(clippy::disallowed_methods, reason = "scoped by the secret token")]

use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin, Tx};
use crate::crypto::{Token, TokenKind, random};
use crate::error::{Error, Result};
use crate::sessions::open::{Opened, idle_deadline};
use entity::audit_event::Status;
use entity::id::{RefreshId, SessionId};
use entity::refresh_token::{ActiveModel, Column, Entity, Model};
use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set};

/// Milliseconds in which a used token gives the same pair again.
const GRACE_MS: i64 = 10_000;

/// A renewed session.
#[derive(Debug)]
pub struct Refreshed {
    /// Whose it is.
    pub user: entity::user::Model,
    /// The session, its token and the next refresh token.
    pub opened: Opened,
}

/// Gives `session` its only refresh token; earlier ones are void.
///
/// # Errors
/// When the database cannot.
pub async fn begin(app: &App, db: &impl ConnectionTrait, session: SessionId) -> Result<Token> {
    Entity::delete_many().filter(Column::SessionId.eq(session)).exec(db).await?;
    let token = Token::generate(TokenKind::Refresh);
    insert(app, db, session, &token).await?;
    Ok(token)
}

async fn insert(app: &App, db: &impl ConnectionTrait, session: SessionId, token: &Token) -> Result<()> {
    let now = app.clock.now();
    let row = ActiveModel {
        id: Set(RefreshId(random::uuid_v7(now))),
        session_id: Set(session),
        token_hash: Set(token.hash().to_vec()),
        created_at: Set(now),
        replaced_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Uses `text`, a refresh token, up. Of two at the same time one rotates and the other gets the same pair.
///
/// # Errors
/// [`Error::Unauthenticated`] for whatever is not the token of a live session.
pub async fn refresh(app: &App, origin: &Origin, text: &str) -> Result<Refreshed> {
    let Ok(token) = Token::parse(TokenKind::Refresh, text) else {
        return refuse(app, origin, "malformed").await;
    };
    let now = app.clock.now();
    let tx = app.audit.begin().await?;
    let used = Entity::update_many()
        .col_expr(Column::ReplacedAt, Expr::value(now))
        .filter(Column::TokenHash.eq(token.hash().to_vec()))
        .filter(Column::ReplacedAt.is_null())
        .exec(tx.connection())
        .await?;
    let row = Entity::find().filter(Column::TokenHash.eq(token.hash().to_vec())).one(tx.connection()).await?;
    let Some(row) = row else {
        drop(tx);
        return refuse(app, origin, "unknown").await;
    };
    if used.rows_affected == 1 {
        rotate(app, origin, tx, &token, &row).await
    } else {
        again(app, origin, tx, &token, &row).await
    }
}

/// The live session of `row` and its owner.
async fn family(app: &App, tx: &Tx, row: &Model) -> Result<Option<(session::Model, entity::user::Model)>> {
    let found = session::Entity::find_by_id(row.session_id)
        .find_also_related(entity::user::Entity)
        .one(tx.connection())
        .await?;
    let now = app.clock.now();
    let live = |session: &session::Model| now < session.expires_at && now < idle_deadline(app, session);
    Ok(found.and_then(|(session, user)| Some((session, user?))).filter(|(s, user)| live(s) && user.is_active))
}

async fn rotate(app: &App, origin: &Origin, mut tx: Tx, token: &Token, row: &Model) -> Result<Refreshed> {
    let Some((mut session, user)) = family(app, &tx, row).await? else {
        drop(tx);
        return refuse(app, origin, "ended").await;
    };
    let number = app.keyring.current();
    let follow = |kind| token.successor(&app.keyring, number, kind);
    let (Some(next), Some(opened)) = (follow(TokenKind::Refresh), follow(TokenKind::Session)) else {
        return Err(Error::internal("the current key is gone"));
    };
    insert(app, tx.connection(), session.id, &next).await?;
    session.token_hash = opened.hash().to_vec();
    session.last_seen_at = app.clock.now();
    session::Entity::update_many()
        .col_expr(session::Column::TokenHash, Expr::value(session.token_hash.clone()))
        .col_expr(session::Column::LastSeenAt, Expr::value(session.last_seen_at))
        .filter(session::Column::Id.eq(session.id))
        .exec(tx.connection())
        .await?;
    tx.touch(user.id);
    let event = Event::success(Kind::TokenCreated, "refreshSession").by(user.id).in_session(session.id);
    tx.commit(origin, event.on("session", session.id)).await?;
    Ok(Refreshed { user, opened: Opened { session, token: opened, refresh: Some(next) } })
}

/// A used token once more: a lost answer, or a thief.
async fn again(app: &App, origin: &Origin, mut tx: Tx, token: &Token, row: &Model) -> Result<Refreshed> {
    let Some((session, user)) = family(app, &tx, row).await? else {
        drop(tx);
        return refuse(app, origin, "ended").await;
    };
    let used_at = row.replaced_at.unwrap_or(row.created_at);
    if app.clock.now() <= used_at.plus_millis(GRACE_MS) {
        for number in app.keyring.numbers() {
            let follow = |kind| token.successor(&app.keyring, number, kind);
            if let (Some(next), Some(opened)) = (follow(TokenKind::Refresh), follow(TokenKind::Session))
                && session.token_hash == opened.hash()
            {
                return Ok(Refreshed {
                    user,
                    opened: Opened { session, token: opened, refresh: Some(next) },
                });
            }
        }
    }
    session::Entity::delete_many().filter(session::Column::Id.eq(session.id)).exec(tx.connection()).await?;
    tx.touch(user.id);
    let event = Event::success(Kind::TokenReuse, "refreshSession").status(Status::Alert).by(user.id);
    tx.commit(origin, event.on("session", session.id)).await?;
    Err(Error::Unauthenticated)
}

async fn refuse(app: &App, origin: &Origin, reason: &'static str) -> Result<Refreshed> {
    let event = Event::success(Kind::LoginFail, "refreshSession").status(Status::Failure);
    app.audit.record(origin, vec![event.details(serde_json::json!({ "reason": reason }))]).await?;
    Err(Error::Unauthenticated)
}

/// A new token for the viewer's session, which travels as a cookie; the old one opens nothing any more.
///
/// # Errors
/// [`Error::Unauthenticated`] when the session has ended or got another token meanwhile.
pub async fn replace_cookie(app: &App, origin: &Origin, me: &Identity) -> Result<Opened> {
    let mut tx = app.audit.begin().await?;
    tx.touch(me.user_id());
    let token = Token::generate(TokenKind::Session);
    let renewed = session::Entity::update_many()
        .col_expr(session::Column::TokenHash, Expr::value(token.hash().to_vec()))
        .col_expr(session::Column::LastSeenAt, Expr::value(app.clock.now()))
        .filter(session::Column::Id.eq(me.session_id()))
        .filter(session::Column::TokenHash.eq(me.session.token_hash.clone()))
        .exec_with_returning(tx.connection())
        .await?;
    let session = renewed.into_iter().next().ok_or(Error::Unauthenticated)?;
    tx.commit(origin, Event::success(Kind::TokenCreated, "refreshSession").on("session", session.id)).await?;
    Ok(Opened { session, token, refresh: None })
}
