//! Posts: the example of an owned resource. Copy this slice to add your own.
//!
//! - this file: the domain: create, read, change, remove, list, each scoped in SQL.
//! - [`graphql`]: the guarded fields.

pub mod graphql;
pub mod list;

use crate::access::{Identity, Mine, Owned, Permission, Viewer, owned};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::bus::Message;
use crate::crypto::random;
use crate::error::{Error, Problems, Result};
use crate::text;
use entity::id::{PostId, UserId};
use entity::post::{ActiveModel, Column, Entity, Model, Visibility};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// Characters of a title at most.
pub const TITLE_MAX: usize = 200;
/// Characters of a body at most.
pub const BODY_MAX: usize = 20_000;

impl Owned for Model {
    fn owner_column() -> Column {
        Column::AuthorId
    }

    fn owner(&self) -> UserId {
        self.author_id
    }
}

/// A new post, unchecked.
#[derive(Debug)]
pub struct NewPost {
    /// 1 to [`TITLE_MAX`] characters on one line.
    pub title: String,
    /// 1 to [`BODY_MAX`] characters.
    pub body: String,
    /// Who may read it.
    pub visibility: Visibility,
}

/// A change to a post; what is absent stays.
#[derive(Debug, Default)]
pub struct PostChange {
    /// A new title.
    pub title: Option<String>,
    /// A new text.
    pub body: Option<String>,
    /// A new visibility.
    pub visibility: Option<Visibility>,
    /// The version that the change was made from; another one is a `CONFLICT`.
    pub expected_version: Option<i32>,
}

fn checked_body(body: &str) -> Result<String, String> {
    if body.trim().is_empty() { Err("must not be empty".to_owned()) } else { text::body(body, BODY_MAX) }
}

/// Adds to `query` that `viewer` may read the row: it is public, theirs, or they moderate.
pub(crate) fn readable<Q: QueryFilter>(query: Q, viewer: &Viewer) -> Q {
    if viewer.holds(Permission::DeletePosts) {
        return query;
    }
    let mut allowed = Condition::any().add(Column::Visibility.eq(Visibility::Public));
    if let Some(me) = viewer.user_id() {
        allowed = allowed.add(Column::AuthorId.eq(me));
    }
    query.filter(allowed)
}

/// Makes a post of the viewer's.
///
/// # Errors
/// `BAD_USER_INPUT` for text out of bounds.
pub async fn create(app: &App, origin: &Origin, me: &Identity, new: NewPost) -> Result<Model> {
    let mut problems = Problems::default();
    let title = problems.take("title", text::line(&new.title, 1, TITLE_MAX));
    let body = problems.take("body", checked_body(&new.body));
    let (Some(title), Some(body)) = (title, body) else { return Err(problems.into_error()) };
    let now = app.clock.now();
    let row = Model {
        id: PostId(random::uuid_v7(now)),
        author_id: me.user_id(),
        title,
        body,
        visibility: new.visibility,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.audit.begin().await?;
    Entity::insert(ActiveModel::from(row.clone())).exec_without_returning(tx.connection()).await?;
    if row.visibility == Visibility::Public {
        tx.publish(Message::post_published(row.id));
    }
    tx.commit(origin, Event::success(Kind::Create, "createPost").on("post", row.id)).await?;
    Ok(row)
}

/// Finds a post that the viewer may change.
///
/// # Errors
/// `NOT_FOUND` when there is none or it is somebody else's.
pub async fn find_mine(app: &App, me: &Identity, id: PostId) -> Result<Mine<Model>> {
    owned::find_mine(app.db.reader(), me, id).await
}

/// Changes a post of the viewer's.
///
/// # Errors
/// `CONFLICT` when it changed meanwhile; `BAD_USER_INPUT` for text out of bounds.
pub async fn update(app: &App, origin: &Origin, post: Mine<Model>, change: PostChange) -> Result<Model> {
    let mut problems = Problems::default();
    let old = post.into_row();
    if change.expected_version.is_some_and(|expected| expected != old.version) {
        return Err(Error::Conflict("the post has changed since you read it"));
    }
    let title = change
        .title
        .map_or(Some(old.title.clone()), |t| problems.take("title", text::line(&t, 1, TITLE_MAX)));
    let body = change.body.map_or(Some(old.body.clone()), |b| problems.take("body", checked_body(&b)));
    let (Some(title), Some(body)) = (title, body) else { return Err(problems.into_error()) };
    let row = Model {
        title,
        body,
        visibility: change.visibility.unwrap_or(old.visibility),
        version: old.version.checked_add(1).ok_or(Error::Conflict("the post has too many versions"))?,
        updated_at: app.clock.now(),
        ..old
    };
    let mut tx = app.audit.begin().await?;
    if old.visibility == Visibility::Private && row.visibility == Visibility::Public {
        tx.publish(Message::post_published(row.id));
    }
    #[expect(clippy::disallowed_methods, reason = "by id, author and version")]
    let changed = Entity::update_many()
        .set(ActiveModel {
            title: Set(row.title.clone()),
            body: Set(row.body.clone()),
            visibility: Set(row.visibility),
            version: Set(row.version),
            updated_at: Set(row.updated_at),
            ..Default::default()
        })
        .filter(Column::Id.eq(row.id))
        .filter(Column::AuthorId.eq(row.author_id))
        .filter(Column::Version.eq(old.version))
        .exec(tx.connection())
        .await?;
    if changed.rows_affected == 0 {
        return Err(Error::Conflict("the post has changed since you read it"));
    }
    tx.commit(origin, Event::success(Kind::Update, "updatePost").on("post", row.id)).await?;
    Ok(row)
}

/// Removes a post: the viewer's own, or anyone's for a moderator, who is named in the event.
///
/// # Errors
/// `NOT_FOUND` when there is none or it is somebody else's.
pub async fn delete(app: &App, origin: &Origin, me: &Identity, id: PostId) -> Result<()> {
    let tx = app.audit.begin().await?;
    #[expect(clippy::disallowed_methods, reason = "by author, unless the viewer holds DELETE_POSTS")]
    let mut query = Entity::delete_many().filter(Column::Id.eq(id));
    if !me.holds(Permission::DeletePosts) {
        query = query.filter(Column::AuthorId.eq(me.user_id()));
    }
    if query.exec(tx.connection()).await?.rows_affected == 0 {
        return Err(Error::NotFound);
    }
    tx.commit(origin, Event::success(Kind::Delete, "deletePost").on("post", id)).await
}

/// A post that the viewer may read, with its author when asked for, in one statement.
///
/// # Errors
/// When the database cannot.
pub async fn find_readable(
    app: &App,
    viewer: &Viewer,
    id: PostId,
    with_author: bool,
) -> Result<Option<(Model, Option<entity::user::Model>)>> {
    #[allow(clippy::disallowed_methods, reason = "scoped by `readable`")]
    let query = readable(Entity::find_by_id(id), viewer);
    if with_author {
        return Ok(query.find_also_related(entity::user::Entity).one(app.db.reader()).await?);
    }
    Ok(query.one(app.db.reader()).await?.map(|post| (post, None)))
}
