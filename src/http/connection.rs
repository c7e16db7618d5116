//! One connection: encrypted if so configured, then HTTP/1.1 or 2 within limits, to its end.

use super::activity::Activity;
use super::door::Door;
use super::edge::Edge;
use super::inbound::Peer;
use super::io::Guarded;
use super::overload::Held;
use axum_core::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Header lines of one request at most.
const HEADERS: usize = 100;
/// Bytes of a request's head, and of what is read ahead.
const BUFFER: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// Bytes of one decoded HTTP/2 header list.
const HEADER_LIST: u32 = 32 * 1024;
/// Streams that a peer reset before they were accepted (CVE-2023-44487, rapid reset).
const RESETS: usize = 20;
/// Streams reset for a peer's own errors (the reverse of it).
const ERRORS: usize = 64;
/// How long an idle HTTP/2 connection stays, and how often its peer must show that it is there.
const IDLE: Duration = Duration::from_secs(60);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A connection's places, in all and of its address, held until its stream is dropped: also by a
/// WebSocket.
#[derive(Debug)]
pub(crate) struct Places(
    #[allow(dead_code, reason = "held, not read")] pub(crate) OwnedSemaphorePermit,
    #[allow(dead_code, reason = "held, not read")] pub(crate) Option<Held>,
);

/// Speaks HTTP on connections for one service.
#[derive(Clone)]
pub(crate) struct Speaker<S> {
    door: Door,
    tls: Option<TlsAcceptor>,
    builder: Arc<Builder<TokioExecutor>>,
    service: S,
}

impl<S> Speaker<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    /// For connections to `door`, all encrypted when there is an acceptor.
    pub(crate) fn new(door: Door, tls: Option<TlsAcceptor>, service: S) -> Self {
        let builder = Arc::new(builder(&door));
        Self { door, tls, builder, service }
    }

    /// Serves `stream` until it ends.
    pub(crate) async fn speak(self, stream: TcpStream, peer: Peer, activity: Arc<Activity>, places: Places) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            return self.exchange(stream, peer, activity, places).await;
        };
        let patience = Duration::from_millis(self.door.config().header_timeout_ms);
        match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.exchange(stream, Peer { tls: true, ..peer }, activity, places).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// Requests and answers over a stream that is ready for them.
    async fn exchange<I>(self, stream: I, peer: Peer, activity: Arc<Activity>, places: Places)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { door, builder, service, .. } = self;
        let stream = TokioIo::new(Guarded::new(stream, door.clone(), activity.clone(), places));
        let edge = Edge { door: door.clone(), peer, activity: activity.clone(), inner: service };
        let mut serving = pin!(builder.serve_connection_with_upgrades(stream, edge));
        let stuck = longest(&door);
        let mut leaving = false;
        let ended = loop {
            tokio::select! {
                ended = serving.as_mut() => break ended,
                () = door.draining().cancelled(), if !leaving => {
                    leaving = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep(LOOK.min(stuck)) => match activity.still() {
                    (still, true) if still > stuck => return tracing::debug!("dropped a stuck connection"),
                    (still, false) if still > IDLE && !leaving => {
                        leaving = true;
                        serving.as_mut().graceful_shutdown();
                    }
                    (still, false) if still > IDLE * 2 => return tracing::debug!("dropped an idle connection"),
                    _ => {}
                },
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// How long a request may be under way without its answer moving: read, run, and one wait to be written.
fn longest(door: &Door) -> Duration {
    let config = door.config();
    Duration::from_millis(config.body_timeout_ms + config.operation_timeout_ms + config.header_timeout_ms)
}

/// How connections speak HTTP. hyper's timeouts need the timer: without it they never fire.
fn builder(door: &Door) -> Builder<TokioExecutor> {
    let header_timeout = Duration::from_millis(door.config().header_timeout_ms);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(ERRORS)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(IDLE / 3)
        .keep_alive_timeout(IDLE / 3);
    builder
}
