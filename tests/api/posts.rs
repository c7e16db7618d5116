//! Posts: who may read and change which, and what may be in them.

use crate::harness::{Client, Reply, TestServer};
use serde_json::{Value, json};

const POST: &str = "query($id: ID!) { post(id: $id) { id title body visibility version createdAt updatedAt author { id username } } }";
const NOBODYS: &str = "post_019b76da800070008000000000000001";

async fn read(client: &Client, id: &str) -> Reply {
    client.query(POST, json!({ "id": id })).await
}

async fn update(client: &Client, input: Value) -> Reply {
    client.mutate("updatePost", input, "post { id title body visibility version updatedAt createdAt }").await
}

async fn delete(client: &Client, id: &str) -> Reply {
    client.mutate("deletePost", json!({ "id": id }), "deletedId").await
}

/// The ids of `author`'s posts as `client` sees them, by both ways to them.
async fn of_author(client: &Client, author: &str) -> Vec<String> {
    let ids = |edges: &Value| -> Vec<String> {
        edges.as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let document = "query($id: ID!) { posts(filter: { authorId: $id }) { edges { node { id author { posts { edges { node { id } } } } } } } }";
    let reply = client.query(document, json!({ "id": author })).await.ok();
    let edges = reply.data("/posts/edges");
    let listed = ids(edges);
    for edge in edges.as_array().unwrap() {
        assert_eq!(
            ids(&edge["node"]["author"]["posts"]["edges"]),
            listed,
            "the author's list is the filtered list"
        );
    }
    listed
}

both! {
    async fn a_post_is_made_read_changed_and_removed(server: TestServer) {
        let ada = server.user("ada").await;
        let input = json!({ "title": "  First  ", "body": " <b>a</b>\r\n\t\"b\" \u{1F511} " });
        let made = ada.mutate("createPost", input, "post { id title body visibility version author { username } }").await.ok();
        assert_eq!(made.data("/createPost/post/title"), "First");
        assert_eq!(made.data("/createPost/post/body"), " <b>a</b>\r\n\t\"b\" \u{1F511} ", "kept as given");
        assert_eq!(made.data("/createPost/post/visibility"), "PUBLIC");
        assert_eq!(made.data("/createPost/post/version"), 1);
        let id = made.text_at("/createPost/post/id");
        let seen = read(&server.anonymous(), &id).await.ok();
        assert_eq!(seen.data("/post/author/username"), "ada");
        assert_eq!(seen.data("/post/createdAt"), "2026-01-01T00:00:00.000Z");

        server.advance(std::time::Duration::from_millis(1500));
        let changed = update(&ada, json!({ "id": id, "title": "Second" })).await.ok();
        assert_eq!(changed.data("/updatePost/post/title"), "Second");
        assert_eq!(changed.data("/updatePost/post/body"), seen.data("/post/body"), "what is absent stays");
        assert_eq!(changed.data("/updatePost/post/version"), 2);
        assert_eq!(changed.data("/updatePost/post/updatedAt"), "2026-01-01T00:00:01.500Z");
        assert_eq!(changed.data("/updatePost/post/createdAt"), seen.data("/post/createdAt"));

        assert_eq!(delete(&ada, &id).await.ok().data("/deletePost/deletedId"), id.as_str());
        read(&ada, &id).await.refused("NOT_FOUND");
        delete(&ada, &id).await.refused("NOT_FOUND");
        update(&ada, json!({ "id": id, "title": "x" })).await.refused("NOT_FOUND");
    }

    /// ASVS: 8.2.2, 8.2.3
    async fn a_private_post_is_hidden_in_every_path(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        let (moderator, admin) = (server.moderator().await, server.admin().await);
        let public = ada.create_post("public", "PUBLIC").await;
        let private = ada.create_post("private", "PRIVATE").await;
        let both = [private.clone(), public.clone()];
        for (client, sees) in [
            (&server.anonymous(), false), (&bob, false), (&ada, true), (&moderator, true), (&admin, true),
        ] {
            let expected = if sees { &both[..] } else { &both[1..] };
            assert_eq!(client.post_ids().await, expected, "{}", client.username);
            assert_eq!(of_author(client, &ada.id).await, expected, "{}", client.username);
            let one = read(client, &private).await;
            assert_eq!(one.code(), if sees { "" } else { "NOT_FOUND" }, "{}", client.username);
            read(client, &public).await.ok();
            // Neither the page's size nor its end tells of the hidden one.
            let page = client.query("{ posts(first: 1) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }", json!({})).await.ok();
            assert_eq!(page.data("/posts/pageInfo/hasNextPage"), sees, "{}", client.username);
        }
        // Made public and private again, it comes and goes.
        update(&ada, json!({ "id": private, "visibility": "PUBLIC" })).await.ok();
        assert_eq!(bob.post_ids().await, both);
        update(&ada, json!({ "id": public, "visibility": "PRIVATE" })).await.ok();
        assert_eq!(server.anonymous().post_ids().await, &both[..1]);
    }

    /// ASVS: 8.2.2, 8.3.1
    async fn only_the_owner_changes_a_post_and_a_moderator_may_remove_it(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        let (moderator, admin) = (server.moderator().await, server.admin().await);
        let id = ada.create_post("mine", "PUBLIC").await;
        for other in [&bob, &moderator, &admin] {
            update(other, json!({ "id": id, "title": "taken over" })).await.refused("NOT_FOUND");
        }
        update(&server.anonymous(), json!({ "id": id, "title": "x" })).await.refused("UNAUTHENTICATED");
        delete(&server.anonymous(), &id).await.refused("UNAUTHENTICATED");
        delete(&bob, &id).await.refused("NOT_FOUND");
        assert_eq!(read(&bob, &id).await.ok().data("/post/title"), "mine");
        delete(&moderator, &id).await.ok();
        let again = ada.create_post("mine", "PRIVATE").await;
        delete(&admin, &again).await.ok();
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 0);
    }

    /// ASVS: 8.2.2
    async fn not_yours_and_not_there_are_indistinguishable(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        let hidden = ada.create_post("secret", "PRIVATE").await;
        let change = |id: &str| json!({ "id": id, "title": "x", "expectedVersion": 7 });
        bob.warm().await;
        for client in [&bob, &server.anonymous()] {
            let (foreign, statements) = server.counting(read(client, &hidden)).await;
            let (missing, the_same) = server.counting(read(client, NOBODYS)).await;
            assert_eq!(foreign.comparable(), missing.comparable());
            assert_eq!((foreign.status, statements), (missing.status, the_same));
            assert_eq!(foreign.code(), "NOT_FOUND");
        }
        let (foreign, statements) = server.counting(update(&bob, change(&hidden))).await;
        let (missing, the_same) = server.counting(update(&bob, change(NOBODYS))).await;
        assert_eq!(foreign.comparable(), missing.comparable());
        assert_eq!((foreign.status, statements), (missing.status, the_same));
        let (foreign, statements) = server.counting(delete(&bob, &hidden)).await;
        let (missing, the_same) = server.counting(delete(&bob, NOBODYS)).await;
        assert_eq!(foreign.comparable(), missing.comparable());
        assert_eq!((foreign.status, statements), (missing.status, the_same));
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 1);
    }

    /// ASVS: 15.4.2
    async fn a_lost_update_is_a_conflict(server: TestServer) {
        let ada = server.user("ada").await;
        let id = ada.create_post("one", "PUBLIC").await;
        update(&ada, json!({ "id": id, "title": "two", "expectedVersion": 1 })).await.ok();
        for stale in [1, 0, -1, 3, i32::MAX] {
            update(&ada, json!({ "id": id, "title": "three", "expectedVersion": stale })).await.refused("CONFLICT");
        }
        assert_eq!(read(&ada, &id).await.ok().data("/post/title"), "two");
        // Of writers that race from the same version, exactly one wins.
        let racers: Vec<_> = (0..6).map(|n| {
            let (server, token, id) = (server.clone(), ada.token.clone(), id.clone());
            tokio::spawn(async move {
                let mut client = server.anonymous();
                client.token = token;
                update(&client, json!({ "id": id, "title": format!("racer {n}"), "expectedVersion": 2 })).await
            })
        }).collect();
        let mut codes = Vec::new();
        for racer in racers {
            codes.push(racer.await.unwrap().code().to_owned());
        }
        codes.sort();
        assert_eq!(codes, ["", "CONFLICT", "CONFLICT", "CONFLICT", "CONFLICT", "CONFLICT"]);
        assert_eq!(read(&ada, &id).await.ok().data("/post/version"), 3);
        assert_eq!(server.events("sensitive_update", "SUCCESS").await, 2);
    }

    /// ASVS: 2.2.1, 1.3.3
    async fn text_out_of_bounds_is_refused_with_its_field(server: TestServer) {
        let ada = server.user("ada").await;
        let id = ada.create_post("fine", "PUBLIC").await;
        let (title, body) = ("t".repeat(200), "b".repeat(20_000));
        ada.mutate("createPost", json!({ "title": title, "body": body }), "post { id }").await.ok();
        let wide = "\u{1F511}".repeat(200);
        ada.mutate("createPost", json!({ "title": wide, "body": "b" }), "post { id }").await.ok();
        for (field, text) in [
            ("title", format!("{title}t")), ("title", String::new()), ("title", " ".to_owned()),
            ("title", "a\nb".to_owned()), ("title", "a\u{0}b".to_owned()), ("title", "a\u{202e}b".to_owned()),
            ("title", "a\u{1b}[31mb".to_owned()), ("body", format!("{body}b")), ("body", String::new()),
            ("body", " \n ".to_owned()), ("body", "a\u{0}".to_owned()), ("body", "a\u{7}".to_owned()),
            ("body", "a\u{9f}".to_owned()),
        ] {
            let mut input = json!({ "title": "t", "body": "b" });
            input[field] = json!(text);
            let reply = ada.mutate("createPost", input.clone(), "post { id }").await.refused("BAD_USER_INPUT");
            assert_eq!(reply.field(field).as_array().map(Vec::len), Some(1), "{field} {text:?}");
            input["id"] = json!(id);
            let reply = update(&ada, input).await.refused("BAD_USER_INPUT");
            assert_eq!(reply.field(field).as_array().map(Vec::len), Some(1), "{field} {text:?}");
        }
        let reply = ada.mutate("createPost", json!({ "title": "", "body": "" }), "post { id }").await;
        assert!(reply.field("title").is_array() && reply.field("body").is_array(), "all at once");
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 3);
    }

    async fn markup_and_quotes_are_only_text(server: TestServer) {
        let ada = server.user("ada").await;
        for text in [
            "'; DROP TABLE posts; --", "<script>alert(1)</script>", "{{7*7}} ${7*7} %s %n", "\\u0000 \\x00 \\", "\u{2028}\u{feff}",
            "%00", "\u{ff07} OR 1=1", "﷽﷽﷽",
        ] {
            let reply = ada.mutate("createPost", json!({ "title": "t", "body": text }), "post { id body }").await.ok();
            let id = reply.text_at("/createPost/post/id");
            let seen = read(&ada, &id).await.ok();
            assert_eq!(seen.data("/post/body"), text);
            assert!(seen.header("content-type").ends_with("json; charset=utf-8"));
            assert_eq!(seen.header("x-content-type-options"), "nosniff");
        }
    }
}
