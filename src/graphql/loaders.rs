//! Request-scoped loaders: whatever a list's items need is fetched in one statement.

use crate::access::Viewer;
use crate::app::App;
use crate::error::Error;
use crate::page::Page;
use crate::{accounts, posts, sessions};
use async_graphql::dataloader::{DataLoader, Loader};
use entity::id::UserId;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The loaders of one request; nothing of it outlives the request or is shared with another.
pub struct Loaders {
    /// Accounts by id.
    pub users: DataLoader<Users>,
    /// Pages of authors' posts.
    pub posts: DataLoader<PostsByAuthor>,
    /// Live sessions by account.
    pub sessions: DataLoader<SessionsByUser>,
}

impl fmt::Debug for Loaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loaders")
    }
}

impl Loaders {
    /// Empty loaders that see what `viewer` may see.
    #[must_use]
    pub fn new(app: &App, viewer: &Viewer) -> Self {
        let users = Users { app: app.clone() };
        let posts = PostsByAuthor { app: app.clone(), viewer: viewer.clone() };
        Self {
            users: DataLoader::new(users, tokio::spawn).delay(Duration::ZERO),
            posts: DataLoader::new(posts, tokio::spawn).delay(Duration::ZERO),
            sessions: DataLoader::new(SessionsByUser { app: app.clone() }, tokio::spawn)
                .delay(Duration::ZERO),
        }
    }
}

/// Loads accounts.
#[derive(Debug)]
pub struct Users {
    app: App,
}

impl Loader<UserId> for Users {
    type Value = entity::user::Model;
    type Error = Error;

    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, Self::Value>, Error> {
        let users = accounts::find::by_ids(&self.app, keys).await?;
        Ok(users.into_iter().map(|user| (user.id, user)).collect())
    }
}

/// Loads one page of posts for each of several authors.
#[derive(Debug)]
pub struct PostsByAuthor {
    app: App,
    viewer: Viewer,
}

impl Loader<(UserId, Page)> for PostsByAuthor {
    type Value = Vec<entity::post::Model>;
    type Error = Error;

    async fn load(&self, keys: &[(UserId, Page)]) -> Result<HashMap<(UserId, Page), Self::Value>, Error> {
        let mut by_page: HashMap<Page, Vec<UserId>> = HashMap::new();
        for (author, page) in keys {
            by_page.entry(*page).or_default().push(*author);
        }
        let mut found = HashMap::new();
        for (page, authors) in by_page {
            let lists = posts::list::by_authors(&self.app, &self.viewer, &authors, page).await?;
            found.extend(lists.into_iter().map(|(author, posts)| ((author, page), posts)));
        }
        Ok(found)
    }
}

/// Loads the live sessions of several people.
#[derive(Debug)]
pub struct SessionsByUser {
    app: App,
}

impl Loader<UserId> for SessionsByUser {
    type Value = Vec<entity::session::Model>;
    type Error = Error;

    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, Self::Value>, Error> {
        let mut found: HashMap<UserId, Self::Value> = HashMap::new();
        for session in sessions::list::by_users(&self.app, keys).await? {
            found.entry(session.user_id).or_default().push(session);
        }
        Ok(found)
    }
}
