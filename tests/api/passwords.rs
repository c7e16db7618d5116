//! Changing and resetting passwords, and holding back guesses.

use crate::harness::{Client, Kind, TestServer};
use serde_json::json;
use std::time::Duration;

const NEW: &str = "copper heron walks at noon, twice";

impl Client {
    async fn change_password(&self, current: &str, new: &str) -> crate::harness::Reply {
        let input = json!({ "currentPassword": current, "newPassword": new });
        self.mutate("changePassword", input, "token csrfToken session { id }").await
    }

    async fn ask_reset(&self, email: &str) -> crate::harness::Reply {
        self.mutate("requestPasswordReset", json!({ "email": email }), "accepted").await
    }

    async fn reset(&self, token: &str, new: &str) -> crate::harness::Reply {
        self.mutate("resetPassword", json!({ "token": token, "newPassword": new }), "done").await
    }

    async fn sign_in(&self, password: &str) -> crate::harness::Reply {
        self.server.anonymous().try_login(&self.username, password, "TOKEN").await
    }
}

both! {
    /// ASVS: 6.2.2, 6.2.3, 6.3.7, 7.2.4, 7.4.3
    async fn a_changed_password_ends_every_old_session(server: TestServer) {
        let mut ada = server.user("ada").await;
        let other = server.anonymous().try_login("ada", &ada.password, "TOKEN").await.text_at("/login/token");
        let reply = ada.change_password(&ada.password, NEW).await.ok();
        let mut elsewhere = server.anonymous();
        (elsewhere.id, elsewhere.token) = (ada.id.clone(), Some(other));
        assert!(!elsewhere.is_signed_in().await, "another session goes on");
        assert!(!ada.is_signed_in().await, "the old token goes on");
        ada.token = Some(reply.text_at("/changePassword/token"));
        assert!(ada.is_signed_in().await);
        ada.sign_in(&ada.password).await.refused("UNAUTHENTICATED");
        ada.sign_in(NEW).await.ok();
        server.one_mail(&ada.email, "Your password has changed").await;
        assert_eq!(server.events("authn_password_change", "SUCCESS").await, 1);
    }

    /// ASVS: 6.2.3, 7.5.1
    async fn a_change_needs_the_password_at_hand_and_a_recent_sign_in(server: TestServer) {
        let ada = server.user("ada").await;
        let reply = ada.change_password("something else entirely", NEW).await.refused("BAD_USER_INPUT");
        assert!(reply.field("currentPassword").is_array());
        assert_eq!(server.events("authn_password_change_fail", "FAILURE").await, 1);
        let reply = ada.change_password(&ada.password, "password1").await.refused("BAD_USER_INPUT");
        assert!(reply.field("newPassword").is_array());
        let eight = ada.change_password(&ada.password, "xQ7v!2mK").await.refused("BAD_USER_INPUT");
        assert!(eight.field("newPassword").to_string().contains("15"));
        server.advance(Duration::from_secs(601));
        ada.change_password(&ada.password, NEW).await.refused("REAUTHENTICATION_REQUIRED");
        ada.sign_in(&ada.password).await.ok();
    }

    /// ASVS: 2.3.4, 6.4.1, 6.6.2, 7.4.3
    async fn a_reset_token_works_once_and_ends_every_session(server: TestServer) {
        let ada = server.user("ada").await;
        server.mail().await;
        let nobody = server.anonymous();
        nobody.ask_reset(&ada.email).await.ok();
        let token = server.one_mail(&ada.email, "Reset your password").await.token();
        nobody.reset(&token, "short").await.refused("BAD_USER_INPUT");
        nobody.reset(&token, NEW).await.ok();
        assert!(!ada.is_signed_in().await);
        ada.sign_in(NEW).await.ok();
        let again = nobody.reset(&token, &ada.password).await.refused("BAD_USER_INPUT");
        assert!(again.field("token").is_array());
        ada.sign_in(&ada.password).await.refused("UNAUTHENTICATED");
    }

    /// ASVS: 2.3.1, 6.4.1, 6.6.2
    async fn a_reset_token_holds_for_ten_minutes_for_one_account_and_one_purpose(server: TestServer) {
        let ada = server.register("ada").await;
        let bob = server.register("bob").await;
        let verify = server.one_mail(&ada.email, "Confirm your e-mail address").await.token();
        let nobody = server.anonymous();
        nobody.reset(&verify, NEW).await.refused("BAD_USER_INPUT");
        nobody.ask_reset(&ada.email).await.ok();
        let first = server.one_mail(&ada.email, "Reset your password").await.token();
        nobody.ask_reset(&ada.email).await.ok();
        let second = server.one_mail(&ada.email, "Reset your password").await.token();
        nobody.reset(&first, NEW).await.refused("BAD_USER_INPUT");
        server.advance(Duration::from_secs(600));
        nobody.reset(&second, NEW).await.refused("BAD_USER_INPUT");
        nobody.ask_reset(&bob.email).await.ok();
        let token = server.one_mail(&bob.email, "Reset your password").await.token();
        server.advance(Duration::from_millis(599_999));
        nobody.reset(&token, NEW).await.ok();
        ada.sign_in(NEW).await.refused("UNAUTHENTICATED");
        ada.sign_in(&ada.password).await.ok();
        bob.sign_in(NEW).await.ok();
        for bad in ["", "pce_", "pcm_AAAA", &token.replace("pce_", "pcs_")] {
            nobody.reset(bad, NEW).await.refused("BAD_USER_INPUT");
        }
    }

    /// The answer and the statements that are sent are the same; what differs the worker does.
    ///
    /// ASVS: 6.3.8
    async fn asking_for_a_reset_tells_nothing(server: TestServer) {
        let ada = server.register("ada").await;
        server.mail().await;
        let nobody = server.anonymous();
        let (known, known_work) = server.counting(nobody.ask_reset(&ada.email)).await;
        let (unknown, unknown_work) = server.counting(nobody.ask_reset("nobody@example.org")).await;
        assert_eq!(known.comparable(), unknown.comparable());
        assert_eq!(known_work, unknown_work);
        assert_eq!(server.mail().await.len(), 1);
        nobody.ask_reset("nonsense").await.refused("BAD_USER_INPUT");
    }

    /// ASVS: 6.3.1
    async fn guesses_are_held_back_and_then_the_owner_gets_in(server: TestServer) {
        let ada = server.register("ada").await;
        for _ in 0..10 {
            ada.sign_in("wrong").await.refused("UNAUTHENTICATED");
        }
        let held = ada.sign_in(&ada.password).await.refused("UNAUTHENTICATED");
        let wrong = server.anonymous().try_login("ghost", "wrong", "TOKEN").await;
        assert_eq!(held.comparable(), wrong.comparable());
        assert_eq!(server.events("authn_login_lock", "DENIED").await, 1);
        server.advance(Duration::from_secs(1));
        ada.sign_in(&ada.password).await.ok();
    }

    /// ASVS: 6.3.8
    async fn unknown_wrong_locked_and_deactivated_take_the_same_statements(server: TestServer) {
        server.register("ada").await;
        let bob = server.register("bob").await;
        server.sql("UPDATE users SET is_active = false WHERE username = 'bob'").await;
        let nobody = server.anonymous();
        let mut counts = Vec::new();
        for (who, password) in [("ghost", "x"), ("ghost@example.org", "x"), ("ada", "x"), ("bob", &bob.password)] {
            for _ in 0..8 {
                let (reply, count) = server.counting(nobody.try_login(who, password, "TOKEN")).await;
                reply.refused("UNAUTHENTICATED");
                counts.push(count);
            }
        }
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    }

    /// ASVS: 6.3.1, 6.3.5
    async fn a_known_device_is_not_locked_out_by_others(server: TestServer) {
        let ada = server.register("ada").await;
        let device = ada.sign_in_with(None).await;
        for _ in 0..20 {
            ada.sign_in("wrong").await.refused("UNAUTHENTICATED");
        }
        ada.sign_in(&ada.password).await.refused("UNAUTHENTICATED");
        let renewed = ada.sign_in_with(Some(&device)).await;
        // Another account's mark is no help.
        let bob = server.register("bob").await;
        let foreign = bob.sign_in_with(None).await;
        let input = json!({ "identifier": "ada", "password": ada.password, "transport": "TOKEN", "deviceToken": foreign });
        server.anonymous().mutate("login", input, "status").await.refused("UNAUTHENTICATED");
        // Known devices get no notice; new ones do.
        server.mail().await;
        ada.sign_in_with(Some(&renewed)).await;
        assert!(server.mail().await.is_empty());
        bob.sign_in_with(None).await;
        server.one_mail(&bob.email, "A new device signed in").await;
    }

    /// ASVS: 6.3.1
    async fn after_a_hundred_failures_only_a_reset_helps(server: TestServer) {
        let ada = server.register("ada").await;
        for _ in 0..100 {
            ada.sign_in("wrong").await.refused("UNAUTHENTICATED");
            server.advance(Duration::from_secs(900));
        }
        server.advance(Duration::from_secs(86_400 * 30));
        ada.sign_in(&ada.password).await.refused("UNAUTHENTICATED");
        assert_eq!(server.events("authn_login_lock", "ALERT").await, 1);
        server.mail().await;
        server.anonymous().ask_reset(&ada.email).await.ok();
        let token = server.one_mail(&ada.email, "Reset your password").await.token();
        server.anonymous().reset(&token, NEW).await.ok();
        ada.sign_in(NEW).await.ok();
    }

    /// ASVS: 6.3.1, 8.2.3
    async fn only_administrators_see_a_lock_and_lift_it(server: TestServer) {
        let ada = server.user("ada").await;
        let (mira, root) = (server.moderator().await, server.admin().await);
        for _ in 0..10 {
            ada.sign_in("wrong").await.refused("UNAUTHENTICATED");
        }
        let own = ada.query("{ me { id lockedUntil } }", json!({})).await.refused("FORBIDDEN");
        assert!(own.data("/me/lockedUntil").is_null());
        let query = "query($id: ID!) { user(id: $id) { lockedUntil } }";
        mira.query(query, json!({ "id": ada.id })).await.refused("FORBIDDEN");
        let seen = root.query(query, json!({ "id": ada.id })).await.ok();
        assert_eq!(seen.data("/user/lockedUntil"), "2026-01-01T00:00:01.000Z");
        root.mutate("unlockUser", json!({ "id": ada.id }), "user { lockedUntil }").await.ok();
        ada.sign_in(&ada.password).await.ok();
    }
}

impl Client {
    /// Signs in from a device and returns its mark.
    async fn sign_in_with(&self, device: Option<&str>) -> String {
        let input = json!({
            "identifier": self.username, "password": self.password, "transport": "TOKEN", "deviceToken": device
        });
        let reply = self.server.anonymous().mutate("login", input, "deviceToken").await.ok();
        reply.text_at("/login/deviceToken")
    }
}

both! {
    /// The cookie is Secure and HttpOnly, and stays when the person signs out.
    ///
    /// ASVS: 3.3.1, 3.3.4
    async fn a_browser_keeps_its_mark_in_a_cookie(kind: Kind) {
        let server = TestServer::start(kind).await;
        let ada = server.register("ada").await;
        let reply = server.anonymous().try_login("ada", &ada.password, "COOKIE").await.ok();
        let cookies: Vec<_> =
            reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        let device = cookies.iter().find(|cookie| cookie.starts_with("__Host-device=pcd_")).unwrap();
        assert!(device.contains("; Secure; HttpOnly; SameSite=Strict"));
        server.mail().await;
        let browser = server.anonymous();
        let body = json!({
            "query": "mutation($i: LoginInput!) { login(input: $i) { status } }",
            "variables": { "i": { "identifier": "ada", "password": ada.password } }
        });
        let request = browser
            .request(reqwest::Method::POST, "/graphql")
            .header("content-type", "application/json")
            .header("cookie", device.split(';').next().unwrap())
            .body(body.to_string());
        browser.send(request).await.ok();
        assert!(server.mail().await.is_empty());
    }

    /// An attacker at another address uses up the tries that the limits allow for the name; with the mark
    /// left out of the key the owner is refused as well.
    ///
    /// ASVS: 6.3.1
    async fn the_limits_keep_a_share_for_known_devices(kind: Kind) {
        let settings = [("PORTCULLIS_LIMIT_LOGIN", "3"), ("PORTCULLIS_TRUSTED_PROXIES", "127.0.0.1/32")];
        let server = TestServer::with(kind, &settings).await;
        let ada = server.register("ada").await;
        let mark = ada.sign_in_with(None).await;
        let try_from = async |address: &str, mark: Option<&str>, password: &str| {
            let client = server.anonymous();
            let body = json!({
                "query": "mutation($i: LoginInput!) { login(input: $i) { status } }",
                "variables": { "i": { "identifier": "ada", "password": password, "transport": "TOKEN" } }
            });
            let mut request = client
                .request(reqwest::Method::POST, "/graphql")
                .header("content-type", "application/json")
                .header("x-forwarded-for", address)
                .body(body.to_string());
            if let Some(mark) = mark {
                request = request.header("x-device-token", mark);
            }
            client.send(request).await
        };
        for address in ["192.0.2.1", "192.0.2.2"] {
            try_from(address, None, "wrong").await.refused("UNAUTHENTICATED");
        }
        try_from("192.0.2.3", None, "wrong").await.refused("RATE_LIMITED");
        try_from("198.51.100.7", None, &ada.password).await.refused("RATE_LIMITED");
        try_from("198.51.100.7", Some("pcd_made_up"), &ada.password).await.refused("RATE_LIMITED");
        try_from("198.51.100.7", Some(&mark), &ada.password).await.ok();
    }
}
