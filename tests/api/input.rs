//! Input that honest clients do not send: ids of the wrong kind, values of the wrong type, names that do
//! not exist. (Texts out of bounds are in `posts` and `accounts`, page sizes in `pages`.)

use crate::harness::TestServer;
use serde_json::json;

both! {
    /// ASVS: 2.2.1, 8.2.2
    async fn an_id_of_another_kind_or_shape_is_refused_before_any_query(server: TestServer) {
        let admin = server.admin().await;
        let good = admin.create_post("one", "PUBLIC").await;
        let digits = good.trim_start_matches("post_");
        let long = "f".repeat(10_000);
        let wrong = [
            admin.id.clone(), String::new(), "1".to_owned(), "0".to_owned(), "-1".to_owned(), "null".to_owned(), digits.to_owned(),
            good.to_uppercase(), format!("{good}0"), good[..good.len() - 1].to_owned(), format!(" {good}"), format!("{good}\n"),
            format!("post_{digits}' OR '1'='1"), format!("post_{}", "g".repeat(32)), format!("post_{{{digits}}}"),
            format!("usr_{digits}"), format!("post_{long}"), "post_\u{0}".to_owned(), "post_०१९०००००००००७०००८०००००००००००००ab".to_owned(),
            "../../etc/passwd".to_owned(),
        ];
        let update = "mutation($id: ID!) { updatePost(input: { id: $id, title: \"x\" }) { post { id } } }";
        let delete = "mutation($id: ID!) { deletePost(input: { id: $id }) { deletedId } }";
        for id in wrong {
            for document in ["query($id: ID!) { post(id: $id) { id } }", update, delete] {
                let (reply, statements) = server.counting(admin.query(document, json!({ "id": id }))).await;
                let reply = reply.refused("BAD_USER_INPUT");
                assert!(reply.field("id")[0].as_str().unwrap().contains("expected `post_`"), "{}", reply.text);
                assert!(statements <= 1, "the session only: {statements}");
            }
            let filtered = admin.query("query($id: ID) { posts(filter: { authorId: $id }) { edges { cursor } } }", json!({ "id": id })).await;
            if id != admin.id && !(id.starts_with("usr_") && id.len() == 36) {
                filtered.refused("BAD_USER_INPUT");
            }
        }
        for number in [json!(1), json!(0), json!(-1), json!(u64::MAX)] {
            let reply = admin.query("query($id: ID!) { post(id: $id) { id } }", json!({ "id": number })).await;
            assert!(["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&reply.code()), "{}", reply.text);
        }
        let reply = admin.query("query($id: ID!) { user(id: $id) { id } }", json!({ "id": good })).await.refused("BAD_USER_INPUT");
        assert!(reply.field("id")[0].as_str().unwrap().contains("expected `usr_`"));
    }

    /// ASVS: 2.2.1, 15.3.3
    async fn values_of_the_wrong_type_never_reach_a_resolver(server: TestServer) {
        let ada = server.user("ada").await;
        let document = "mutation($input: CreatePostInput!) { createPost(input: $input) { post { id } } }";
        for input in [
            json!(null), json!({}), json!([]), json!("x"), json!({ "title": "t" }), json!({ "title": null, "body": "b" }),
            json!({ "title": 1, "body": "b" }), json!({ "title": ["t"], "body": { "a": "b" } }),
            json!({ "title": "t", "body": "b", "visibility": "SECRET" }), json!({ "title": "t", "body": "b", "visibility": 1 }),
            json!({ "title": "t", "body": "b", "visibility": "public" }),
            // Members that the type does not have are not assigned.
            json!({ "title": "t", "body": "b", "authorId": ada.id }), json!({ "title": "t", "body": "b", "version": 7 }),
        ] {
            let reply = ada.query(document, json!({ "input": input })).await;
            assert_eq!((reply.status, reply.code()), (400, "GRAPHQL_VALIDATION_FAILED"), "{input} {}", reply.text);
        }
        for literal in [
            "{ title: t, body: \"b\" }", "{ title: \"t\", body: \"b\", role: ADMIN }",
            "{ title: \"t\" }", "null", "\"x\"",
        ] {
            let reply = ada.query(&format!("mutation {{ createPost(input: {literal}) {{ post {{ id }} }} }}"), json!({})).await;
let refused = reply.code().starts_with("GRAPHQL_") || reply.code() == "BAD_USER_INPUT";
            assert!(refused, "{literal} {}", reply.text);
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 0);
    }

    /// ASVS: 15.3.3
    async fn a_registration_cannot_give_itself_a_role(server: TestServer) {
        let document = "mutation($input: RegisterInput!) { register(input: $input) { accepted } }";
        let mut input = json!({ "username": "eve", "email": "eve@example.org", "password": "quiet lantern under seven maps" });
        input["role"] = json!("ADMIN");
        server.anonymous().query(document, json!({ "input": input })).await.refused("GRAPHQL_VALIDATION_FAILED");
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 0);
    }

    async fn several_problems_are_all_told_and_not_too_many(server: TestServer) {
        let fields: String = (0..12).map(|n| format!("nothing{n} ")).collect();
        let reply = server.anonymous().query(&format!("{{ {fields} }}"), json!({})).await.refused("GRAPHQL_VALIDATION_FAILED");
        let count = reply.json["errors"].as_array().unwrap().len();
        assert!((2..=5).contains(&count), "{count}");
    }
}
