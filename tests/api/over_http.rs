//! GraphQL over HTTP: media types, status codes, members of a request.

use crate::harness::{Client, Reply, TestServer};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

async fn send(client: &Client, accept: Option<&str>, content_type: Option<&str>, body: &str) -> Reply {
    let mut request = client.request(Method::POST, "/graphql").body(body.to_owned());
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    client.send(request).await
}

/// Every refusal is JSON with one shape and the request's id.
#[track_caller]
fn well_formed(reply: &Reply) {
    let errors = reply.json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {}", reply.text));
    assert!(!errors.is_empty());
    for error in errors {
        assert!(error["message"].is_string(), "{}", reply.text);
        assert!(error["extensions"]["code"].is_string(), "{}", reply.text);
        assert_eq!(error["extensions"]["requestId"], reply.header("x-request-id"), "{}", reply.text);
    }
}

both! {
    async fn each_failure_has_its_status_under_each_media_type(server: TestServer) {
        let anyone = server.anonymous();
        // (body, code, status as graphql-response+json, status as json)
        let two = "query A { me { id } } query B { me { id } }";
        let ids = "query($id: ID!) { post(id: $id) { id } }";
        for (body, code, new, old) in [
            (json!({ "query": "{ me { id } }" }), "", 200, 200),
            (json!({ "query": "{ me { id }" }), "GRAPHQL_PARSE_FAILED", 400, 200),
            (json!({ "query": "" }), "GRAPHQL_PARSE_FAILED", 400, 200),
            (json!({ "query": "# nothing" }), "GRAPHQL_PARSE_FAILED", 400, 200),
            (json!({ "query": "{ nothing }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": "{ me }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": "{ me { id } } fragment F on User { id }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": "{ post(id: 1.5) { id } }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": "{ post { id } }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": "{ posts(first: $n) { edges { cursor } } }" }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": ids }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": ids, "variables": { "id": null } }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": ids, "variables": { "id": { "a": 1 } } }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": two }), "GRAPHQL_VALIDATION_FAILED", 400, 200),
            (json!({ "query": two, "operationName": "C" }), "BAD_USER_INPUT", 400, 400),
            (json!({ "query": two, "operationName": "B" }), "", 200, 200),
            (json!({ "query": "{ me { id } }", "operationName": "A" }), "BAD_USER_INPUT", 400, 400),
            (json!({ "query": "{ me { id } }", "variables": null, "operationName": null, "extensions": null, "more": 1 }), "", 200, 200),
            (json!({ "query": "{ me { id } }", "variables": {}, "extensions": {} }), "", 200, 200),
            (json!({}), "BAD_REQUEST", 400, 400),
            (json!({ "query": null }), "BAD_REQUEST", 400, 400),
            (json!({ "query": 1 }), "BAD_REQUEST", 400, 400),
            (json!({ "query": ["{ me { id } }"] }), "BAD_REQUEST", 400, 400),
            (json!({ "query": "{ me { id } }", "variables": [] }), "BAD_REQUEST", 400, 400),
            (json!({ "query": "{ me { id } }", "variables": "{}" }), "BAD_REQUEST", 400, 400),
            (json!({ "query": "{ me { id } }", "operationName": 1 }), "BAD_REQUEST", 400, 400),
            (json!({ "query": "{ me { id } }", "extensions": [] }), "BAD_REQUEST", 400, 400),
            (json!("{ me { id } }"), "BAD_REQUEST", 400, 400),
            (json!(1), "BAD_REQUEST", 400, 400),
            (json!(null), "BAD_REQUEST", 400, 400),
            (json!([{ "query": "{ me { id } }" }, { "query": "{ me { id } }" }]), "BATCH_TOO_LARGE", 400, 400),
        ] {
            for (accept, media, status) in [
                (Some(NEW), NEW, new), (Some(OLD), OLD, old), (Some("*/*"), OLD, old), (None, OLD, old),
                (Some("application/json;q=0.5, application/graphql-response+json"), NEW, new),
            ] {
                let reply = send(&anyone, accept, Some(OLD), &body.to_string()).await;
                assert_eq!((reply.status, reply.code()), (status, code), "{body} {accept:?} {}", reply.text);
                assert_eq!(reply.header("content-type"), format!("{media}; charset=utf-8"));
                if code.is_empty() {
                    assert!(reply.json["errors"].is_null());
                } else {
                    well_formed(&reply);
                    assert!(reply.json.get("data").is_none(), "nothing ran: {body} {}", reply.text);
                }
            }
        }
    }

    /// ASVS: 4.1.1, 2.2.1, 1.5.3
    async fn what_is_not_a_graphql_request_is_refused_as_json(server: TestServer) {
        let anyone = server.anonymous();
        let good = json!({ "query": "{ me { id } }" }).to_string();
        for (accept, content_type, body, status) in [
            (OLD, Some(OLD), "", 400),
            (OLD, Some(OLD), "{", 400),
            (OLD, Some(OLD), "{\"query\": \"{ me { id } }\",}", 400),
            (OLD, Some(OLD), "{\"query\": \"\u{0}\"}", 400),
            (OLD, Some(OLD), "query={me{id}}", 400),
            (OLD, Some("text/plain"), &*good, 415),
            (OLD, Some("application/x-www-form-urlencoded"), "query=%7Bme%7Bid%7D%7D", 415),
            (OLD, Some("multipart/form-data; boundary=x"), &*good, 415),
            (OLD, Some("application/graphql"), "{ me { id } }", 415),
            (OLD, Some("application/json; charset=utf-16"), &*good, 415),
            (OLD, Some("application/jsonp"), &*good, 415),
            (OLD, None, &*good, 415),
            (OLD, Some("application/json; charset=UTF-8"), &*good, 200),
            (OLD, Some("Application/JSON"), &*good, 200),
            ("text/html", Some(OLD), &*good, 406),
            ("application/xml, text/*;q=0.8", Some(OLD), &*good, 406),
            ("text/html, */*;q=0.1", Some(OLD), &*good, 200),
        ] {
            let reply = send(&anyone, Some(accept), content_type, body).await;
            assert_eq!(reply.status, status, "{content_type:?} {body:?} {}", reply.text);
            assert!(reply.header("content-type").contains("json"), "{}", reply.header("content-type"));
            if status != 200 {
                well_formed(&reply);
            }
        }
        // Not even UTF-8.
        let request = anyone.request(Method::POST, "/graphql").header(CONTENT_TYPE, OLD).body(vec![0x7b, 0xff, 0xfe]);
        assert_eq!(anyone.send(request).await.status, 400);
    }

    /// ASVS: 4.1.1, 3.4.5
    async fn queries_may_come_by_get_and_changes_may_not(server: TestServer) {
        let ada = server.user("ada").await;
        let get = async |pairs: &[(&str, &str)]| {
            let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let request = ada.request(Method::GET, &format!("/graphql?{query}")).header(ACCEPT, NEW);
            ada.send(request).await
        };
        assert_eq!(get(&[("query", "{ me { username } }")]).await.ok().data("/me/username"), "ada");
        let id = ada.create_post("one", "PUBLIC").await;
        let document = "query A($id: ID!) { post(id: $id) { title } } mutation B { logout { done } }";
        let variables = json!({ "id": id }).to_string();
        let reply = get(&[("query", document), ("operationName", "A"), ("variables", &variables)]).await.ok();
        assert_eq!(reply.data("/post/title"), "one");
        let reply = get(&[("query", document), ("operationName", "B")]).await;
        assert_eq!((reply.status, reply.header("allow")), (405, "POST"));
        well_formed(&reply);
        for pairs in [
            &[][..], &[("variables", "{}")], &[("query", "{ me { id } }"), ("variables", "{")],
            &[("query", "{ me { id } }"), ("variables", "[]")], &[("query", "{ me { id } }"), ("query", "{ me { id } }")],
            &[("query", "{")],
        ] {
            let reply = get(pairs).await;
            assert_eq!(reply.status, 400, "{pairs:?} {}", reply.text);
            well_formed(&reply);
        }
        assert!(ada.is_signed_in().await, "nothing has signed out");
    }

    /// ASVS: 4.1.4, 13.4.5
    async fn other_methods_and_paths_are_refused_as_json(server: TestServer) {
        let anyone = server.anonymous();
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let reply = anyone.send(anyone.request(method.clone(), "/graphql").body("{}")).await;
            assert_eq!(reply.status, 405, "{method}");
            assert!(reply.header("allow").contains("POST"));
            well_formed(&reply);
        }
        for path in ["/", "/nothing", "/graphql/x", "/Graphql", "/metrics", "/health/details"] {
            let reply = anyone.get(path).await;
            assert_eq!(reply.status, 404, "{path}");
            well_formed(&reply);
        }
        assert_eq!(anyone.get("/health").await.json, json!({ "status": "ok" }));
        assert_eq!(anyone.get("/health/ready").await.status, 200);
    }

    async fn a_refused_field_is_null_and_its_siblings_are_served(server: TestServer) {
        let ada = server.user("ada").await;
        ada.create_post("one", "PUBLIC").await;
        let reply = ada.query("{ posts { edges { node { title } } } users { edges { node { id } } } me { username } }", json!({})).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.codes(), ["FORBIDDEN"]);
        assert_eq!(reply.json["errors"][0]["path"], json!(["users"]));
        assert_eq!(reply.data("/users"), &Value::Null);
        assert_eq!(reply.data("/me/username"), "ada");
        assert_eq!(reply.data("/posts/edges/0/node/title"), "one");
        let data = reply.text.split_once("\"data\"").unwrap().1;
        let places: Vec<_> = ["\"posts\"", "\"users\"", "\"me\""].map(|key| data.find(key)).into();
        assert!(places.is_sorted(), "in the query's order: {data}");
    }

    /// ASVS: 4.1.3, 15.2.2
    async fn a_body_may_have_256_kib(server: TestServer) {
        let anyone = server.anonymous();
        let body = |length: usize| {
            let frame = json!({ "query": "{ me { id } }", "x": "" }).to_string();
            let filler = "x".repeat(length - frame.len());
            json!({ "query": "{ me { id } }", "x": filler }).to_string()
        };
        let limit = usize::try_from(server.app.config.max_body_bytes).unwrap();
        assert_eq!(limit, 256 * 1024);
        let reply = anyone.post(body(limit)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let reply = anyone.post(body(limit + 1)).await;
        assert_eq!(reply.status, 413);
        well_formed(&reply);
        // Without saying how long it is (chunked).
        let chunks = move |length: usize| {
            let text = body(length).into_bytes();
            let parts: Vec<Result<Vec<u8>, std::io::Error>> = text.chunks(10_000).map(|part| Ok(part.to_vec())).collect();
            reqwest::Body::wrap_stream(futures_util::stream::iter(parts))
        };
        assert_eq!(anyone.post(chunks(limit)).await.status, 200);
        assert_eq!(anyone.post(chunks(limit + 1)).await.status, 413);
    }
}
