//! Tokens for APIs: refresh tokens that are good once, and signed access tokens.

use crate::harness::{Client, TestServer};
use serde_json::{Value, json};
use std::time::Duration;

const TOKENS: &str = "token accessToken accessTokenExpiresAt refreshToken";

/// Signs in by token and gives the whole payload.
async fn sign_in(client: &Client) -> Value {
    let input = json!({ "identifier": client.username, "password": client.password, "transport": "TOKEN" });
    client.server.anonymous().mutate("login", input, TOKENS).await.ok().data("/login").clone()
}

async fn refresh(server: &TestServer, token: &Value) -> crate::harness::Reply {
    server.anonymous().mutate("refreshSession", json!({ "refreshToken": token }), TOKENS).await
}

/// Who the server takes the bearer of `token` for.
async fn bearer(server: &TestServer, token: &str) -> crate::harness::Reply {
    let mut client = server.anonymous();
    client.token = Some(token.to_owned());
    client.query("{ me { username } }", json!({})).await
}

both! {
    /// ASVS: 7.2.4, 10.4.5
    async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session(server: TestServer) {
        let ada = server.register("ada").await;
        let first = sign_in(&ada).await;
        let second = refresh(&server, &first["refreshToken"]).await.ok().data("/refreshSession").clone();
        assert_ne!(first["token"], second["token"]);
        assert_ne!(first["refreshToken"], second["refreshToken"]);
        assert_eq!(bearer(&server, first["token"].as_str().unwrap()).await.status, 401);
        bearer(&server, second["token"].as_str().unwrap()).await.ok();
        // A lost answer: within ten seconds the same pair, not a second one.
        let again = refresh(&server, &first["refreshToken"]).await.ok().data("/refreshSession").clone();
        assert_eq!(again["refreshToken"], second["refreshToken"]);
        assert_eq!(again["token"], second["token"]);
        // The thief's copy, later: the family ends.
        server.advance(Duration::from_secs(11));
        refresh(&server, &first["refreshToken"]).await.refused("UNAUTHENTICATED");
        refresh(&server, &second["refreshToken"]).await.refused("UNAUTHENTICATED");
        assert_eq!(bearer(&server, second["token"].as_str().unwrap()).await.status, 401);
        assert_eq!(server.events("authn_token_reuse", "ALERT").await, 1);
    }

    /// ASVS: 10.4.5, 15.4.2
    async fn two_uses_at_once_give_one_successor(server: TestServer) {
        let ada = server.register("ada").await;
        let first = sign_in(&ada).await;
        let uses = (0..8).map(|_| refresh(&server, &first["refreshToken"]));
        let replies = futures_util::future::join_all(uses).await;
        let mut successors: Vec<String> = replies.iter().map(|r| r.text_at("/refreshSession/refreshToken")).collect();
        successors.dedup();
        assert_eq!(successors.len(), 1, "{successors:?}");
    }

    /// ASVS: 7.4.1, 9.2.1
    async fn an_access_token_is_accepted_until_it_expires_or_its_session_ends(server: TestServer) {
        let ada = server.register("ada").await;
        let tokens = sign_in(&ada).await;
        let access = tokens["accessToken"].as_str().unwrap();
        for _ in 0..3 {
            assert_eq!(bearer(&server, access).await.ok().data("/me/username"), "ada");
        }
        let mut me = server.anonymous();
        me.token = Some(tokens["token"].as_str().unwrap().to_owned());
        me.query("mutation { logout { done } }", json!({})).await.ok();
        assert_eq!(bearer(&server, access).await.status, 401);
        let other = sign_in(&ada).await;
        let access = other["accessToken"].as_str().unwrap();
        bearer(&server, access).await.ok();
        server.advance(Duration::from_secs(901));
        assert_eq!(bearer(&server, access).await.status, 401);
        bearer(&server, other["token"].as_str().unwrap()).await.ok();
    }

    /// ASVS: 9.1.1, 9.1.2, 9.2.2
    async fn a_token_of_another_kind_or_maker_is_refused(server: TestServer) {
        let ada = server.register("ada").await;
        let tokens = sign_in(&ada).await;
        let access = tokens["accessToken"].as_str().unwrap();
        let parts: Vec<&str> = access.split('.').collect();
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{}.", parts[1]);
        let stripped = format!("{}.{}.", parts[0], parts[1]);
        let refresh_token = tokens["refreshToken"].as_str().unwrap();
        for wrong in [none.as_str(), stripped.as_str(), refresh_token, "a.b.c", "..", "."] {
            assert_eq!(bearer(&server, wrong).await.status, 401, "{wrong}");
        }
        refresh(&server, &tokens["token"]).await.refused("UNAUTHENTICATED");
        refresh(&server, &tokens["accessToken"]).await.refused("UNAUTHENTICATED");
    }

    async fn a_cookie_session_is_refreshed_without_input(server: TestServer) {
        let ada = server.browser("ada").await;
        let before = ada.cookie();
        let reply = ada.query("mutation { refreshSession { status csrfToken token refreshToken } }", json!({})).await.ok();
        assert!(reply.data("/refreshSession/token").is_null());
        assert!(reply.data("/refreshSession/refreshToken").is_null());
        assert_ne!(ada.cookie(), before);
        assert!(ada.is_signed_in().await);
    }

    async fn a_password_change_voids_the_refresh_token_of_before(server: TestServer) {
        let ada = server.register("ada").await;
        let tokens = sign_in(&ada).await;
        let mut me = server.anonymous();
        me.token = Some(tokens["token"].as_str().unwrap().to_owned());
        let input = json!({ "currentPassword": ada.password, "newPassword": "seven quiet lanterns over the old sea" });
        let changed = me.mutate("changePassword", input, "token refreshToken").await.ok();
        refresh(&server, &tokens["refreshToken"]).await.refused("UNAUTHENTICATED");
        refresh(&server, changed.data("/changePassword/refreshToken")).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_for_verifying_are_published() {
    let server = TestServer::start(crate::harness::Kind::Sqlite).await;
    let reply = server.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!(reply.status, 200);
    let key = &reply.json["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()),
        (Some("OKP"), Some("Ed25519"), Some("EdDSA"))
    );
    assert!(key["d"].is_null(), "the private key is published");
}
