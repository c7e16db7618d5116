//! [`Door`]: what the filters share, and [`Backend`]: what stands behind them.

use super::inbound::{GraphqlRequest, Inbound};
use super::overload::{Overload, PerAddress};
use super::tally::Tally;
use super::websocket::Close;
use crate::clock::Clock;
use crate::config::Config;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Response};
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the door needs from the application. Object-safe, so tests put a fake one behind it.
pub trait Backend: Send + Sync + 'static {
    /// Answers a request for `/graphql`. Headers that every response carries are added by the door.
    fn graphql(&self, request: GraphqlRequest) -> BoxFuture<'_, Response<Bytes>>;

    /// Whether the service can do its work now, with each part's state.
    fn ready(&self) -> BoxFuture<'_, Readiness>;

    /// Parts with their latency, memory, versions: for the management listener.
    fn health(&self) -> BoxFuture<'_, serde_json::Value>;

    /// Metrics in the Prometheus text format: for the management listener.
    fn metrics(&self) -> String;

    /// A fresh CSRF token for the cookie session that `headers` carry, if they carry a live one.
    fn csrf_token<'a>(
        &'a self,
        inbound: &'a Inbound,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, Option<String>>;

    /// The keys that verify access tokens, as a JSON Web Key Set (RFC 7517).
    fn jwks(&self) -> Bytes;

    /// Records `incident` in the audit trail before the answer leaves.
    fn report(&self, incident: Incident) -> BoxFuture<'_, ()>;

    /// Whether requests from `address` are refused. Asked for each request: memory only.
    fn is_banned(&self, address: IpAddr) -> bool;

    /// Refuses requests from `address` for a while, on every replica.
    fn ban(&self, address: IpAddr, reason: &'static str) -> BoxFuture<'_, ()>;

    /// Whether `headers` carry an administrator's session: asked for the playground in production.
    fn may_explore<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, bool> {
        let _ = headers;
        Box::pin(std::future::ready(false))
    }

    /// Opens a session for a WebSocket's `connection_init` with its `payload`, by the cookie or a
    /// token in the payload. Without credentials it is an anonymous one.
    fn connect(
        &self,
        inbound: Arc<Inbound>,
        headers: HeaderMap,
        payload: Option<Map<String, Value>>,
    ) -> BoxFuture<'_, Result<Box<dyn SocketSession>, Close>> {
        let _ = (inbound, headers, payload);
        Box::pin(std::future::ready(Err(Close::FORBIDDEN)))
    }

    /// Whether `headers` carry a session known to be live. Asked for each request: memory only.
    /// Such requests may use the reserve when the server is busy.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let _ = headers;
        false
    }
}

/// Who is at the other end of a WebSocket, until the session ends.
pub trait SocketSession: Send + Sync {
    /// Runs one operation (the members of a GraphQL request), with all checks that HTTP has. Each
    /// item is an execution result as JSON; an error, a JSON list of GraphQL errors, ends it.
    fn subscribe(&self, operation: Map<String, Value>) -> BoxStream<'static, Result<String, String>>;

    /// Completes when the session is revoked or expires; never for an anonymous one.
    fn ended(&self) -> BoxFuture<'static, ()>;
}

/// Whether the service is ready, and why not.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// All parts work, or degrade as designed.
    pub ready: bool,
    /// Each part's state: names and words only, nothing secret; anyone may read it.
    pub parts: serde_json::Value,
}

/// What kind of refusal is worth an audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncidentKind {
    /// The URL or a header looks like an attack.
    SuspiciousRequest,
    /// A cookie session without its proof against cross-site requests.
    CsrfFailed,
    /// A request from a banned address.
    BannedRequest,
    /// A host this server does not answer for.
    WrongHost,
    /// A cross-origin call from an origin that is not on the list.
    WrongOrigin,
    /// The first shield refused an address.
    Shielded,
}

/// A refusal to be recorded (ASVS 16.3.3).
#[derive(Debug, Clone)]
pub struct Incident {
    /// What kind.
    pub kind: IncidentKind,
    /// Whose request.
    pub inbound: Arc<Inbound>,
    /// Names of the rules that fired, never what the request contained.
    pub rules: Vec<&'static str>,
    /// Whether the request was refused; otherwise it was only watched.
    pub refused: bool,
}

/// What every filter shares: settings, time, the application. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    clock: Clock,
    backend: Arc<dyn Backend>,
    /// Incidents of a kind seen from an address within a minute.
    seen: Tally<(IpAddr, &'static str)>,
    /// Points of suspicion of an address.
    scores: Tally<IpAddr>,
    overload: Overload,
    /// Requests under way, from each address.
    requests: PerAddress,
    /// WebSockets open, from each address.
    sockets: PerAddress,
    /// Connections open, from each address.
    connections: PerAddress,
    /// Set once the server is to stop.
    draining: CancellationToken,
    /// Connections and WebSockets that have not ended.
    tasks: TaskTracker,
}

/// WebSockets of one address at most.
const SOCKETS: u32 = 32;

/// How long points of suspicion count.
pub(crate) const SCORE_WINDOW: Duration = Duration::from_secs(600);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    /// A door in front of `backend`.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock, backend: Arc<dyn Backend>) -> Self {
        Self(Arc::new(Shared {
            seen: Tally::new(Duration::from_secs(60)),
            scores: Tally::new(SCORE_WINDOW),
            overload: Overload::new(config.max_concurrent_requests),
            requests: PerAddress::new(config.max_connections_per_address),
            sockets: PerAddress::new(SOCKETS),
            connections: PerAddress::new(config.max_connections_per_address),
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
            clock,
            backend,
        }))
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The application.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        self.0.backend.as_ref()
    }

    pub(crate) fn seen(&self) -> &Tally<(IpAddr, &'static str)> {
        &self.0.seen
    }

    pub(crate) fn scores(&self) -> &Tally<IpAddr> {
        &self.0.scores
    }

    pub(crate) fn overload(&self) -> &Overload {
        &self.0.overload
    }

    pub(crate) fn requests(&self) -> &PerAddress {
        &self.0.requests
    }

    pub(crate) fn sockets(&self) -> &PerAddress {
        &self.0.sockets
    }

    pub(crate) fn connections(&self) -> &PerAddress {
        &self.0.connections
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }
}
