//! Sessions: both transports, expiry, ending.

use crate::harness::{Client, Kind, TestServer, settled};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Uses the session and waits until the use has been noted.
async fn used(client: &Client) -> bool {
    let known = client.is_signed_in().await;
    settled(&client.server).await;
    known
}

both! {
    /// ASVS: 7.3.1
    async fn an_unused_session_ends_after_an_hour(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        server.advance(MINUTE * 60 - Duration::from_millis(1));
        assert!(used(&ada).await);
        server.advance(Duration::from_millis(1));
        assert!(ada.is_signed_in().await, "use extends it");
        assert!(!bob.is_signed_in().await);
        bob.query("{ me { id } }", json!({})).await.refused("UNAUTHENTICATED");
    }

    /// ASVS: 7.3.2
    async fn a_session_ends_after_a_day_however_much_it_is_used(server: TestServer) {
        let ada = server.user("ada").await;
        for _ in 0..35 {
            server.advance(MINUTE * 40);
            assert!(used(&ada).await);
        }
        server.advance(MINUTE * 40 - Duration::from_millis(1));
        assert!(used(&ada).await);
        server.advance(Duration::from_millis(1));
        assert!(!ada.is_signed_in().await);
    }

    async fn both_limits_can_be_set(kind: Kind) {
        let settings = [("PORTCULLIS_SESSION_IDLE_MINUTES", "2"), ("PORTCULLIS_SESSION_ABSOLUTE_MINUTES", "3")];
        let server = TestServer::with(kind, &settings).await;
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        server.advance(MINUTE * 3 / 2);
        assert!(used(&ada).await);
        server.advance(MINUTE / 2);
        assert!(used(&ada).await);
        assert!(!bob.is_signed_in().await);
        server.advance(MINUTE);
        assert!(!ada.is_signed_in().await);
    }

    /// ASVS: 3.3.1, 3.3.2, 3.3.3, 3.3.4
    async fn the_cookie_is_bound_to_this_host_and_out_of_reach_for_scripts(server: TestServer) {
        let ada = server.register("ada").await;
        let reply = server.anonymous().try_login("ada", &ada.password, "COOKIE").await.ok();
        assert!(reply.data("/login/token").is_null(), "a cookie session shows no token");
        let cookie = reply.header("set-cookie");
        assert!(cookie.starts_with("__Host-session="), "{cookie}");
        for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=86400"] {
            assert!(cookie.split("; ").any(|p| p == part), "{part} in {cookie}");
        }
        assert!(!cookie.contains("Domain"));
        let token = server.anonymous().try_login("ada", &ada.password, "TOKEN").await.ok();
        assert_eq!(token.header("set-cookie"), "", "a token session sets no cookie");
        assert_eq!(token.header("cache-control"), "no-store");
    }

    /// ASVS: 7.2.3, 7.2.4, 7.2.2
    async fn every_sign_in_makes_a_new_token_and_the_database_holds_none(server: TestServer) {
        let mut ada = server.user("ada").await;
        let first = ada.token.clone().unwrap();
        // A planted cookie is not adopted.
        let planted = server.anonymous();
        planted.set_cookie(Some(first.clone()));
        planted.try_login("ada", &ada.password, "COOKIE").await.ok();
        assert_ne!(planted.cookie().unwrap(), first);
        ada.login().await;
        assert_ne!(ada.token.clone().unwrap(), first);
        let stored = server.dump("sessions").await;
        let stored = stored + &server.dump("audit_events").await;
        for token in [&first, ada.token.as_ref().unwrap()] {
            assert!(!stored.contains(token.as_str()));
            assert!(!stored.to_lowercase().contains(&hex::encode(token)));
            let secret = token.split_once('_').unwrap().1;
            assert!(secret.len() >= 43 && !stored.contains(secret));
        }
    }

    /// ASVS: 7.4.1
    async fn signing_out_ends_the_session_for_good(server: TestServer) {
        let ada = server.user("ada").await;
        let mut other = server.anonymous();
        (other.username, other.password) = (ada.username.clone(), ada.password.clone());
        other.login().await;
        ada.query("mutation { logout { done } }", json!({})).await.ok();
        ada.query("{ me { id } }", json!({})).await.refused("UNAUTHENTICATED");
        assert!(other.is_signed_in().await, "other sessions go on");
        assert_eq!(server.events("session_end", "SUCCESS").await, 1);

        let bob = server.browser("bob").await;
        let value = bob.cookie().unwrap();
        let reply = bob.query("mutation { logout { done } }", json!({})).await.ok();
        assert!(reply.header("set-cookie").contains("Max-Age=0"));
        assert!(reply.header("clear-site-data").contains("\"storage\""));
        assert_eq!(bob.cookie(), None, "the browser forgets it");
        bob.set_cookie(Some(value));
        assert!(!bob.is_signed_in().await, "and the server, too");
    }

    /// ASVS: 7.1.2
    async fn the_eleventh_session_ends_the_oldest(server: TestServer) {
        let mut first = server.user("ada").await;
        let mut tokens = vec![first.token.clone().unwrap()];
        for _ in 0..10 {
            server.advance(Duration::from_millis(5));
            first.login().await;
            tokens.push(first.token.clone().unwrap());
        }
        let mut alive = Vec::new();
        for token in tokens {
            first.token = Some(token);
            alive.push(first.is_signed_in().await);
        }
        assert_eq!(alive, [&[false][..], &[true; 10]].concat());
    }

    /// ASVS: 7.2.1, 7.2.2
    async fn a_wrong_token_is_refused_and_a_wrong_cookie_is_nobody(server: TestServer) {
        let ada = server.user("ada").await;
        let bob = server.browser("bob").await;
        let good = ada.token.clone().unwrap();
        let (cookie, last) = (bob.cookie().unwrap(), good.chars().last().unwrap());
        let other_end = format!("{}{}", &good[..good.len() - 1], if last == 'A' { 'B' } else { 'A' });
        let long = "x".repeat(4000);
        for token in ["", "x", &good[1..], &good[..good.len() - 1], &other_end, &good.to_uppercase(), &long, "pst_AAAA", "💥", &cookie] {
            let mut client = server.anonymous();
            client.token = token.is_ascii().then(|| token.to_owned());
            let request = client.request(reqwest::Method::POST, "/graphql");
            let request = if token.is_ascii() { request } else { request.header("authorization", token.as_bytes()) };
            let body = json!({ "query": "{ me { id } }" });
            let reply = client.send(request.json(&body).header("accept", "application/graphql-response+json")).await;
            assert_eq!((reply.status, reply.code()), (401, "UNAUTHENTICATED"), "{token}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            assert_eq!(reply.json["errors"].as_array().map(Vec::len), Some(1));
            assert!(reply.json.get("data").is_none());
            client.token = None;
            if token.is_ascii() && token != cookie {
                client.set_cookie(Some(token.to_owned()));
                assert!(client.query("{ me { id } }", json!({})).await.ok().data("/me").is_null(), "{token}");
            }
        }
        // A token session's token is none as a cookie either: it would come without CSRF proof.
        let client = server.anonymous();
        client.set_cookie(Some(good));
        assert!(client.query("{ me { id } }", json!({})).await.ok().data("/me").is_null());
        for scheme in ["Basic YTpi", "Bearer", "Token x"] {
            let request = server.anonymous().request(reqwest::Method::POST, "/graphql").header("authorization", scheme);
            let reply = server.anonymous().send(request.json(&json!({ "query": "{ me { id } }" }))).await;
            assert_eq!(reply.status, 401, "{scheme}");
        }
    }

    /// ASVS: 15.3.7
    async fn one_credential_at_a_time(server: TestServer) {
        let ada = server.user("ada").await;
        let bob = server.browser("bob").await;
        ada.set_cookie(bob.cookie());
        let reply = ada.query("{ me { id } }", json!({})).await.refused("BAD_USER_INPUT");
        assert_eq!(reply.status, 400);
        // Two session cookies: somebody may have planted one.
        let two = format!("{}; __Host-session={}", bob.cookie().unwrap(), bob.cookie().unwrap());
        bob.set_cookie(Some(two));
        assert!(bob.query("{ me { id } }", json!({})).await.ok().data("/me").is_null());
        // Two Authorization headers.
        ada.set_cookie(None);
        let request = ada.request(reqwest::Method::POST, "/graphql").header("authorization", "Bearer x");
        let reply = ada.send(request.json(&json!({ "query": "{ me { id } }" }))).await;
        assert_eq!((reply.status, reply.code()), (400, "BAD_USER_INPUT"));
    }

    /// ASVS: 3.5.1, 16.3.3
    async fn a_change_by_cookie_needs_the_session_s_own_csrf_token(server: TestServer) {
        let mut ada = server.browser("ada").await;
        let bob = server.browser("bob").await;
        let good = ada.csrf.take();
        let input = json!({ "title": "t", "body": "b" });
        let garbled = good.as_ref().map(|token| token.chars().rev().collect::<String>());
        for token in [None, Some(String::new()), Some("x".to_owned()), garbled, bob.csrf.clone()] {
            ada.csrf = token;
            let reply = ada.mutate("createPost", input.clone(), "post { id }").await.refused("CSRF_FAILED");
            assert_eq!(reply.status, 403);
            assert!(reply.json.get("data").is_none());
            assert!(ada.is_signed_in().await, "queries need none");
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 0);
        assert_eq!(server.events("malicious_csrf", "DENIED").await, 5);
        ada.csrf = good;
        ada.mutate("createPost", input.clone(), "post { id }").await.ok();
        // A page that was opened anew asks for one.
        let reply = ada.get("/csrf").await;
        ada.csrf = Some(reply.json["csrfToken"].as_str().unwrap().to_owned());
        ada.mutate("createPost", input.clone(), "post { id }").await.ok();
        assert_eq!(server.anonymous().get("/csrf").await.status, 401);
        // A Bearer token is never sent by itself, so it needs no proof.
        server.user("cleo").await.mutate("createPost", input, "post { id }").await.ok();
    }
}
