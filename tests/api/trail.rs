//! What the trail says: every change and every refusal is in it, and administrators find it there.

use crate::harness::{Client, TestServer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const EVENTS: &str = "query($first: Int, $after: String, $filter: AuditFilter) { auditEvents(first: $first, after: $after, filter: $filter) { edges { node { id seq at eventType action status actor { username } actorId ipAddress userAgent sessionId requestId resourceType resourceId details } } pageInfo { hasNextPage endCursor } } }";

async fn events(admin: &Client, filter: Value) -> Vec<Value> {
    let reply = admin.query(EVENTS, json!({ "first": 100, "filter": filter })).await.ok();
    reply.data("/auditEvents/edges").as_array().unwrap().iter().map(|edge| edge["node"].clone()).collect()
}

both! {
    /// ASVS: 16.2.1, 16.3.1, 16.3.2, 16.3.3
    async fn every_change_says_who_what_where_and_under_which_request(server: TestServer) {
        let admin = server.admin().await;
        let ada = server.user("ada").await;
        let id = ada.create_post("one", "PUBLIC").await;
        ada.mutate("updatePost", json!({ "id": id, "title": "two" }), "post { id }").await.ok();
        let last = ada.mutate("deletePost", json!({ "id": id }), "deletedId").await.ok();
        let request = ada.request(reqwest::Method::POST, "/graphql");
        let out = ada.send(request.json(&json!({ "query": "mutation { logout { done } }" }))).await.ok();

        let found = events(&admin, json!({ "actorId": ada.id })).await;
        let summary: Vec<String> = found.iter().map(|event| {
            format!("{} {} {} {}", event["eventType"].as_str().unwrap(), event["action"].as_str().unwrap(), event["status"].as_str().unwrap(), event["resourceType"].as_str().unwrap())
        }).collect();
        assert_eq!(summary, [
            "session_end logout SUCCESS session",
            "sensitive_delete deletePost SUCCESS post",
            "sensitive_update updatePost SUCCESS post",
            "sensitive_create createPost SUCCESS post",
            "authn_login_success login SUCCESS session",
            "user_created register SUCCESS user",
        ]);
        for event in &found {
            assert_eq!(event["actor"]["username"], "ada");
            assert_eq!(event["actorId"], ada.id.as_str());
            assert_eq!(event["ipAddress"], "127.0.0.1");
            assert_eq!(event["at"], "2026-01-01T00:00:00.000Z");
        }
        assert_eq!(found[0]["userAgent"], "portcullis-tests/1");
        assert_eq!(found[0]["requestId"], out.header("x-request-id"));
        assert_eq!(found[1]["requestId"], last.header("x-request-id"));
        assert_eq!(found[1]["resourceId"], id.as_str());
        let sessions: BTreeSet<&str> = found[..5].iter().map(|event| event["sessionId"].as_str().unwrap()).collect();
        assert_eq!(sessions.len(), 1, "all in the session that the sign-in opened");
        assert_eq!(found[4]["details"], json!({ "factors": ["password"] }));
        assert_eq!(found[5]["resourceId"], ada.id.as_str());
    }

    /// ASVS: 16.3.1, 16.3.2
    async fn refusals_are_recorded_before_the_answer_leaves(server: TestServer) {
        let admin = server.admin().await;
        let ada = server.user("ada").await;
        let anyone = server.anonymous();
        let before = server.all_events().await;
        let recorded = async |kind: &str, status: &str, action: &str| {
            let found = events(&admin, json!({ "eventTypes": [kind], "status": status })).await;
            assert_eq!(found[0]["action"], action);
            found[0].clone()
        };
        ada.query("{ users { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        let event = recorded("authz_fail", "DENIED", "Query.users").await;
        assert_eq!((&event["actor"]["username"], &event["details"]["code"]), (&json!("ada"), &json!("FORBIDDEN")));
        ada.query("{ auditEvents { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        recorded("authz_fail", "DENIED", "Query.auditEvents").await;
        let input = json!({ "title": "t", "body": "b" });
        let refused = anyone.mutate("createPost", input, "post { id }").await.refused("UNAUTHENTICATED");
        let event = recorded("authz_fail", "DENIED", "Mutation.createPost").await;
        assert_eq!((&event["actorId"], &event["details"]["code"]), (&Value::Null, &json!("UNAUTHENTICATED")));
        assert_eq!(event["requestId"], refused.header("x-request-id"));
        anyone.try_login("ada", "wrong password, long enough", "TOKEN").await.refused("UNAUTHENTICATED");
        let event = recorded("authn_login_fail", "FAILURE", "login").await;
        assert_eq!((&event["resourceId"], &event["details"]["reason"]), (&json!(ada.id), &json!("wrong password")));
        anyone.try_login("nobody", "wrong password, long enough", "TOKEN").await.refused("UNAUTHENTICATED");
        assert!(recorded("authn_login_fail", "FAILURE", "login").await["resourceId"].is_null());
        let mut stale = server.anonymous();
        stale.token = Some("garbled".to_owned());
        stale.query("{ me { id } }", json!({})).await.refused("UNAUTHENTICATED");
        recorded("authz_fail", "DENIED", "graphql").await;
        // A field of a row that is not theirs: asked of many rows, recorded once.
        let many = server.all_events().await;
        for n in 0..3 {
            ada.create_post(&format!("post {n}"), "PUBLIC").await;
        }
        let reply = anyone.query("{ posts { edges { node { title author { username email } } } } }", json!({})).await;
        assert_eq!(reply.codes(), ["UNAUTHENTICATED"; 3]);
        assert_eq!(reply.data("/posts/edges/0/node/author"), &json!({ "username": "ada", "email": null }));
        assert_eq!(server.all_events().await - many, 4, "three posts and one refusal");
        assert!(before > 0);
    }

    async fn events_are_found_by_each_filter_and_by_page(server: TestServer) {
        let admin = server.admin().await;
        let ada = server.user("ada").await;
        server.advance(Duration::from_secs(1800));
        let mut bob = server.register("bob").await;
        bob.login().await;
        let id = bob.create_post("post", "PUBLIC").await;
        let one_hour = "2026-01-01T00:30:00Z";
        let count = async |filter: Value| events(&admin, filter).await.len();
        assert_eq!(count(json!({ "eventTypes": ["user_created"] })).await, 3);
        assert_eq!(count(json!({ "eventTypes": ["user_created", "authn_login_success"] })).await, 6);
        assert_eq!(count(json!({ "eventTypes": ["no_such_event"] })).await, 0);
        assert_eq!(count(json!({ "actorId": bob.id })).await, 3);
        assert_eq!(count(json!({ "actorId": ada.id })).await, 2);
        assert_eq!(count(json!({ "resourceType": "post" })).await, 1);
        assert_eq!(count(json!({ "resourceType": "post", "resourceId": id })).await, 1);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "ipAddress": "127.0.0.1" })).await, 3);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "ipAddress": "::ffff:127.0.0.1" })).await, 3);
        assert_eq!(count(json!({ "ipAddress": "192.0.2.1" })).await, 0);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "since": one_hour })).await, 1);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "until": one_hour })).await, 2);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "since": "2026-01-01T00:30:00.001Z" })).await, 0);
        assert_eq!(count(json!({ "eventTypes": ["user_created"], "status": "FAILURE" })).await, 0);
        assert_eq!(count(json!({ "status": "ALERT" })).await, 0);
        for wrong in [
            json!({ "ipAddress": "not an address" }), json!({ "actorId": id }), json!({ "resourceId": id }),
            json!({ "eventTypes": vec!["x"; 21] }), json!({ "since": "yesterday" }), json!({ "until": "2026-13-01T00:00:00Z" }),
        ] {
            let reply = admin.query(EVENTS, json!({ "filter": wrong })).await;
            assert!(["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&reply.code()), "{wrong} {}", reply.text);
        }
        // Page by page everything is there once, though reading adds to the trail.
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        let filter = json!({ "until": "2026-01-01T00:30:00Z" });
        let expected = count(filter.clone()).await;
        loop {
            let reply = admin.query(EVENTS, json!({ "first": 2, "after": after, "filter": filter })).await.ok();
            seen.extend(reply.data("/auditEvents/edges").as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
            if reply.data("/auditEvents/pageInfo/hasNextPage") == false {
                break;
            }
            after = Some(reply.text_at("/auditEvents/pageInfo/endCursor"));
        }
        assert_eq!(seen.len(), expected);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), expected);
        assert!(seen.is_sorted_by(|a, b| a > b));
    }

    /// ASVS: 16.3.2, 16.5.1
    async fn reading_the_trail_and_other_people_is_recorded_too(server: TestServer) {
        let admin = server.admin().await;
        let ada = server.user("ada").await;
        events(&admin, json!({})).await;
        admin.query("query($id: ID!) { user(id: $id) { email } }", json!({ "id": ada.id })).await.ok();
        admin.query("query($id: ID!) { user(id: $id) { email } }", json!({ "id": admin.id })).await.ok();
        admin.query("{ users { edges { node { email } } } }", json!({})).await.ok();
        let read = events(&admin, json!({ "eventTypes": ["sensitive_read"] })).await;
        let actions: Vec<&str> = read.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions[actions.len() - 3..], ["users", "user", "auditEvents"], "one's own is nobody's business");
        assert!(read.iter().all(|event| event["actor"]["username"] == "root"));
    }

    async fn each_chain_counts_without_gaps(server: TestServer) {
        let ada = server.user("ada").await;
        let tasks: Vec<_> = (0..12).map(|n| {
            let (server, token) = (server.clone(), ada.token.clone());
            tokio::spawn(async move {
                let mut client = server.anonymous();
                client.token = token;
                client.create_post(&format!("post {n}"), "PUBLIC").await
            })
        }).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(server.events("sensitive_create", "SUCCESS").await, 12);
        let gaps = "SELECT COUNT(*) FROM (SELECT chain FROM audit_events GROUP BY chain HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*)) AS broken";
        assert_eq!(server.number(gaps).await, 0);
    }
}
