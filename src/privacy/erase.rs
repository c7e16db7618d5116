//! Erasing the viewer's account (GDPR, article 17).
//!
//! The row goes, and with it, by foreign keys, sessions, factors, codes and whatever else belongs to
//! the account: nothing sealed stays behind. Posts go too, or stay under an account that is nobody's,
//! as `deletion_posts` says. Audit rows keep the account's id, which names nobody any more.

#![expect(
    clippy::disallowed_methods,
    reason = "every statement is scoped to the viewer, or to the account that is nobody's"
)]

use crate::access::Identity;
use crate::accounts::{admins, find};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use crate::keys::{index, retire::UNUSABLE};
use crate::mail;
use crate::sessions::password;
use entity::audit_event::Status;
use entity::id::UserId;
use entity::user::{ActiveModel, Column, Entity, Role};
use entity::{post, session};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, Set};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// The account that anonymised posts belong to: no person, never signed in.
pub const NOBODY: UserId = UserId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000));

/// A name that nobody can register: brackets are not allowed.
const NOBODYS_NAME: &str = "[deleted]";
/// Not an address, so nobody can register it.
const NOBODYS_ADDRESS: &str = "nobody";

/// Erases the viewer's account, with everything sealed, in one transaction.
///
/// # Errors
/// `BAD_USER_INPUT` for a wrong password, recorded, with a bounded number of tries; `CONFLICT` for the last active
/// administrator; `OVERLOADED` when hashing is backed up.
pub async fn account(app: &App, origin: &Origin, me: &Identity, given: SecretString) -> Result<()> {
    let id = me.user_id();
    if !password::is_current(app, me, given).await? {
        let event = Event::success(Kind::UserDeleted, "deleteMyAccount").on("user", id);
        let event = event.status(Status::Failure).details(serde_json::json!({ "reason": "wrong password" }));
        app.audit.record(origin, vec![event]).await?;
        return Err(Error::field("password", "is not right"));
    }
    let mut tx = app.audit.begin().await?;
    tx.touch(id);
    let locked = admins::lock(tx.connection(), None, id).await?;
    let address = find::address(app, locked.target()?)?;
    locked.keep_last_admin()?;
    let keep_posts = app.config.deletion_posts == "anonymise";
    let posts = if keep_posts { give_away_posts(app, tx.connection(), id).await? } else { 0 };
    let ended = session::Entity::delete_many()
        .filter(session::Column::UserId.eq(id))
        .exec(tx.connection())
        .await?
        .rows_affected;
    Entity::delete_many().filter(Column::Id.eq(id)).exec(tx.connection()).await?;
    mail::forget(app, tx.connection(), address.expose_secret()).await?;
    let details = serde_json::json!({
        "sessionsEnded": ended,
        "posts": if keep_posts { "anonymised" } else { "deleted" },
        "postsAnonymised": posts,
    });
    tx.commit(origin, Event::success(Kind::UserDeleted, "deleteMyAccount").on("user", id).details(details))
        .await
}

/// Has the posts of `from` belong to nobody; how many.
async fn give_away_posts(app: &App, tx: &DatabaseTransaction, from: UserId) -> Result<u64> {
    nobody(app, tx).await?;
    let moved = post::Entity::update_many()
        .col_expr(post::Column::AuthorId, Expr::value(NOBODY))
        .filter(post::Column::AuthorId.eq(from))
        .exec(tx)
        .await?;
    Ok(moved.rows_affected)
}

/// Makes the account that is nobody's, unless it is there.
async fn nobody(app: &App, tx: &DatabaseTransaction) -> Result<()> {
    let indexes = index::for_writing(app, tx, NOBODYS_ADDRESS).await?;
    let now = app.clock.now();
    let row = ActiveModel {
        id: Set(NOBODY),
        username: Set(NOBODYS_NAME.to_owned()),
        username_key: Set(NOBODYS_NAME.to_owned()),
        email: Set(app.keyring.seal(NOBODY.uuid(), NOBODYS_ADDRESS)),
        email_index: Set(indexes.index),
        email_index_next: Set(Some(indexes.next)),
        email_verified_at: Set(None),
        full_name: Set(None),
        phone: Set(None),
        password_hash: Set(UNUSABLE.to_owned()),
        role: Set(Role::User),
        is_active: Set(false),
        mfa_enrolled_at: Set(None),
        password_needs_mfa: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let nothing = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(row).on_conflict(nothing).exec_without_returning(tx).await?;
    Ok(())
}
