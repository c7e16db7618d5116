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
