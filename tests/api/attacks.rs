//! Texts that attack: SQL, scripts, paths, in every place that takes text. They are text.

use crate::harness::TestServer;
use serde_json::json;

const PAYLOADS: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    "\" OR \"\"=\"",
    "1) UNION SELECT password_hash FROM users --",
    "%' AND 1=1 --",
    "\\'; SELECT pg_sleep(5); --",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "../../../../etc/passwd",
    "%00%27",
    "a_b%c",
];

/// Every query and mutation that takes text from a client, with `$x` in its place.
const PLACES: &[&str] = &[
    "query($x: String!) { users(filter: { username: $x }) { edges { node { id } } } }",
    "query($x: String!) { users(filter: { email: $x }) { edges { node { id } } } }",
    "query($x: String!) { users(after: $x) { edges { node { id } } } }",
    "query($x: ID!) { user(id: $x) { id } }",
    "query($x: ID!) { post(id: $x) { id } }",
    "query($x: String!) { posts(after: $x) { edges { node { id } } } }",
    "query($x: ID!) { posts(filter: { authorId: $x }) { edges { node { id } } } }",
    "query($x: String!) { auditEvents(after: $x) { edges { node { id } } } }",
    "query($x: [String!]) { auditEvents(filter: { eventTypes: $x }) { edges { node { id } } } }",
    "query($x: ID!) { auditEvents(filter: { actorId: $x }) { edges { node { id } } } }",
    "query($x: String!) { auditEvents(filter: { ipAddress: $x }) { edges { node { id } } } }",
    "query($x: String!) { auditEvents(filter: { resourceType: $x, resourceId: $x }) { edges { node { id } } } }",
    "query($x: String!) { bans(after: $x) { edges { node { id } } } }",
    "mutation($x: String!) { login(input: { identifier: $x, password: $x, transport: TOKEN }) { status } }",
    "mutation($x: String!) { completeMfaLogin(input: { mfaToken: $x, code: $x }) { status } }",
    "mutation($x: String!) { refreshSession(input: { refreshToken: $x }) { status } }",
    "mutation($x: String!) { register(input: { username: $x, email: $x, password: $x, fullName: $x }) { accepted } }",
    "mutation($x: String!) { requestPasswordReset(input: { email: $x }) { accepted } }",
    "mutation($x: String!) { resetPassword(input: { token: $x, newPassword: \"quiet lantern under seven maps\" }) { done } }",
    "mutation($x: String!) { verifyEmail(input: { token: $x }) { __typename } }",
    "mutation($x: ID!) { updatePost(input: { id: $x, title: \"t\" }) { post { id } } }",
    "mutation($x: ID!) { deletePost(input: { id: $x }) { deletedId } }",
    "mutation($x: ID!) { revokeSession(input: { id: $x }) { __typename } }",
    "mutation($x: String!) { banAddress(input: { address: $x, reason: $x }) { __typename } }",
];

both! {
    /// ASVS: 1.2.4, 1.2.9
    async fn no_text_becomes_sql_or_an_internal_error(server: TestServer) {
        let root = server.admin().await;
        let counts = |server: TestServer| async move { (server.number("SELECT COUNT(*) FROM users").await, server.number("SELECT COUNT(*) FROM sessions").await) };
        let before = counts(server.clone()).await;
        for place in PLACES {
            for payload in PAYLOADS {
                let reply = root.query(place, json!({ "x": payload })).await;
                assert!(matches!(reply.status, 200 | 400), "{place} with {payload}: {:?}", reply.json);
                for error in reply.json["errors"].as_array().into_iter().flatten() {
                    let code = error["extensions"]["code"].as_str().unwrap_or_default();
                    assert!(
                        matches!(code, "BAD_USER_INPUT" | "NOT_FOUND" | "UNAUTHENTICATED" | "FORBIDDEN"),
                        "{place} with {payload}: {error}"
                    );
                }
                let rows = reply.json.pointer("/data/users/edges").and_then(serde_json::Value::as_array);
                assert!(rows.is_none_or(Vec::is_empty), "{place} with {payload} found accounts: {:?}", reply.json);
            }
        }
        assert_eq!(counts(server.clone()).await, before);
    }

    /// ASVS: 1.2.1, 1.2.3, 3.2.1
    async fn a_script_in_a_post_stays_text_in_json(server: TestServer) {
        let ada = server.user("ada").await;
        let text = "</script><script>alert(1)</script>\u{2028}\"'<img src=x onerror=alert(1)>";
        let input = json!({ "title": "a <b>title</b>", "body": text });
        let reply = ada.mutate("createPost", input, "post { title body }").await.ok();
        assert_eq!(reply.data("/createPost/post/body"), text);
        assert_eq!(reply.data("/createPost/post/title"), "a <b>title</b>");
        assert!(reply.header("content-type").starts_with("application/graphql-response+json"));
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"));
        assert!(reply.header("content-security-policy").contains("sandbox"));
    }

    /// ASVS: 8.2.3, 15.3.3
    async fn no_input_sets_what_only_administrators_set(server: TestServer) {
        for member in ["role", "isActive", "emailVerifiedAt", "id", "passwordHash"] {
            let document = format!(
                "mutation {{ register(input: {{ username: \"eve\", email: \"eve@example.org\", password: \"quiet lantern under seven maps\", {member}: \"ADMIN\" }}) {{ accepted }} }}"
            );
            let reply = server.anonymous().query(&document, json!({})).await;
            assert_eq!((reply.status, reply.code()), (400, "GRAPHQL_VALIDATION_FAILED"), "{member}");
            let input = json!({ "username": "eve", "email": "eve@example.org", "password": "quiet lantern under seven maps", member: "ADMIN" });
            let reply = server.anonymous().mutate("register", input, "accepted").await;
            assert_eq!(reply.status, 400, "{member}: {:?}", reply.json);
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 0);
    }
}
