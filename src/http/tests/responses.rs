//! What every answer carries, and that the server outlives its handlers.

use super::kit::start;

/// ASVS: 16.5.4, 16.5.1
#[tokio::test]
async fn a_panic_is_one_masked_500_and_the_server_lives() {
    let server = start(&[]).await;
    let client = reqwest::Client::new();
    let answer = client
        .post(server.url("/graphql"))
        .header("content-type", "application/json")
        .body("panic")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 500);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "INTERNAL");
    assert_eq!(body["errors"][0]["extensions"]["requestId"], id);
    assert!(!body.to_string().contains("resolver"));
    let answer = client
        .post(server.url("/graphql"))
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn requests_under_way_finish_when_the_server_stops() {
    let mut server = start(&[]).await;
    let backend = server.backend.clone();
    let url = server.url("/graphql");
    let waiting = tokio::spawn(
        reqwest::Client::new().post(url).header("content-type", "application/json").body("wait").send(),
    );
    backend.arrived.notified().await;
    server.stop();
    backend.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    (&mut server.serving).await.unwrap().unwrap();
}

/// Every status this door can answer by itself, except those that need a malformed head (see
/// `protocol`), a slow or a large body, or a crowd (see `limits`).
///
/// ASVS: 3.4.1, 3.4.3, 3.4.4, 3.4.5, 3.4.6, 3.4.8, 3.5.8, 4.1.1, 4.1.4, 13.4.4, 13.4.6, 14.3.2
#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = start(&[("hosts", "127.0.0.1"), ("cors_origins", "https://app.example")]).await;
    let client = reqwest::Client::builder().user_agent("t").build().unwrap();
    for (method, path, header, status, code) in [
        ("GET", "/health", ("accept", "*/*"), 200, ""),
        ("HEAD", "/health", ("accept", "*/*"), 200, ""),
        ("GET", "/health/ready", ("accept", "*/*"), 200, ""),
        ("GET", "/.well-known/jwks.json", ("accept", "*/*"), 200, ""),
        ("GET", "/graphql?query=x", ("accept", "*/*"), 200, ""),
        ("GET", "/csrf", ("cookie", "session=x"), 200, ""),
        ("OPTIONS", "/graphql", ("origin", "https://app.example"), 204, ""),
        ("GET", "/id=1'+or+'1'='1", ("accept", "*/*"), 400, "SUSPICIOUS_REQUEST"),
        ("GET", "/csrf", ("accept", "*/*"), 401, "UNAUTHENTICATED"),
        ("GET", "/health", ("origin", "https://evil.example"), 403, "FORBIDDEN"),
        ("GET", "/nothing", ("accept", "*/*"), 404, "NOT_FOUND"),
        ("GET", "/health/detailed", ("accept", "*/*"), 404, "NOT_FOUND"),
        ("GET", "/metrics", ("accept", "*/*"), 404, "NOT_FOUND"),
        ("DELETE", "/graphql", ("accept", "*/*"), 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/health", ("accept", "*/*"), 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/graphql", ("content-type", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("GET", "/health", ("host", "evil.example"), 421, "MISDIRECTED_REQUEST"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method.clone(), server.url(path)).header(header.0, header.1);
        let answer = request.send().await.unwrap();
        let what = format!("{method} {path} {header:?}");
        assert_eq!(answer.status(), status, "{what}");
        let headers = answer.headers().clone();
        for (name, value) in super::super::headers::SECURITY {
            assert_eq!(headers.get(&name), Some(&value), "{what}: {name}");
        }
        assert!(headers.contains_key("x-request-id") && !headers.contains_key("server"), "{what}");
        assert_eq!(headers.contains_key("allow"), matches!(status, 204 | 405), "{what}");
        if !code.is_empty() {
            assert_eq!(headers["content-type"], "application/json; charset=utf-8", "{what}");
            let body: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(body["errors"][0]["extensions"]["code"], code, "{what}");
            let id = body["errors"][0]["extensions"]["requestId"].as_str().unwrap();
            assert_eq!(id, headers["x-request-id"], "{what}");
        }
    }
}

/// ASVS: 16.3.3
#[tokio::test]
async fn repeated_suspicion_is_recorded_and_bans_the_address() {
    let server = start(&[]).await;
    let probe = || reqwest::get(server.url("/.git/config?x=%2e%2e%2fetc/passwd&y=<script>"));
    let codes = [probe().await, probe().await, probe().await].map(|answer| answer.unwrap().status().as_u16());
    assert_eq!(codes, [400, 400, 403]);
    let incidents = server.backend.incidents.lock().unwrap();
    assert!(incidents[0].refused && incidents[0].rules.contains(&"PATH_TRAVERSAL"));
}

/// A post may discuss an injection: documents are not looked into.
#[tokio::test]
async fn a_graphql_document_is_never_suspicious() {
    let server = start(&[]).await;
    let url = server.url("/graphql?query={post(q:\"<script>'%20or%20'1'='1\"){id}}");
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn without_a_build_the_playground_says_how_to_get_it_and_production_has_none() {
    let server = start(&[]).await;
    let page = reqwest::get(server.url("/graphiql")).await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    let off = start(&[("playground", "false")]).await;
    assert_eq!(reqwest::get(off.url("/graphiql")).await.unwrap().status(), 404);
}
