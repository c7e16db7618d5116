//! Administration: who may do what to whom, the guard rails, and races for the last administrator.

use crate::harness::{Client, TestServer};
use portcullis::admin::{self, By};
use portcullis::audit::Origin;
use serde_json::{Value, json};
use std::time::Duration;

/// Every mutation of the slice: its name, what it takes besides the id, whether it is dangerous.
fn mutations() -> Vec<(&'static str, Value, bool)> {
    vec![
        ("setUserRole", json!({ "role": "MODERATOR", "reason": "promoted" }), true),
        ("setUserActive", json!({ "active": false, "reason": "left" }), true),
        ("unlockUser", json!({}), false),
        ("revokeUserSessions", json!({}), false),
        ("deleteUser", json!({ "reason": "asked for it" }), true),
    ]
}

async fn act(client: &Client, mutation: &str, extra: &Value, id: &str) -> crate::harness::Reply {
    let mut input = extra.clone();
    input["id"] = json!(id);
    let selection = if mutation == "deleteUser" { "deletedId" } else { "user { id role isActive }" };
    client.mutate(mutation, input, selection).await
}

/// Somebody with the role, signed in.
async fn with_role(server: &TestServer, name: &str, role: &str) -> Client {
    let mut client = server.register(name).await;
    server.sql(&format!("UPDATE users SET role = '{role}' WHERE username_key = '{name}'")).await;
    client.login().await;
    client
}

async fn active_admins(server: &TestServer) -> i64 {
    server.number("SELECT COUNT(*) FROM users WHERE role = 'ADMIN' AND is_active").await
}

both! {
    /// ASVS: 8.2.1, 8.3.1
    async fn every_mutation_by_every_role_on_self_other_and_an_administrator(server: TestServer) {
        let root = server.admin().await;
        let actors = [
            ("nobody", server.anonymous()),
            ("user", server.user("ada").await),
            ("moderator", server.moderator().await),
        ];
        let victim = server.user("victim").await;
        for (mutation, extra, _) in mutations() {
            for (role, actor) in &actors {
                let own = if actor.id.is_empty() { &victim.id } else { &actor.id };
                for target in [own, &victim.id, &root.id] {
                    let expected = if *role == "nobody" { "UNAUTHENTICATED" } else { "FORBIDDEN" };
                    let before = server.events("authz_fail", "DENIED").await;
                    let reply = act(actor, mutation, &extra, target).await.refused(expected);
                    assert!(reply.json["data"][mutation].is_null(), "{mutation} by {role}");
                    assert_eq!(server.events("authz_fail", "DENIED").await, before + 1, "{mutation} by {role}");
                }
            }
        }
        assert!(victim.is_signed_in().await);

        // The administrator on herself: the only active one.
        for (mutation, extra, dangerous) in mutations() {
            if mutation == "revokeUserSessions" {
                continue;
            }
            let reply = act(&root, mutation, &extra, &root.id).await;
            if dangerous { reply.refused("CONFLICT") } else { reply.ok() };
        }
        assert_eq!(active_admins(&server).await, 1);

        // The administrator on others, and on what there is not.
        for (mutation, extra, _) in mutations() {
            let other = server.user(&format!("other-{}", mutation.to_lowercase())).await;
            let events = server.all_events().await;
            act(&root, mutation, &extra, &other.id).await.ok();
            assert_eq!(server.all_events().await, events + 1, "{mutation} leaves exactly one event");
            let missing = format!("usr_{}", "0".repeat(32));
            act(&root, mutation, &extra, &missing).await.refused("NOT_FOUND");
            act(&root, mutation, &extra, "post_1").await.refused("BAD_USER_INPUT");
        }
        act(&root, "revokeUserSessions", &json!({}), &root.id).await.ok();
        assert!(!root.is_signed_in().await);
    }

    /// ASVS: 8.3.1
    async fn the_last_active_administrator_stays_whoever_asks(server: TestServer) {
        let root = server.admin().await;
        let retired = with_role(&server, "retired", "ADMIN").await;
        act(&root, "setUserActive", &json!({ "active": false, "reason": "retired" }), &retired.id).await.ok();
        // By the command line nobody is "oneself": the rule about the last one alone holds.
        let (app, origin) = (&server.app, Origin::default());
        let id = root.id.parse().unwrap();
        let user = entity::user::Role::User;
        for outcome in [
            admin::set_role(app, &origin, By::Operator, id, user, "x").await.map(|_| ()),
            admin::set_active(app, &origin, By::Operator, id, false, "x").await.map(|_| ()),
            admin::delete(app, &origin, By::Operator, id, "x").await,
        ] {
            assert_eq!(outcome.unwrap_err().code(), "CONFLICT");
        }
        // Another administrator who is not the last may be.
        act(&root, "deleteUser", &json!({ "reason": "gone" }), &retired.id).await.ok();
        assert_eq!(active_admins(&server).await, 1);
    }

    /// ASVS: 2.3.4, 15.4.2
    async fn two_racing_administrators_leave_one(server: TestServer) {
        for (round, (mutation, extra, _)) in mutations().into_iter().filter(|m| m.2).cycle().take(9).enumerate() {
            server.sql("UPDATE users SET role = 'USER' WHERE role = 'ADMIN'").await;
            let a = with_role(&server, &format!("anna-{round}"), "ADMIN").await;
            let b = with_role(&server, &format!("bert-{round}"), "ADMIN").await;
            assert_eq!(active_admins(&server).await, 2);
            let (first, second) =
                tokio::join!(act(&a, mutation, &extra, &b.id), act(&b, mutation, &extra, &a.id));
            assert_eq!(active_admins(&server).await, 1, "{mutation}: {} {}", first.text, second.text);
            let refused = [first.code(), second.code()].into_iter().filter(|code| !code.is_empty()).count();
            assert_eq!(refused, 1, "{mutation}: {} {}", first.text, second.text);
        }
    }

    /// ASVS: 7.5.1, 7.5.3
    async fn dangerous_mutations_need_a_recent_sign_in_and_a_reason(server: TestServer) {
        let root = server.admin().await;
        let ada = server.user("ada").await;
        for (mutation, extra, dangerous) in mutations() {
            if !dangerous {
                continue;
            }
            for (reason, good) in [("", false), (" ", false), ("x\u{202e}y", false), (&*"r".repeat(501), false), (&*"r".repeat(500), true)] {
                let mut extra = extra.clone();
                extra["reason"] = json!(reason);
                if mutation == "deleteUser" && good {
                    continue;
                }
                let reply = act(&root, mutation, &extra, &ada.id).await;
                if good { reply.ok() } else { reply.refused("BAD_USER_INPUT") };
            }
        }
        server.advance(Duration::from_secs(11 * 60));
        for (mutation, extra, dangerous) in mutations() {
            let reply = act(&root, mutation, &extra, &ada.id).await;
            if dangerous { reply.refused("REAUTHENTICATION_REQUIRED") } else { reply.ok() };
        }
    }

    /// ASVS: 7.4.2, 8.3.2
    async fn a_change_takes_hold_on_the_very_next_request(server: TestServer) {
        let root = server.admin().await;
        let mut ada = server.user("ada").await;
        let mut mira = server.moderator().await;
        assert!(ada.is_signed_in().await);
        act(&root, "setUserActive", &json!({ "active": false, "reason": "left" }), &ada.id).await.ok();
        assert!(!ada.is_signed_in().await);
        server.anonymous().try_login("ada", &ada.password, "TOKEN").await.refused("UNAUTHENTICATED");
        act(&root, "setUserActive", &json!({ "active": true, "reason": "back" }), &ada.id).await.ok();
        ada.login().await;

        let users = "{ users { edges { node { id } } } }";
        mira.query(users, json!({})).await.ok();
        act(&root, "setUserRole", &json!({ "role": "USER", "reason": "moved" }), &mira.id).await.ok();
        mira.query(users, json!({})).await.refused("UNAUTHENTICATED");
        mira.login().await;
        mira.query(users, json!({})).await.refused("FORBIDDEN");
        act(&root, "deleteUser", &json!({ "reason": "asked" }), &ada.id).await.ok();
        assert!(!ada.is_signed_in().await);
        assert_eq!(server.number("SELECT COUNT(*) FROM users WHERE username_key = 'ada'").await, 0);
    }

    /// Mail that waits for a deleted person is not sent, and their address does not stay in the outbox.
    async fn deletion_forgets_the_mail_that_waits(server: TestServer) {
        let root = server.admin().await;
        let others = server.number("SELECT COUNT(*) FROM outbox").await;
        let ada = server.user("ada").await;
        assert!(server.number("SELECT COUNT(*) FROM outbox").await > others);
        act(&root, "deleteUser", &json!({ "reason": "asked" }), &ada.id).await.ok();
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox").await, others);
    }

    /// ASVS: 16.2.1, 16.3.3
    async fn each_is_recorded_with_before_and_after(server: TestServer) {
        let root = server.admin().await;
        let ada = server.user("ada").await;
        act(&root, "setUserRole", &json!({ "role": "MODERATOR", "reason": "well deserved" }), &ada.id).await.ok();
        let query = "query($id: String) { auditEvents(filter: { eventTypes: [\"authz_change\"], resourceType: \"user\", resourceId: $id }) \
                     { edges { node { action status details actor { username } resourceId } } } }";
        let reply = root.query(query, json!({ "id": ada.id })).await.ok();
        let node = reply.data("/auditEvents/edges/0/node");
        assert_eq!(node["action"], "setUserRole");
        assert_eq!(node["actor"]["username"], "root");
        assert_eq!(node["details"]["before"]["role"], "USER");
        assert_eq!(node["details"]["after"]["role"], "MODERATOR");
        assert_eq!(node["details"]["reason"], "well deserved");
    }

    /// ASVS: 7.4.5, 7.5.2
    async fn people_see_and_end_their_own_sessions_and_nobody_elses(server: TestServer) {
        let ada = server.user("ada").await;
        let mut second = server.anonymous();
        (second.username, second.password) = (ada.username.clone(), ada.password.clone());
        second.login().await;
        let eve = server.user("eve").await;
        let sessions = "{ me { id sessions { id current ipAddress mfa } } }";
        let mine = ada.query(sessions, json!({})).await.ok();
        let list = mine.data("/me/sessions").as_array().unwrap().clone();
        assert_eq!(list.len(), 2);
        assert_eq!(list.iter().filter(|session| session["current"] == true).count(), 1);
        assert_eq!(list[0]["ipAddress"], "127.0.0.1");
        let other = list.iter().find(|session| session["current"] == false).unwrap()["id"].clone();

        eve.mutate("revokeSession", json!({ "id": other }), "revokedId").await.refused("NOT_FOUND");
        assert!(second.is_signed_in().await);
        ada.mutate("revokeSession", json!({ "id": other }), "revokedId").await.ok();
        assert!(!second.is_signed_in().await);
        second.login().await;
        let reply = ada.query("mutation { revokeOtherSessions { revoked } }", json!({})).await.ok();
        assert_eq!(reply.data("/revokeOtherSessions/revoked"), 1);
        assert!(!second.is_signed_in().await);
        assert!(ada.is_signed_in().await && eve.is_signed_in().await);

        // Another person's are for ADMIN_ACCESS.
        let query = "query($id: ID!) { user(id: $id) { sessions { id } lockedUntil } }";
        let mira = server.moderator().await;
        mira.query(query, json!({ "id": ada.id })).await.refused("FORBIDDEN");
        let root = server.admin().await;
        let reply = root.query(query, json!({ "id": ada.id })).await.ok();
        assert_eq!(reply.data("/user/sessions").as_array().unwrap().len(), 1);
    }
}
