//! How many statements each operation takes: N+1 is impossible, and a change is one transaction.

use crate::harness::TestServer;
use serde_json::json;

both! {
    async fn a_page_of_posts_with_authors_is_one_statement_whatever_its_length(server: TestServer) {
        let people = [server.user("ada").await, server.user("bob").await, server.user("cleo").await];
        for n in 0..20 {
            people[n % 3].create_post(&format!("post {n}"), if n % 5 == 0 { "PRIVATE" } else { "PUBLIC" }).await;
        }
        let document = "{ posts(first: 20) { edges { node { author { username } } } } }";
        let anyone = server.anonymous();
        for (client, allowed) in [(&anyone, 1), (&people[0], 2)] {
            let (reply, statements) = server.counting(client.query(document, json!({}))).await;
            assert!(reply.ok().data("/posts/edges").as_array().unwrap().len() > 10);
            assert!(statements <= allowed, "{statements}");
        }
    }

    async fn me_is_the_session_s_own_statement(server: TestServer) {
        let ada = server.user("ada").await;
        let document = "{ me { id username email role permissions fullName phone isActive mfaEnabled } }";
        let (reply, statements) = server.counting(ada.query(document, json!({}))).await;
        reply.ok();
        assert!(statements <= 1, "{statements}");
        let (_, statements) = server.counting(server.anonymous().query(document, json!({}))).await;
        assert_eq!(statements, 0);
    }

    async fn nested_lists_are_loaded_together(server: TestServer) {
        let admin = server.admin().await;
        for name in ["ada", "bob", "cleo", "dora"] {
            let person = server.user(name).await;
            for n in 0..3 {
                person.create_post(&format!("{name} {n}"), "PUBLIC").await;
            }
        }
        let document = "{ users { edges { node { username posts(first: 2) { edges { node { title author { username } } } pageInfo { hasNextPage } } } } } }";
        let (reply, statements) = server.counting(admin.query(document, json!({}))).await;
        assert_eq!(reply.ok().data("/users/edges/0/node/posts/edges/0/node/author/username"), "dora");
        assert!(statements <= 4, "session, accounts, their posts, the note in the trail: {statements}");
        let document = "{ auditEvents(first: 50) { edges { node { eventType actor { username } } } } }";
        let (reply, statements) = server.counting(admin.query(document, json!({}))).await;
        reply.ok();
        assert!(statements <= 4, "session, events, actors, the note in the trail: {statements}");
        // The same post under ten names is one author.
        let id = admin.post_ids().await[0].clone();
        let aliases: String = (0..10).map(|n| format!("p{n}: post(id: \"{id}\") {{ author {{ posts {{ edges {{ node {{ author {{ username }} }} }} }} }} }} ")).collect();
        let (reply, statements) = server.counting(server.anonymous().query(&format!("{{ {aliases} }}"), json!({}))).await;
        reply.ok();
        assert!(statements <= 20, "{statements}");
    }

    /// ASVS: 2.3.3
    async fn a_change_and_its_event_are_one_transaction(server: TestServer) {
        let ada = server.user("ada").await;
        let input = json!({ "title": "t", "body": "b" });
        let (reply, statements) = server.counting(ada.mutate("createPost", input.clone(), "post { id author { username } }")).await;
        let id = reply.ok().text_at("/createPost/post/id");
        assert!(statements <= 3, "session, post, event: {statements}");
        // Without the trail there is no change.
        server.sql("ALTER TABLE audit_events RENAME TO away").await;
        ada.mutate("createPost", input, "post { id }").await.refused("INTERNAL");
        ada.mutate("updatePost", json!({ "id": id, "title": "x" }), "post { id }").await.refused("INTERNAL");
        ada.mutate("deletePost", json!({ "id": id }), "deletedId").await.refused("INTERNAL");
        ada.query("mutation { logout { done } }", json!({})).await.refused("INTERNAL");
        server.anonymous().try_login("ada", &ada.password, "TOKEN").await.refused("INTERNAL");
        server.sql("ALTER TABLE away RENAME TO audit_events").await;
        assert!(ada.is_signed_in().await);
        let titles = ada.query("{ posts { edges { node { id title } } } }", json!({})).await.ok();
        assert_eq!(titles.data("/posts/edges"), &json!([{ "node": { "id": id, "title": "t" } }]));
        assert_eq!(server.number("SELECT COUNT(*) FROM sessions").await, 1);
    }
}
