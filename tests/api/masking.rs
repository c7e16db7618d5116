//! What goes wrong inside stays inside: with a broken database clients read INTERNAL and a request id.

use crate::harness::{Reply, TestServer};
use serde_json::json;

/// Nothing of a database, a file or a source line in `reply`.
#[track_caller]
fn tells_nothing(server: &TestServer, reply: &Reply) {
    assert_eq!(reply.code(), "INTERNAL", "{}", reply.text);
    assert_eq!(reply.message(), "something went wrong on our side");
    assert_eq!(reply.json["errors"][0]["extensions"]["requestId"], reply.header("x-request-id"));
    let (text, folder) = (reply.text.to_lowercase(), server.folder().display().to_string().to_lowercase());
    let headers = format!("{:?}", reply.headers).to_lowercase();
    for leak in [
        "sql",
        "select",
        "insert",
        "table",
        "relation",
        "syntax",
        "postgres",
        "database",
        "sea_orm",
        "sqlx",
        "dberr",
        "query error",
        "error returned",
        ".rs",
        "src/",
        "/tmp",
        "panicked",
        "backtrace",
        "audit_events",
        &folder,
    ] {
        assert!(!text.contains(leak), "{leak} in {text}");
        assert!(!headers.contains(leak), "{leak} in {headers}");
    }
}

both! {
    /// ASVS: 16.5.1, 13.4.2
    async fn a_missing_table_is_nobody_s_business(server: TestServer) {
        let admin = server.admin().await;
        let id = admin.create_post("one", "PUBLIC").await;
        let anyone = server.anonymous();
        server.sql("ALTER TABLE posts RENAME TO away").await;
        tells_nothing(&server, &anyone.query("{ post(id: \"post_019b76da800070008000000000000001\") { id } }", json!({})).await);
        tells_nothing(&server, &anyone.query("{ posts { edges { node { id } } } }", json!({})).await);
        tells_nothing(&server, &admin.query("{ me { posts { edges { node { id } } } } }", json!({})).await);
        tells_nothing(&server, &admin.mutate("createPost", json!({ "title": "t", "body": "b" }), "post { id }").await);
        tells_nothing(&server, &admin.mutate("updatePost", json!({ "id": id, "title": "t" }), "post { id }").await);
        tells_nothing(&server, &admin.mutate("deletePost", json!({ "id": id }), "deletedId").await);
        // What does not need the table is served beside what does.
        let reply = admin.query("{ me { username } post(id: \"post_019b76da800070008000000000000001\") { id } }", json!({})).await;
        assert_eq!(reply.data("/me/username"), "root");
        assert!(reply.data("/post").is_null());
        server.sql("ALTER TABLE away RENAME TO posts").await;
        assert_eq!(admin.post_ids().await, [id]);
    }

    /// ASVS: 16.5.1, 16.5.3
    async fn without_sessions_or_accounts_nobody_is_let_in(server: TestServer) {
        let ada = server.user("ada").await;
        server.sql("ALTER TABLE sessions RENAME TO away").await;
        let reply = ada.query("{ me { id } }", json!({})).await;
        tells_nothing(&server, &reply);
        assert_eq!(reply.status, 500);
        assert!(reply.json.get("data").is_none());
        tells_nothing(&server, &server.anonymous().try_login("ada", &ada.password, "TOKEN").await);
        server.sql("ALTER TABLE away RENAME TO sessions").await;
        assert!(ada.is_signed_in().await);
        let bob = server.user("bob").await;
        server.sql("ALTER TABLE users RENAME TO away").await;
        tells_nothing(&server, &bob.query("{ me { id } }", json!({})).await);
        tells_nothing(&server, &server.anonymous().try_login("ada", &ada.password, "TOKEN").await);
        let input = json!({ "username": "bob", "email": "bob@example.org", "password": ada.password });
        tells_nothing(&server, &server.anonymous().mutate("register", input, "accepted").await);
        server.sql("ALTER TABLE away RENAME TO users").await;
    }

    /// ASVS: 11.3.3, 16.5.1
    async fn a_ciphertext_that_was_moved_does_not_open_and_says_so_to_nobody(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        server.sql("UPDATE users SET email = (SELECT email FROM users AS other WHERE other.username_key = 'bob') WHERE username_key = 'ada'").await;
        let reply = ada.query("{ me { username email } }", json!({})).await;
        assert_eq!(reply.code(), "INTERNAL", "{}", reply.text);
        assert_eq!(reply.data("/me"), &json!({ "username": "ada", "email": null }));
        assert_eq!(bob.query("{ me { email } }", json!({})).await.ok().data("/me/email"), "bob@example.org");
        assert_eq!(server.number("SELECT COUNT(*) FROM audit_events WHERE event_type = 'crypt_decrypt_fail'").await, 1);
    }
}
