//! A running door to test against.

use super::super::{
    Backend, Close, Door, GraphqlRequest, Inbound, Incident, Readiness, SocketSession, serve,
};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use http::{HeaderMap, Response};
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// An application that echoes, waits or panics as its query says.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) incidents: Mutex<Vec<Incident>>,
    pub(super) banned: Mutex<Vec<IpAddr>>,
    /// A request for `wait` has arrived.
    pub(super) arrived: Notify,
    /// Lets one request for `wait` go on.
    pub(super) go_on: Notify,
    /// Ends the session of a WebSocket that came with a cookie.
    pub(super) session_ends: Arc<Notify>,
}

impl Backend for Fake {
    fn graphql(&self, request: GraphqlRequest) -> BoxFuture<'_, Response<Bytes>> {
        async move {
            match request.body.as_ref() {
                b"large" => return Response::new(vec![b'x'; 1 << 20].into()),
                b"panic" => panic!("a resolver went wrong"),
                b"wait" => {
                    self.arrived.notify_one();
                    self.go_on.notified().await;
                }
                _ => {}
            }
            let inbound = &request.inbound;
            let seen = serde_json::json!({
                "address": inbound.address, "host": inbound.host, "https": inbound.https,
                "requestId": inbound.request_id, "bytes": request.body.len(), "query": request.query,
            });
            Response::builder()
                .header("content-type", "application/json; charset=utf-8")
                .body(seen.to_string().into())
                .unwrap()
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Readiness> {
        async { Readiness { ready: true, parts: serde_json::json!({"database": "ok"}) } }.boxed()
    }

    fn health(&self) -> BoxFuture<'_, serde_json::Value> {
        async { serde_json::json!({"parts": []}) }.boxed()
    }

    fn metrics(&self) -> String {
        "requests_total 1\n".to_owned()
    }

    fn csrf_token<'a>(&'a self, _: &'a Inbound, headers: &'a HeaderMap) -> BoxFuture<'a, Option<String>> {
        async { headers.contains_key("cookie").then(|| "token".to_owned()) }.boxed()
    }

    fn jwks(&self) -> Bytes {
        Bytes::from_static(b"{\"keys\":[]}")
    }

    fn connect(
        &self,
        _: Arc<Inbound>,
        headers: HeaderMap,
        payload: Option<Map<String, Value>>,
    ) -> BoxFuture<'_, Result<Box<dyn SocketSession>, Close>> {
        let refused = payload.is_some_and(|payload| payload.contains_key("wrong"));
        let ended = headers.contains_key("cookie").then(|| self.session_ends.clone());
        async move {
            if refused { Err(Close::FORBIDDEN) } else { Ok(Box::new(FakeSession(ended)) as Box<_>) }
        }
        .boxed()
    }

    fn report(&self, incident: Incident) -> BoxFuture<'_, ()> {
        async move { self.incidents.lock().unwrap().push(incident) }.boxed()
    }

    fn is_banned(&self, address: IpAddr) -> bool {
        self.banned.lock().unwrap().contains(&address)
    }

    fn ban(&self, address: IpAddr, _: &'static str) -> BoxFuture<'_, ()> {
        async move { self.banned.lock().unwrap().push(address) }.boxed()
    }
}

/// Whose session ends when told, if it has one.
struct FakeSession(Option<Arc<Notify>>);

impl SocketSession for FakeSession {
    fn subscribe(&self, operation: Map<String, Value>) -> BoxStream<'static, Result<String, String>> {
        let data = |n: u32| Ok(format!("{{\"data\":{{\"n\":{n}}}}}"));
        match operation["query"].as_str().unwrap() {
            "forever" => stream::once(async move { data(0) }).chain(stream::pending()).boxed(),
            "fail" => stream::iter([Err("[{\"message\":\"no\"}]".to_owned())]).boxed(),
            _ => stream::iter((1..3).map(data)).boxed(),
        }
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        match self.0.clone() {
            Some(ended) => async move { ended.notified().await }.boxed(),
            None => std::future::pending().boxed(),
        }
    }
}

/// A door that listens; it is told to stop when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) backend: Arc<Fake>,
    pub(super) serving: JoinHandle<std::io::Result<()>>,
    pub(super) stop: Option<oneshot::Sender<()>>,
}

/// Starts a door with these settings (`name`, `value`) over the defaults.
pub(super) async fn start(settings: &[(&str, &str)]) -> Running {
    let sources = settings.iter().fold(Sources::default(), |sources, (name, value)| {
        sources.with(&format!("PORTCULLIS_{}", name.to_uppercase()), value)
    });
    let config = Arc::new(Config::load(sources).unwrap());
    let backend = Arc::new(Fake::default());
    let door = Door::new(config, Clock::system(), backend.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(serve(door, listener, async {
        let _ = stopped.await;
    }));
    Running { address, backend, serving, stop: Some(stop) }
}

impl Running {
    /// `path` on this server.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection with nothing sent on it yet.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` as it stands and returns all that comes back until the server closes.
    pub(super) async fn raw(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        // The server may refuse and close before it has read everything.
        let _ = stream.write_all(text.as_bytes()).await;
        read_all(stream).await
    }

    /// Tells the server to stop.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// All that comes until the far end closes.
pub(super) async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
