//! A new token for the session at hand, after its owner proved again who they are; the old token is dead
//! (OWASP ASVS 7.2.4, 7.5.1).

#![allow(clippy::disallowed_methods, reason = "scoped to the viewer's session")]

use super::open::Opened;
use super::refresh;
use crate::access::Identity;
use crate::app::App;
use crate::crypto::{Token, TokenKind};
use crate::error::{Error, Result};
use entity::session::{Column, Entity, Transport};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

/// Gives the session of `me` a new token and a full span of life. `mfa`: a second factor was used, now or
/// when it was opened.
///
/// # Errors
/// [`Error::Unauthenticated`] when the session has ended or got another token meanwhile.
pub async fn renew(app: &App, db: &impl ConnectionTrait, me: &Identity, mfa: bool) -> Result<Opened> {
    let now = app.clock.now();
    let token = Token::generate(TokenKind::Session);
    let minutes = i64::try_from(app.config.session_absolute_minutes).unwrap_or(i64::MAX / 60);
    let renewed = Entity::update_many()
        .col_expr(Column::TokenHash, Expr::value(token.hash().to_vec()))
        .col_expr(Column::AuthenticatedAt, Expr::value(now))
        .col_expr(Column::LastSeenAt, Expr::value(now))
        .col_expr(Column::ExpiresAt, Expr::value(now.plus_seconds(minutes.saturating_mul(60))))
        .col_expr(Column::Mfa, Expr::value(mfa))
        .filter(Column::Id.eq(me.session_id()))
        .filter(Column::UserId.eq(me.user_id()))
        .filter(Column::TokenHash.eq(me.session.token_hash.clone()))
        .exec_with_returning(db)
        .await?;
    let session = renewed.into_iter().next().ok_or(Error::Unauthenticated)?;
    // What renewed the old token renews nothing any more.
    let refresh = match session.transport {
        Transport::Token => Some(refresh::begin(app, db, session.id).await?),
        Transport::Cookie => None,
    };
    Ok(Opened { session, token, refresh })
}
