//! Posts in the schema.

use super::{NewPost, PostChange, list};
use crate::accounts::graphql::User;
use crate::bus::{Message, events};
use crate::error::{Error, Result};
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{cost, owner_or, public, requires};
use crate::graphql::guard::declared;
use crate::graphql::id;
use crate::graphql::page::{self, Connection};
use crate::graphql::scalars::{DateTime, PermissionName, Visibility};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use entity::post::Model;
use futures_util::{Stream, StreamExt};
use std::sync::Arc;

/// A post and, where a join brought it along, its author.
#[derive(Debug, Clone)]
pub struct Post {
    /// The post.
    pub row: Model,
    /// Its author, if already known.
    pub author: Option<entity::user::Model>,
}

/// Something that somebody wrote. Whoever reaches it may read all of it.
#[Object(directive = public::apply())]
impl Post {
    /// The post's id.
    async fn id(&self) -> ID {
        self.row.id.to_string().into()
    }

    /// The title, as given.
    async fn title(&self) -> &str {
        &self.row.title
    }

    /// The text, as given.
    async fn body(&self) -> &str {
        &self.row.body
    }

    /// Who may read it.
    async fn visibility(&self) -> Visibility {
        self.row.visibility.into()
    }

    /// Who wrote it.
    async fn author(&self, ctx: &Context<'_>) -> Result<User> {
        if let Some(author) = &self.author {
            return Ok(User(author.clone()));
        }
        let loaded = RequestContext::of(ctx).loaders.users.load_one(self.row.author_id).await?;
        loaded.map(User).ok_or(Error::NotFound)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.row.updated_at.into()
    }

    /// Grows by one with every change; pass it as `expectedVersion`.
    async fn version(&self) -> i32 {
        self.row.version
    }
}

/// Which posts to list.
#[derive(Debug, InputObject)]
pub struct PostFilter {
    /// By this author.
    author_id: Option<ID>,
}

/// Reading posts.
#[derive(Debug, Default)]
pub struct PostQuery;

/// Reading posts.
#[Object(guard = "declared(\"Query\")")]
impl PostQuery {
    /// A post by id. A private one exists only for its owner and moderators.
    #[graphql(directive = public::apply())]
    async fn post(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Post>> {
        let request = RequestContext::of(ctx);
        let with_author = ctx.look_ahead().field("author").exists();
        let found =
            super::find_readable(&request.app, &request.viewer, id::parse("id", &id)?, with_author).await?;
        let (row, author) = found.ok_or(Error::NotFound)?;
        Ok(Some(Post { row, author }))
    }

    /// Posts that the viewer may read, newest first.
    #[graphql(directive = public::apply(), directive = cost::apply(1, Some(vec!["first".to_owned()])))]
    async fn posts(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<PostFilter>,
    ) -> Result<Connection<Post>> {
        let request = RequestContext::of(ctx);
        let page = page::request(&request.app, "posts", first, after.as_deref())?;
        let author =
            filter.and_then(|filter| filter.author_id).map(|id| id::parse("authorId", &id)).transpose()?;
        let with_authors = ctx.look_ahead().field("edges").field("node").field("author").exists();
        let rows = list::list(&request.app, &request.viewer, author, page, with_authors).await?;
        Ok(page::connection(
            &request.app,
            "posts",
            page,
            rows,
            |(post, _)| post.id.uuid(),
            |(row, author)| Post { row, author },
        ))
    }
}

/// Posts as they appear.
#[derive(Debug, Default)]
pub struct PostSubscription;

/// Posts as they appear.
#[Subscription(guard = "declared(\"Subscription\")")]
impl PostSubscription {
    /// Public posts, each as it is published.
    #[graphql(directive = public::apply())]
    async fn post_published(&self, ctx: &Context<'_>) -> impl Stream<Item = Post> + 'static {
        let request = RequestContext::shared(ctx);
        let with_author = ctx.look_ahead().field("author").exists();
        events(&request.app.bus).filter_map(move |message| {
            let request = Arc::clone(&request);
            async move {
                let Message::PostPublished { post } = message else { return None };
                // Read with the viewer's own rights: whoever may not read it does not hear of it.
                let found = super::find_readable(&request.app, &request.viewer, post.into(), with_author)
                    .await
                    .ok()??;
                Some(Post { row: found.0, author: found.1 })
            }
        })
    }
}

/// A new post.
#[derive(Debug, InputObject)]
pub struct CreatePostInput {
    /// 1 to 200 characters on one line.
    title: String,
    /// 1 to 20 000 characters.
    body: String,
    /// Who may read it.
    #[graphql(default_with = "Visibility::Public")]
    visibility: Visibility,
}

/// A change to a post; what is absent stays.
#[derive(Debug, InputObject)]
pub struct UpdatePostInput {
    /// Which post; it must be the viewer's.
    id: ID,
    /// A new title.
    title: Option<String>,
    /// A new text.
    body: Option<String>,
    /// A new visibility.
    visibility: Option<Visibility>,
    /// The version that the change was made from; CONFLICT if it is not the current one.
    expected_version: Option<i32>,
}

/// Which post to remove.
#[derive(Debug, InputObject)]
pub struct DeletePostInput {
    /// Its id.
    id: ID,
}

/// The post as it is now.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct PostPayload {
    /// The post.
    post: Post,
}

/// The post is gone.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct DeletePostPayload {
    /// Its id.
    deleted_id: ID,
}

/// Writing posts.
#[derive(Debug, Default)]
pub struct PostMutation;

/// Writing posts.
#[Object(guard = "declared(\"Mutation\")")]
impl PostMutation {
    /// Makes a post of the viewer's.
    #[graphql(directive = requires::apply(PermissionName::WritePosts), directive = cost::apply(10, None))]
    async fn create_post(&self, ctx: &Context<'_>, input: CreatePostInput) -> Result<Option<PostPayload>> {
        let request = RequestContext::of(ctx);
        let me = request.identity()?;
        let new = NewPost { title: input.title, body: input.body, visibility: input.visibility.into() };
        let row = super::create(&request.app, &request.origin, me, new).await?;
        Ok(Some(PostPayload { post: Post { row, author: Some((*me.user).clone()) } }))
    }

    /// Changes a post of the viewer's.
    #[graphql(directive = requires::apply(PermissionName::WritePosts), directive = cost::apply(10, None))]
    async fn update_post(&self, ctx: &Context<'_>, input: UpdatePostInput) -> Result<Option<PostPayload>> {
        let request = RequestContext::of(ctx);
        let me = request.identity()?;
        let mine = super::find_mine(&request.app, me, id::parse("id", &input.id)?).await?;
        let change = PostChange {
            title: input.title,
            body: input.body,
            visibility: input.visibility.map(Into::into),
            expected_version: input.expected_version,
        };
        let row = super::update(&request.app, &request.origin, mine, change).await?;
        Ok(Some(PostPayload { post: Post { row, author: Some((*me.user).clone()) } }))
    }

    /// Removes a post: one's own, or anyone's with DELETE_POSTS.
    #[graphql(directive = owner_or::apply(PermissionName::DeletePosts), directive = cost::apply(10, None))]
    async fn delete_post(
        &self,
        ctx: &Context<'_>,
        input: DeletePostInput,
    ) -> Result<Option<DeletePostPayload>> {
        let request = RequestContext::of(ctx);
        let id = id::parse("id", &input.id)?;
        super::delete(&request.app, &request.origin, request.identity()?, id).await?;
        Ok(Some(DeletePostPayload { deleted_id: input.id }))
    }
}
