//! GraphQL over WebSocket: the `graphql-transport-ws` protocol, by the book.
//!
//! The handshake has passed every filter that a request passes, the origin check included (ASVS
//! 4.4.2). `connection_init` says who is there; after that the application decides about each
//! operation as it does over HTTP. The socket closes when the session ends (ASVS 4.4.4).

use super::door::{Door, SocketSession};
use super::inbound::Inbound;
use super::overload::Held;
use super::socket_message::{Incoming, complete, error, next, parse};
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{Sink, SinkExt, Stream, StreamExt, stream};
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use warp::ws::Message;

/// The subprotocol's name.
pub(crate) const PROTOCOL: &str = "graphql-transport-ws";
/// Operations at once on one socket.
const OPERATIONS: usize = 32;
/// Messages a socket may send in [`WINDOW`].
const MESSAGES: u32 = 600;
/// What messages are counted over.
const WINDOW: Duration = Duration::from_secs(60);
/// How often the far end must show that it is there.
const PING: Duration = Duration::from_secs(20);

/// Why a socket is closed: code and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close(pub u16, pub &'static str);

/// Codes of the protocol, and of RFC 6455.
impl Close {
    /// The server stops.
    pub const GOING_AWAY: Self = Self(1001, "the server stops");
    /// More messages than anybody needs.
    pub const POLICY: Self = Self(1008, "too many messages");
    /// Not a message of the protocol.
    pub const INVALID: Self = Self(4400, "invalid message");
    /// An operation before the acknowledgement.
    pub const UNAUTHORIZED: Self = Self(4401, "Unauthorized");
    /// Not with these credentials, or no longer.
    pub const FORBIDDEN: Self = Self(4403, "Forbidden");
    /// The client does not speak the protocol.
    pub const PROTOCOL: Self = Self(4406, "Subprotocol not acceptable");
    /// No `connection_init` in time.
    pub const INIT_TIMEOUT: Self = Self(4408, "Connection initialisation timeout");
    /// A second `connection_init`.
    pub const INIT_TWICE: Self = Self(4429, "Too many initialisation requests");
}

/// Who a socket belongs to before `connection_init`.
pub(crate) struct Handshake {
    pub(crate) door: Door,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) headers: HeaderMap,
    /// Its place among the sockets of its address.
    pub(crate) held: Held,
    /// Keeps the server from leaving before this socket has said goodbye.
    pub(crate) task: TaskTrackerToken,
}

/// Whether the client offers the subprotocol.
pub(crate) fn is_offered(headers: &HeaderMap) -> bool {
    let lines = headers.get_all("sec-websocket-protocol").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| name.trim() == PROTOCOL)
}

/// Speaks the protocol on `socket` until it ends, then closes it with the code that says why.
pub(crate) async fn speak<S, E>(handshake: Handshake, mut socket: S)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
{
    let outcome = if is_offered(&handshake.headers) {
        converse(&handshake, &mut socket).await
    } else {
        Err(Close::PROTOCOL)
    };
    if let Err(Close(code, reason)) = outcome {
        let _ = socket.send(Message::close_with(code, reason)).await;
    }
    let _ = socket.close().await;
    drop((handshake.held, handshake.task));
}

/// What operations yield: their id, and a payload, errors (both JSON), or the end.
type Output = (String, Result<Option<String>, String>);

/// One socket's conversation.
struct Conversation<'a, S> {
    socket: &'a mut S,
    session: Option<Box<dyn SocketSession>>,
    /// Operations under way: cancelled when the client completes them.
    running: HashMap<String, CancellationToken>,
    outputs: SelectAll<BoxStream<'static, Output>>,
}

/// Runs until the client goes (`Ok`) or the socket is to be closed.
async fn converse<S, E>(handshake: &Handshake, socket: &mut S) -> Result<(), Close>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
{
    let door = &handshake.door;
    let patience = Duration::from_millis(door.config().header_timeout_ms);
    let mut init = Box::pin(tokio::time::sleep(patience));
    let mut ended: futures_util::future::BoxFuture<'static, ()> = Box::pin(std::future::pending());
    let mut ping = tokio::time::interval(PING);
    ping.reset();
    let mut heard = true;
    let mut window = (door.clock().monotonic(), 0u32);
    let mut talk = Conversation { socket, session: None, running: HashMap::new(), outputs: SelectAll::new() };
    loop {
        tokio::select! {
            () = door.draining().cancelled() => return Err(Close::GOING_AWAY),
            () = &mut ended => return Err(Close::FORBIDDEN),
            () = &mut init, if talk.session.is_none() => return Err(Close::INIT_TIMEOUT),
            _ = ping.tick() => {
                if !heard {
                    return Ok(());
                }
                heard = false;
                talk.send(Message::ping(Vec::new())).await?;
            }
            Some(output) = talk.outputs.next() => talk.put_out(output).await?,
            message = talk.socket.next() => {
                let Some(Ok(message)) = message else { return Ok(()) };
                heard = true;
                let now = door.clock().monotonic();
                if now.saturating_sub(window.0) >= WINDOW {
                    window = (now, 0);
                }
                window.1 += 1;
                if window.1 > MESSAGES {
                    return Err(Close::POLICY);
                }
                if message.is_close() {
                    return Ok(());
                }
                if message.is_ping() || message.is_pong() {
                    continue;
                }
                let text = message.to_str().map_err(|()| Close::INVALID)?;
                match parse(text).ok_or(Close::INVALID)? {
                    Incoming::Init(_) if talk.session.is_some() => return Err(Close::INIT_TWICE),
                    Incoming::Init(payload) => {
                        let connect = door.backend().connect(
                            handshake.inbound.clone(),
                            handshake.headers.clone(),
                            payload,
                        );
                        let session = tokio::time::timeout(patience, connect)
                            .await
                            .map_err(|_| Close::INIT_TIMEOUT)??;
                        ended = session.ended();
                        talk.session = Some(session);
                        talk.send(Message::text(r#"{"type":"connection_ack"}"#)).await?;
                    }
                    other => talk.take_in(other).await?,
                }
            }
        }
    }
}

impl<S, E> Conversation<'_, S>
where
    S: Sink<Message, Error = E> + Unpin,
{
    /// Sends; a far end that is gone ends the conversation without a code that anybody could read.
    async fn send(&mut self, message: Message) -> Result<(), Close> {
        self.socket.send(message).await.map_err(|_| Close::GOING_AWAY)
    }

    /// What the client says, once it is known who it is.
    async fn take_in(&mut self, message: Incoming) -> Result<(), Close> {
        match message {
            Incoming::Init(_) => Err(Close::INIT_TWICE),
            Incoming::Ping => self.send(Message::text(r#"{"type":"pong"}"#)).await,
            Incoming::Pong => Ok(()),
            Incoming::Complete(id) => {
                if let Some(cancel) = self.running.remove(&id) {
                    cancel.cancel();
                }
                Ok(())
            }
            Incoming::Subscribe(id, operation) => {
                let session = self.session.as_ref().ok_or(Close::UNAUTHORIZED)?;
                if self.running.contains_key(&id) {
                    // The protocol wants the id in the reason; it is the client's own text, so it is not echoed.
                    return Err(Close(4409, "Subscriber already exists"));
                }
                if self.running.len() >= OPERATIONS {
                    let text =
                        r#"[{"message":"too many operations at once","extensions":{"code":"RATE_LIMITED"}}]"#;
                    return self.send(Message::text(error(&id, text))).await;
                }
                let cancel = CancellationToken::new();
                let name = id.clone();
                let end = (id.clone(), Ok(None));
                let outputs = session
                    .subscribe(operation)
                    .map(move |output| (name.clone(), output.map(Some)))
                    .chain(stream::once(std::future::ready(end)))
                    .take_until(cancel.clone().cancelled_owned());
                self.outputs.push(outputs.boxed());
                self.running.insert(id, cancel);
                Ok(())
            }
        }
    }

    /// What an operation yields.
    async fn put_out(&mut self, (id, output): Output) -> Result<(), Close> {
        if !self.running.contains_key(&id) {
            return Ok(());
        }
        match output {
            Ok(Some(payload)) => self.send(Message::text(next(&id, &payload))).await,
            Ok(None) => {
                self.running.remove(&id);
                self.send(Message::text(complete(&id))).await
            }
            // Errors end the operation: nothing follows, not even `complete`.
            Err(errors) => {
                if let Some(cancel) = self.running.remove(&id) {
                    cancel.cancel();
                }
                self.send(Message::text(error(&id, &errors))).await
            }
        }
    }
}
