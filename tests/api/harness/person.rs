//! People: accounts made through the front door, roles given behind it.

use super::client::{Client, Reply};
use super::server::TestServer;
use entity::user::{Column, Entity, Role};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

impl TestServer {
    /// A client without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(self.clone())
    }

    /// Somebody with an account who has not signed in. The password is long and their own.
    pub async fn register(&self, name: &str) -> Client {
        let mut client = self.anonymous();
        name.clone_into(&mut client.username);
        client.email = format!("{name}@example.org");
        client.password =
            format!("quiet lantern under seven maps, {}", name.chars().rev().collect::<String>());
        let input = json!({ "username": name, "email": client.email, "password": client.password });
        client.mutate("register", input, "accepted").await.ok();
        client
    }

    /// Somebody with an account who has signed in with a token.
    pub async fn user(&self, name: &str) -> Client {
        let mut client = self.register(name).await;
        client.login().await;
        client
    }

    /// The same with a cookie and its CSRF token.
    pub async fn browser(&self, name: &str) -> Client {
        let mut client = self.register(name).await;
        client.login_by_cookie().await;
        client
    }

    /// A moderator called `mira`, signed in with a token.
    pub async fn moderator(&self) -> Client {
        self.with_role("mira", Role::Moderator).await
    }

    /// An administrator called `root`, signed in with a token.
    pub async fn admin(&self) -> Client {
        self.with_role("root", Role::Admin).await
    }

    async fn with_role(&self, name: &str, role: Role) -> Client {
        let mut client = self.register(name).await;
        Entity::update_many()
            .col_expr(Column::Role, Expr::value(role))
            .filter(Column::UsernameKey.eq(name))
            .exec(self.app.db.writer())
            .await
            .unwrap();
        client.login().await;
        client
    }
}

impl Client {
    /// Tries to sign in as `identifier`, whatever comes of it.
    pub async fn try_login(&self, identifier: &str, password: &str, transport: &str) -> Reply {
        let input = json!({ "identifier": identifier, "password": password, "transport": transport });
        let selection = "status token csrfToken session { id expiresAt } user { id username email }";
        self.mutate("login", input, selection).await
    }

    /// Signs in with a token.
    pub async fn login(&mut self) -> Reply {
        let reply = self.server.anonymous().try_login(&self.username, &self.password, "TOKEN").await.ok();
        self.token = Some(reply.text_at("/login/token"));
        self.id = reply.text_at("/login/user/id");
        reply
    }

    /// Signs in with a cookie.
    pub async fn login_by_cookie(&mut self) -> Reply {
        let fresh = self.server.anonymous();
        let reply = fresh.try_login(&self.username, &self.password, "COOKIE").await.ok();
        self.set_cookie(fresh.cookie());
        self.csrf = Some(reply.text_at("/login/csrfToken"));
        self.id = reply.text_at("/login/user/id");
        reply
    }

    /// Whether the server still knows who this is.
    pub async fn is_signed_in(&self) -> bool {
        let reply = self.query("{ me { id } }", json!({})).await;
        reply.json["data"]["me"]["id"] == self.id.as_str()
    }

    /// Has the server know this session, so that counts of statements do not depend on who was first.
    pub async fn warm(&self) {
        for _ in 0..3 {
            self.is_signed_in().await;
        }
    }
}
