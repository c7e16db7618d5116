//! What a page on another origin can do: nothing.

use super::kit::start;
use http::Method;

/// ASVS: 3.4.2, 3.5.2
#[tokio::test]
async fn only_listed_origins_may_read_and_preflights_say_so() {
    let server = start(&[("cors_origins", "https://app.example")]).await;
    let client = reqwest::Client::new();
    for (method, origin, status, allowed) in [
        (Method::OPTIONS, "https://app.example", 204, true),
        (Method::GET, "https://app.example", 200, true),
        (Method::OPTIONS, "https://evil.example", 403, false),
        (Method::GET, "https://evil.example", 403, false),
        (Method::GET, "null", 403, false),
        (Method::GET, "https://app.example:8443", 403, false),
        (Method::POST, "https://app.example", 405, true),
    ] {
        let request = client.request(method.clone(), server.url("/health")).header("origin", origin);
        let answer = request.header("access-control-request-method", "POST").send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(answer.status(), status, "{method} {origin}");
        let echoed = headers.get("access-control-allow-origin").map(|v| v.to_str().unwrap());
        assert_eq!(echoed, allowed.then_some(origin), "{method} {origin}");
        assert_eq!(headers.contains_key("access-control-allow-credentials"), allowed);
        assert_eq!(headers.contains_key("access-control-max-age"), status == 204);
        assert!(headers.get_all("vary").iter().any(|v| v == "origin"), "{method} {origin}");
    }
}

/// ASVS: 3.5.2
#[tokio::test]
async fn what_a_form_can_send_is_no_graphql_request() {
    let server = start(&[]).await;
    let client = reqwest::Client::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let mut request = client.post(server.url("/graphql")).body("{}");
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        assert_eq!(request.send().await.unwrap().status(), 415, "{kind}");
    }
}
