//! Relay connections over keyset pages. Cursors are opaque, authenticated and good for one list only.

use crate::app::App;
use crate::crypto::cursor;
use crate::error::{Error, Result};
use crate::page::Page;
use async_graphql::{OutputType, SimpleObject};
use uuid::Uuid;

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(directive = super::directives::public::apply())]
pub struct PageInfo {
    /// Whether more follow.
    pub has_next_page: bool,
    /// Whether this is not the first page.
    pub has_previous_page: bool,
    /// Cursor of the first item.
    pub start_cursor: Option<String>,
    /// Cursor of the last item: pass it as `after` for the next page.
    pub end_cursor: Option<String>,
}

/// An item and its place in the list.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(
    directive = super::directives::public::apply(),
    concrete(name = "PostEdge", params(crate::posts::graphql::Post)),
    concrete(name = "UserEdge", params(crate::accounts::graphql::User)),
    concrete(name = "AuditEventEdge", params(crate::audit::graphql::AuditEvent)),
    concrete(name = "BanEdge", params(crate::defense::graphql::Ban))
)]
pub struct Edge<T: OutputType> {
    /// The item's place.
    pub cursor: String,
    /// The item.
    pub node: T,
}

/// One page of a list.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(
    directive = super::directives::public::apply(),
    concrete(name = "PostConnection", params(crate::posts::graphql::Post)),
    concrete(name = "UserConnection", params(crate::accounts::graphql::User)),
    concrete(name = "AuditEventConnection", params(crate::audit::graphql::AuditEvent)),
    concrete(name = "BanConnection", params(crate::defense::graphql::Ban))
)]
pub struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    /// The items with their places.
    pub edges: Vec<Edge<T>>,
    /// Where the page stands.
    pub page_info: PageInfo,
}

/// Checks `first` and `after` for the list called `list`.
///
/// # Errors
/// `BAD_USER_INPUT` for a page size out of bounds or a cursor that is not one of this list.
pub fn request(app: &App, list: &str, first: Option<i32>, after: Option<&str>) -> Result<Page> {
    let after = after
        .map(|text| cursor::decode(&app.keyring, list, text))
        .transpose()
        .map_err(|_| Error::field("after", "is not a cursor of this list"))?;
    Page::new(first, after)
}

/// Makes a connection of `rows`, which hold one more than `page` asks for if there is a next page.
pub fn connection<R, T: OutputType>(
    app: &App,
    list: &str,
    page: Page,
    mut rows: Vec<R>,
    id: impl Fn(&R) -> Uuid,
    node: impl Fn(R) -> T,
) -> Connection<T>
where
    Edge<T>: OutputType,
{
    let size = usize::try_from(page.first).unwrap_or(usize::MAX);
    let has_next_page = rows.len() > size;
    rows.truncate(size);
    let edges: Vec<Edge<T>> = rows
        .into_iter()
        .map(|row| Edge { cursor: cursor::encode(&app.keyring, list, id(&row)), node: node(row) })
        .collect();
    let page_info = PageInfo {
        has_next_page,
        has_previous_page: page.after.is_some(),
        start_cursor: edges.first().map(|edge| edge.cursor.clone()),
        end_cursor: edges.last().map(|edge| edge.cursor.clone()),
    };
    Connection { edges, page_info }
}
