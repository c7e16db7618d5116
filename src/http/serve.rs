//! The accept loop: connections in, connections out, and nothing left hanging.

use super::client;
use super::door::Door;
use super::edge::{Answer, Edge};
use super::inbound::Peer;
use super::pipeline;
use super::shield::Shield;
use axum_core::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::Layer;
use tower_http::map_response_body::MapResponseBody;

/// Answers requests from `listener` until `shutdown` completes; then finishes what is under way,
/// for `shutdown_timeout_ms` at most.
///
/// # Errors
/// The listener is lost.
pub async fn serve(
    door: Door,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let filters = warp::service(pipeline(door.clone()));
    let shield = Shield::new(door.clone())
        .ok_or_else(|| std::io::Error::other("shield_per_second and shield_burst must be 1 or more"))?;
    let service = shield.layer(MapResponseBody::new(filters, Body::new));
    let _sweeper = AbortOnDropHandle::new(tokio::spawn(shield.sweep()));
    let builder = builder(&door);
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => { pause_after(&error).await; continue }
            },
            () = &mut shutdown => break,
        };
        let Ok(address) = stream.peer_addr() else { continue };
        let peer = Peer { address: client::folded(address.ip()), tls: false };
        let edge = Edge { door: door.clone(), peer, inner: service.clone() };
        connections.spawn(connection(builder.clone(), stream, edge, door.draining().clone()));
    }
    drop(listener);
    door.draining().cancel();
    connections.close();
    let deadline = Duration::from_millis(door.config().shutdown_timeout_ms);
    if tokio::time::timeout(deadline, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still open at the shutdown deadline");
    }
    Ok(())
}

/// Serves one connection until it ends, or until its current requests end when draining.
async fn connection<S>(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    edge: S,
    draining: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future = Answer>
        + Send
        + 'static,
{
    let _ = stream.set_nodelay(true);
    let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), edge));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = draining.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// How connections speak HTTP.
fn builder(door: &Door) -> Builder<TokioExecutor> {
    let header_timeout = Duration::from_millis(door.config().header_timeout_ms);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new());
    builder
}

/// Out of file descriptors: a moment later there may be some. Other errors concern one connection.
async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    let of_one = matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::ConnectionRefused
    );
    if !of_one {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
