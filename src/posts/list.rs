//! Listing posts: newest first, by keyset, each list walking one index however deep the page.
//!
//! What a viewer may read is a union of ranges, each of which one index holds in order: the public
//! posts, and the viewer's own private ones. Each range gives a page's worth of ids and the newest of
//! all of them make the page, so a page costs the same with ten posts and with ten million.

use crate::access::{Permission, Viewer};
use crate::app::App;
use crate::error::Result;
use crate::page::Page;
use entity::id::{PostId, UserId};
use entity::post::{Column, Entity, Model, Visibility};
use sea_orm::sea_query::{Expr, Order, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

/// A range of posts that one index holds in order of id.
#[derive(Debug, Clone, Copy)]
struct Range {
    author: Option<UserId>,
    visibility: Option<Visibility>,
}

/// The ranges that together are what `viewer` may read, of `author` or of everyone.
fn ranges(viewer: &Viewer, author: Option<UserId>) -> Vec<Range> {
    let public = Range { author, visibility: Some(Visibility::Public) };
    let me = viewer.user_id();
    if viewer.holds(Permission::DeletePosts) || (author.is_some() && author == me) {
        return vec![Range { author, visibility: None }];
    }
    match (me, author) {
        (Some(_), None) => vec![public, Range { author: me, visibility: Some(Visibility::Private) }],
        _ => vec![public],
    }
}

/// The newest ids of `range` after `page.after`, as many as a page needs.
fn newest(range: Range, page: Page) -> SelectStatement {
    let mut select = Query::select();
    select.column(Column::Id).from(Entity).order_by(Column::Id, Order::Desc).limit(page.limit());
    if let Some(author) = range.author {
        select.and_where(Column::AuthorId.eq(author));
    }
    if let Some(visibility) = range.visibility {
        select.and_where(Column::Visibility.eq(visibility));
    }
    if let Some(after) = page.after {
        select.and_where(Column::Id.lt(PostId(after)));
    }
    select
}

/// The ids of all `ranges` in one query; each stands in a subselect of its own, which keeps its limit.
fn union(ranges: impl IntoIterator<Item = Range>, page: Page) -> SelectStatement {
    let wrapped = |range| {
        let mut select = Query::select();
        select.expr(Expr::col("id")).from_subquery(newest(range, page), "newest");
        select
    };
    let mut ranges = ranges.into_iter();
    let mut all = ranges.next().map_or_else(Query::select, wrapped);
    for range in ranges {
        all.union(UnionType::All, wrapped(range));
    }
    all
}

/// One page of what `viewer` may read, with authors when asked for, in one statement. One row more than
/// asked for tells whether there is a next page.
///
/// # Errors
/// When the database cannot.
pub async fn list(
    app: &App,
    viewer: &Viewer,
    author: Option<UserId>,
    page: Page,
    with_authors: bool,
) -> Result<Vec<(Model, Option<entity::user::Model>)>> {
    #[allow(clippy::disallowed_methods, reason = "scoped by `ranges`")]
    let query = Entity::find()
        .filter(Column::Id.in_subquery(union(ranges(viewer, author), page)))
        .order_by_desc(Column::Id)
        .limit(page.limit());
    if with_authors {
        return Ok(query.find_also_related(entity::user::Entity).all(app.db.reader()).await?);
    }
    let rows = query.all(app.db.reader()).await?;
    Ok(rows.into_iter().map(|post| (post, None)).collect())
}

/// One page of each author's posts that `viewer` may read, all in one statement.
///
/// # Errors
/// When the database cannot.
pub async fn by_authors(
    app: &App,
    viewer: &Viewer,
    authors: &[UserId],
    page: Page,
) -> Result<HashMap<UserId, Vec<Model>>> {
    let all = authors.iter().flat_map(|author| ranges(viewer, Some(*author)));
    #[allow(clippy::disallowed_methods, reason = "scoped by `ranges`")]
    let rows = Entity::find()
        .filter(Column::Id.in_subquery(union(all, page)))
        .order_by_desc(Column::Id)
        .all(app.db.reader())
        .await?;
    let mut by_author: HashMap<UserId, Vec<Model>> =
        authors.iter().map(|author| (*author, Vec::new())).collect();
    for row in rows {
        by_author.entry(row.author_id).or_default().push(row);
    }
    Ok(by_author)
}
