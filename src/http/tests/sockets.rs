//! `graphql-transport-ws`, spoken by a client that does not behave.

use super::kit::{Running, start};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(server: &Running, headers: &[(&'static str, &'static str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        request.headers_mut().insert("user-agent", "t".parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket whose session is acknowledged.
    async fn ready(server: &Running, headers: &[(&'static str, &'static str)]) -> Self {
        let mut socket = Self::open(server, headers).await.unwrap();
        socket.say(r#"{"type":"connection_init"}"#).await;
        assert_eq!(socket.hear().await, r#"{"type":"connection_ack"}"#);
        socket
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        self.0.next().await.unwrap().unwrap().to_text().unwrap().to_owned()
    }

    /// The code the server closes with.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.0.next().await.unwrap().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }
}

#[tokio::test]
async fn an_operation_yields_its_results_and_completes() {
    let server = start(&[]).await;
    let mut socket = Socket::ready(&server, &[]).await;
    socket.say(r#"{"type":"ping"}"#).await;
    assert_eq!(socket.hear().await, r#"{"type":"pong"}"#);
    socket.say(r#"{"type":"subscribe","id":"a","payload":{"query":"count"}}"#).await;
    for expected in [
        r#"{"id":"a","type":"next","payload":{"data":{"n":1}}}"#,
        r#"{"id":"a","type":"next","payload":{"data":{"n":2}}}"#,
        r#"{"id":"a","type":"complete"}"#,
    ] {
        assert_eq!(socket.hear().await, expected);
    }
    socket.say(r#"{"type":"subscribe","id":"a","payload":{"query":"fail"}}"#).await;
    assert_eq!(socket.hear().await, r#"{"id":"a","type":"error","payload":[{"message":"no"}]}"#);
    // A completed id is free again, and nothing comes after the client's own `complete`.
    socket.say(r#"{"type":"subscribe","id":"a","payload":{"query":"forever"}}"#).await;
    assert_eq!(socket.hear().await, r#"{"id":"a","type":"next","payload":{"data":{"n":0}}}"#);
    socket.say(r#"{"type":"complete","id":"a"}"#).await;
    socket.say(r#"{"type":"ping"}"#).await;
    assert_eq!(socket.hear().await, r#"{"type":"pong"}"#);
}

/// ASVS: 4.4.3
#[tokio::test]
async fn each_breach_of_the_protocol_has_its_code() {
    let server = start(&[]).await;
    let init = r#"{"type":"connection_init"}"#;
    let forever = r#"{"type":"subscribe","id":"a","payload":{"query":"forever"}}"#;
    for (messages, code) in [
        (vec!["rubbish"], 4400),
        (vec![r#"{"type":"nonsense"}"#], 4400),
        (vec![init, r#"{"type":"subscribe","id":"","payload":{"query":"x"}}"#], 4400),
        (vec![forever], 4401),
        (vec![r#"{"type":"connection_init","payload":{"wrong":1}}"#], 4403),
        (vec![init, forever, forever], 4409),
        (vec![init, init], 4429),
    ] {
        let mut socket = Socket::open(&server, &[]).await.unwrap();
        for message in &messages {
            socket.say(message).await;
        }
        assert_eq!(socket.closed().await, code, "{messages:?}");
    }
    let mut socket = Socket::ready(&server, &[]).await;
    socket.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(socket.closed().await, 4400);
}

/// ASVS: 15.2.2
#[tokio::test]
async fn a_silent_socket_and_a_flood_are_closed() {
    let server = start(&[("header_timeout_ms", "100")]).await;
    assert_eq!(Socket::open(&server, &[]).await.unwrap().closed().await, 4408);
    let mut socket = Socket::ready(&server, &[]).await;
    for _ in 0..600 {
        // The server may have closed before the last of them.
        let _ = socket.0.feed(Message::text(r#"{"type":"pong"}"#)).await;
    }
    let _ = socket.0.flush().await;
    assert_eq!(socket.closed().await, 1008);
}

/// ASVS: 4.4.4, 7.4.1, 8.3.2
#[tokio::test]
async fn a_socket_ends_with_its_session_and_with_the_server() {
    let mut server = start(&[]).await;
    let mut signed_in = Socket::ready(&server, &[("cookie", "session=x")]).await;
    let mut anonymous = Socket::ready(&server, &[]).await;
    server.backend.session_ends.notify_one();
    assert_eq!(signed_in.closed().await, 4403);
    server.stop();
    assert_eq!(anonymous.closed().await, 1001);
    (&mut server.serving).await.unwrap().unwrap();
}

/// ASVS: 4.4.2
#[tokio::test]
async fn a_foreign_page_opens_no_socket() {
    let server = start(&[("cors_origins", "https://app.example")]).await;
    for (origin, expected) in [
        ("https://app.example", None),
        ("https://evil.example", Some(403)),
        ("null", Some(403)),
        ("https://app.example.evil.example", Some(403)),
    ] {
        assert_eq!(Socket::open(&server, &[("origin", origin)]).await.err(), expected, "{origin}");
    }
}

#[tokio::test]
async fn another_subprotocol_is_4406_and_sockets_of_an_address_are_capped() {
    let server = start(&[]).await;
    let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
    request.headers_mut().insert("user-agent", "t".parse().unwrap());
    let (socket, _) = connect_async(request).await.unwrap();
    assert_eq!(Socket(socket).closed().await, 4406);
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Socket::ready(&server, &[]).await);
    }
    assert_eq!(Socket::open(&server, &[]).await.err(), Some(429));
}
