//! GraphQL over WebSocket: the protocol's codes, subscriptions, and that sockets end with their session.

use crate::harness::TestServer;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Shakes hands with these headers besides the subprotocol; the status if that is refused.
async fn shake(server: &TestServer, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let url = server.url("/graphql").replace("http://", "ws://");
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("user-agent", "tests".parse().unwrap());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((stream, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");
            Ok(Socket(stream))
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

impl Socket {
    async fn open(server: &TestServer, token: Option<&str>) -> Self {
        let mut socket = shake(server, &[PROTOCOL]).await.unwrap();
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    /// The next message of the protocol.
    async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The code with which the server closes, whatever it says before.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }
}

both! {
    async fn queries_and_mutations_are_answered_like_over_http(server: TestServer) {
        let ada = server.user("ada").await;
        let mut socket = Socket::open(&server, ada.token.as_deref()).await;
        socket.subscribe("1", "{ me { username } }").await;
        let next = socket.hear().await;
        assert_eq!((next["type"].as_str(), next["id"].as_str()), (Some("next"), Some("1")));
        assert_eq!(next["payload"]["data"]["me"]["username"], "ada");
        assert_eq!(socket.hear().await, json!({ "type": "complete", "id": "1" }));
        socket.subscribe("2", "{ nonsense }").await;
        let error = socket.hear().await;
        assert_eq!(error["type"], "error");
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        let create = "mutation { createPost(input: { title: \"t\", body: \"b\" }) { post { id } } }";
        socket.subscribe("3", create).await;
        assert!(socket.hear().await["payload"]["data"]["createPost"]["post"]["id"].is_string());
    }

    /// ASVS: 4.4.4, 7.4.1
    async fn a_subscription_delivers_until_its_session_ends(server: TestServer) {
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        let mut socket = Socket::open(&server, ada.token.as_deref()).await;
        socket.subscribe("posts", "subscription { postPublished { title author { username } } }").await;
        // The answer to a query after it shows that the subscription has begun.
        socket.subscribe("q", "{ me { id } }").await;
        while socket.hear().await["type"] != "complete" {}
        bob.create_post("hidden", "PRIVATE").await;
        bob.create_post("shown", "PUBLIC").await;
        let next = socket.hear().await;
        assert_eq!(next["payload"]["data"]["postPublished"], json!({ "title": "shown", "author": { "username": "bob" } }));
        ada.query("mutation { logout { done } }", json!({})).await.ok();
        assert_eq!(socket.closed().await, 4403);
    }

    /// ASVS: 8.3.2
    async fn a_changed_role_ends_the_socket_that_was_opened_with_the_old_one(server: TestServer) {
        let (root, mira) = (server.admin().await, server.moderator().await);
        let mut socket = Socket::open(&server, mira.token.as_deref()).await;
        let input = json!({ "id": mira.id, "role": "USER", "reason": "test" });
        root.mutate("setUserRole", input, "user { role }").await.ok();
        assert_eq!(socket.closed().await, 4403);
    }

    /// ASVS: 8.2.1, 8.2.2
    async fn nobody_hears_what_they_may_not_query(server: TestServer) {
        let ada = server.user("ada").await;
        let mut socket = Socket::open(&server, ada.token.as_deref()).await;
        socket.subscribe("1", "subscription { auditEventRecorded { id } }").await;
        let refused = socket.hear().await;
        let errors = if refused["type"] == "error" { &refused["payload"] } else { &refused["payload"]["errors"] };
        assert_eq!(errors[0]["extensions"]["code"], "FORBIDDEN", "{refused}");
        let mut stranger = Socket::open(&server, None).await;
        stranger.subscribe("1", "subscription { mySecurityEvents { id } }").await;
        let refused = stranger.hear().await;
        let errors = if refused["type"] == "error" { &refused["payload"] } else { &refused["payload"]["errors"] };
        assert_eq!(errors[0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
    }
}

/// ASVS: 4.4.2, 4.4.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_is_refused_to_other_origins() {
    let server = TestServer::start(crate::harness::Kind::Sqlite).await;
    assert_eq!(shake(&server, &[PROTOCOL, ("origin", "https://evil.example")]).await.err(), Some(403));
    let own = server.url("");
    assert!(shake(&server, &[PROTOCOL, ("origin", own.trim_end_matches('/'))]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaking_the_protocol_closes_with_its_code() {
    let server = TestServer::start(crate::harness::Kind::Sqlite).await;
    let mut early = shake(&server, &[PROTOCOL]).await.unwrap();
    early.subscribe("1", "{ me { id } }").await;
    assert_eq!(early.closed().await, 4401);
    let mut garbled = shake(&server, &[PROTOCOL]).await.unwrap();
    garbled.say(json!({ "type": "start" })).await;
    assert_eq!(garbled.closed().await, 4400);
    let mut liar = shake(&server, &[PROTOCOL]).await.unwrap();
    liar.say(json!({ "type": "connection_init", "payload": { "authorization": "Bearer nonsense" } })).await;
    assert_eq!(liar.closed().await, 4403);
    let mut eager = Socket::open(&server, None).await;
    eager.say(json!({ "type": "connection_init" })).await;
    assert_eq!(eager.closed().await, 4429);
    let mut twice = Socket::open(&server, None).await;
    twice.subscribe("1", "subscription { postPublished { id } }").await;
    twice.subscribe("1", "subscription { postPublished { id } }").await;
    assert_eq!(twice.closed().await, 4409);
    let mut many = Socket::open(&server, None).await;
    for id in 0..33 {
        many.subscribe(&id.to_string(), "subscription { postPublished { id } }").await;
    }
    let mut last = many.hear().await;
    while last["id"] != "32" {
        last = many.hear().await;
    }
    assert_eq!(last["type"], "error", "{last}");
}
