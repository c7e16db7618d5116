//! Finders of accounts. Each names who may use it.

#![allow(clippy::disallowed_methods, reason = "the scoped finders themselves")]

use super::email::{self, EmailAddress};
use super::username::Username;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use crate::page::Page;
use entity::id::UserId;
use entity::user::{Column, Entity, Model, Role};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use secrecy::SecretString;

/// The account that a sign-in names by user name or e-mail address. One statement whatever the text.
///
/// # Errors
/// When the database cannot.
pub async fn by_identifier(app: &App, identifier: &str) -> Result<Option<Model>> {
    let query = Entity::find();
    let query = if identifier.contains('@') {
        query.filter(
            Column::EmailIndex
                .is_in(app.keyring.blind_indexes::<entity::user::UserEmail>(&email::normalise(identifier))),
        )
    } else {
        let key = identifier.parse::<Username>().map(|name| name.key().to_owned()).unwrap_or_default();
        query.filter(Column::UsernameKey.eq(key))
    };
    Ok(query.one(app.db.reader()).await?)
}

/// One account, for whoever holds READ_USERS (the guard asks) or for public fields of an author.
///
/// # Errors
/// When the database cannot.
pub async fn by_id(app: &App, id: UserId) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).one(app.db.reader()).await?)
}

/// Several accounts in one statement, for request-scoped loaders.
///
/// # Errors
/// When the database cannot.
pub async fn by_ids(app: &App, ids: &[UserId]) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(app.db.reader()).await?)
}

/// The address of `user`, in the clear.
///
/// # Errors
/// `INTERNAL` when the stored ciphertext does not open.
pub fn address(app: &App, user: &Model) -> Result<SecretString> {
    app.keyring.open(user.id.uuid(), &user.email).map_err(Error::internal)
}

/// The account with the address `email`.
///
/// # Errors
/// When the database cannot.
pub async fn by_email(app: &App, db: &impl ConnectionTrait, email: &EmailAddress) -> Result<Option<Model>> {
    let indexes = app.keyring.blind_indexes::<entity::user::UserEmail>(email.normalised());
    Ok(Entity::find().filter(Column::EmailIndex.is_in(indexes)).one(db).await?)
}

/// The account `id` as it stands in the transaction `db`, for its owner.
///
/// # Errors
/// When the database cannot.
pub async fn current(db: &impl ConnectionTrait, id: UserId) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).one(db).await?)
}

/// How many backup codes `user` has left.
///
/// # Errors
/// When the database cannot.
pub async fn backup_codes_left(db: &impl ConnectionTrait, user: UserId) -> Result<u64> {
    let codes = entity::backup_code::Entity::find().filter(entity::backup_code::Column::UserId.eq(user));
    Ok(codes.count(db).await?)
}

/// Which accounts to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// With this role.
    pub role: Option<Role>,
    /// That may (or may not) sign in.
    pub is_active: Option<bool>,
    /// With exactly this normalised address.
    pub email: Option<String>,
    /// Whose folded name begins so.
    pub username_prefix: Option<String>,
}

/// One page of accounts, newest first, for READ_USERS. One row more than asked for tells whether there
/// is a next page.
///
/// # Errors
/// When the database cannot.
pub async fn list(app: &App, filter: &Filter, page: Page) -> Result<Vec<Model>> {
    let mut query = Entity::find();
    if let Some(role) = filter.role {
        query = query.filter(Column::Role.eq(role));
    }
    if let Some(active) = filter.is_active {
        query = query.filter(Column::IsActive.eq(active));
    }
    if let Some(email) = &filter.email {
        query = query
            .filter(Column::EmailIndex.is_in(app.keyring.blind_indexes::<entity::user::UserEmail>(email)));
    }
    if let Some(prefix) = filter.username_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        // A range of the unique index, not a pattern: nothing in the text is special.
        query = query
            .filter(Column::UsernameKey.gte(prefix))
            .filter(Column::UsernameKey.lt(format!("{prefix}\u{10ffff}")));
    }
    if let Some(after) = page.after {
        query = query.filter(Column::Id.lt(UserId(after)));
    }
    Ok(query.order_by_desc(Column::Id).limit(page.limit()).all(app.db.reader()).await?)
}

/// Notes in the trail that another person's account was read (OWASP ASVS 16.3.2); reading one's own is
/// nobody's business.
///
/// # Errors
/// When the trail cannot be written; then nothing is shown.
pub async fn note_read(app: &App, origin: &Origin, subject: Option<UserId>) -> Result<()> {
    if subject.is_some() && subject == origin.actor {
        return Ok(());
    }
    let event = match subject {
        Some(id) => Event::success(Kind::Read, "user").on("user", id),
        None => Event::success(Kind::Read, "users"),
    };
    app.audit.record(origin, vec![event]).await
}
