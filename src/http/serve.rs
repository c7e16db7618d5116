//! The accept loop: connections in, connections out, and nothing left hanging.

use super::activity::Activity;
use super::client;
use super::connection::{Places, Speaker};
use super::door::Door;
use super::inbound::Peer;
use super::management;
use super::pipeline;
use super::shield::Shield;
use super::tls::Tls;
use axum_core::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;
use tower::{Layer, Service};
use tower_http::map_response_body::MapResponseBody;

/// Connections to the management listener at most.
const MANAGEMENT_CONNECTIONS: usize = 64;

/// Answers requests from `listener` until `shutdown` completes; then finishes what is under way,
/// for `shutdown_timeout_ms` at most.
///
/// # Errors
/// The TLS certificate does not load.
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
    let tls = Tls::configured(&door)?;
    let _fresh = tls.as_ref().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh())));
    let total = door.config().max_connections as usize;
    run(door, listener, tls, total, service, shutdown).await;
    Ok(())
}

/// Answers health and metrics requests from `listener`, which is for operators only, until
/// `shutdown` completes.
///
/// # Errors
/// None yet.
pub async fn serve_management(
    door: Door,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let filters = warp::service(management::pipeline(door.clone()));
    let service = MapResponseBody::new(filters, Body::new);
    run(door, listener, None, MANAGEMENT_CONNECTIONS, service, shutdown).await;
    Ok(())
}

/// Accepts connections for `service`, `total` at once, until `shutdown`; then drains them.
async fn run<S>(
    door: Door,
    listener: TcpListener,
    tls: Option<Tls>,
    total: usize,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let total = Arc::new(Semaphore::new(total));
    let speaker = Speaker::new(door.clone(), tls.map(|tls| tls.acceptor), service);
    let connections = door.tasks();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => { pause_after(&error).await; continue }
            },
            () = &mut shutdown => break,
        };
        // Over a cap the connection closes at once: that costs less than making it wait, and does
        // not let those that are open keep others out of the queue.
        let Some((peer, places)) = admit(&door, &stream, &total) else { continue };
        let activity = Activity::new(door.clock().clone());
        connections.spawn(speaker.clone().speak(stream, peer, activity, places));
    }
    drop(listener);
    door.draining().cancel();
    connections.close();
    let deadline = Duration::from_millis(door.config().shutdown_timeout_ms);
    if tokio::time::timeout(deadline, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still open at the shutdown deadline");
    }
}

/// Places for a new connection, in all and for its address. Trusted proxies carry many clients.
fn admit(door: &Door, stream: &TcpStream, total: &Arc<Semaphore>) -> Option<(Peer, Places)> {
    let peer = Peer { address: client::folded(stream.peer_addr().ok()?.ip()), tls: false };
    let one = total.clone().try_acquire_owned().ok()?;
    let of_address = if client::is_trusted(&door.config().trusted_proxies.0, peer.address) {
        None
    } else {
        Some(door.connections().take(peer.address)?)
    };
    Some((peer, Places(one, of_address)))
}

/// Out of file descriptors: a moment later there may be some. Other errors concern one connection.
async fn pause_after(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    tracing::warn!(%error, "cannot accept a connection");
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
