//! The application behind the door: who is asking, whether they may ask from there, and the answer.
//!
//! - [`caller`]: credentials and admission, the same for every transport.
//! - [`health`]: the parts in detail, for the management listener.
//! - [`socket`]: the session of a WebSocket.

mod caller;
mod health;
mod socket;

use crate::access::{Identity, Permission, Viewer};
use crate::accounts::device;
use crate::audit::spool::Standing;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::csrf;
use crate::defense::{bans, rules};
use crate::engine::{Admitted, Answer, Engine, OperationType, Outcome, Prepared};
use crate::error::Error;
use crate::http::{
    Backend, Close, GraphqlRequest, Inbound, Incident, IncidentKind, Media, Readiness, SocketSession,
    negotiate, operation, respond,
};
use crate::sessions::authenticate::{self, SessionKey};
use bytes::Bytes;
use caller::{Credentials, Refused, admit_caller};
use entity::audit_event::Status;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::COOKIE;
use http::{HeaderMap, Method, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use socket::Socket;
use std::net::IpAddr;
use std::sync::Arc;
use tracing::Instrument;

/// The engine, answering requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    engine: Engine,
    metrics: Option<PrometheusHandle>,
}

impl Server {
    /// A server for `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, metrics: None }
    }

    /// The same, rendering what `metrics` collects.
    #[must_use]
    pub fn with_metrics(mut self, metrics: PrometheusHandle) -> Self {
        self.metrics = Some(metrics);
        self
    }

    async fn answer(&self, request: &GraphqlRequest) -> Answer {
        let inbound = &request.inbound;
        let checks = self.engine.checks();
        let prepared = match operation(request, |body| checks.body(body))
            .and_then(|operation| checks.prepare(operation))
        {
            Ok(prepared) => prepared,
            Err(answer) => return answer,
        };
        tracing::Span::current().record("operation", prepared.name());
        if request.method == Method::GET && prepared.kind != OperationType::Query {
            return Answer::refused("METHOD_NOT_ALLOWED", "only queries may be sent by GET");
        }
        if prepared.kind == OperationType::Subscription {
            return Answer::refused("BAD_REQUEST", "subscriptions are served over WebSocket");
        }
        let mut origin = origin(inbound);
        origin.device = device_mark(&request.headers);
        let (viewer, admitted) = match self.admit(&request.headers, &origin, &prepared).await {
            Ok(admission) => admission,
            Err(Refused::Limit(answer)) => return *answer,
            Err(Refused::Error(error)) => return self.refuse(inbound, &error).await,
        };
        if let Some(identity) = viewer.identity() {
            tracing::Span::current().record("viewer", tracing::field::display(identity.user_id()));
            let changes = prepared.kind == OperationType::Mutation;
            if changes && identity.by_cookie() && !self.csrf_proved(identity, inbound, &request.headers) {
                return self.refuse(inbound, &Error::CsrfFailed).await;
            }
        }
        self.engine.run(prepared, viewer, origin, admitted).await
    }

    async fn admit(
        &self,
        headers: &HeaderMap,
        origin: &Origin,
        prepared: &Prepared,
    ) -> std::result::Result<(Viewer, Admitted), Refused> {
        admit_caller(self.engine.app(), &Credentials::of(headers)?, origin, &prepared.estimate).await
    }

    /// The owner of the cookie session in `headers`, looked up afresh.
    async fn cookie_owner(&self, headers: &HeaderMap) -> Option<Identity> {
        let Ok(Credentials::Cookie(Some(hash))) = Credentials::of(headers) else { return None };
        authenticate::authenticate(self.engine.app(), &SessionKey::Token(hash))
            .await
            .ok()?
            .filter(Identity::by_cookie)
    }

    /// Whether the request comes from a welcome page and carries a CSRF token of this very session
    /// (OWASP ASVS 3.5.1).
    fn csrf_proved(&self, identity: &Identity, inbound: &Inbound, headers: &HeaderMap) -> bool {
        let app = self.engine.app();
        let session = identity.session_id().uuid();
        let is_valid = |token: &str| csrf::verify(&app.keyring, session, token);
        crate::http::csrf::check(&app.config, inbound, headers, is_valid).is_ok()
    }

    /// Tells the rules what they look for in answers.
    async fn watch(&self, inbound: &Inbound, answer: &Answer, took: std::time::Duration) {
        let app = self.engine.app();
        let misses = u32::try_from(answer.errors_with("NOT_FOUND")).unwrap_or(u32::MAX);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut told = rules::took(app, None, millis).await;
        if misses > 0 {
            told = told.and(rules::not_found(app, inbound.address, misses).await);
        }
        if let Err(error) = told {
            tracing::warn!(%error, "an incident could not be recorded");
        }
    }

    /// Refuses the whole request, in the trail first.
    async fn refuse(&self, inbound: &Inbound, error: &Error) -> Answer {
        let kind = if matches!(error, Error::CsrfFailed) { Kind::CsrfFail } else { Kind::AuthzFail };
        let event = Event::success(kind, "graphql")
            .status(Status::Denied)
            .details(serde_json::json!({ "code": error.code() }));
        match self.engine.app().audit.record(&origin(inbound), vec![event]).await {
            Ok(()) => Answer::failed(error, &inbound.request_id),
            Err(error) => Answer::failed(&error, &inbound.request_id),
        }
    }
}

/// Who and from where, as far as the transport knows.
fn origin(inbound: &Inbound) -> Origin {
    Origin {
        actor: None,
        session: None,
        request_id: Some(inbound.request_id.clone()),
        address: Some(inbound.address),
        user_agent: inbound.user_agent.clone(),
        device: None,
    }
}

/// The mark of a known device in `headers`.
fn device_mark(headers: &HeaderMap) -> Option<String> {
    let cookie = headers.get_all(COOKIE).iter().find_map(|value| device::find(value.to_str().ok()?));
    cookie.or_else(|| headers.get(device::HEADER)?.to_str().ok()).map(str::to_owned)
}

impl Backend for Server {
    fn graphql(&self, request: GraphqlRequest) -> BoxFuture<'_, Response<Bytes>> {
        let span = tracing::info_span!(
            "request",
            request_id = request.inbound.request_id,
            operation = tracing::field::Empty,
            viewer = tracing::field::Empty,
        );
        async move {
            let Some(media) = negotiate(&request.headers) else {
                let message = "accept application/graphql-response+json or application/json";
                return respond(
                    &Answer::refused("NOT_ACCEPTABLE", message).with_request_id(&request.inbound.request_id),
                    Media::Json,
                );
            };
            let before = self.engine.app().clock.monotonic();
            let answer = self.answer(&request).await.with_request_id(&request.inbound.request_id);
            let took = self.engine.app().clock.monotonic().saturating_sub(before);
            let code = match answer.outcome {
                Outcome::Executed => "OK",
                Outcome::Refused(code) => code,
            };
            metrics::counter!("portcullis_operations_total", "outcome" => code).increment(1);
            metrics::histogram!("portcullis_operation_seconds").record(took.as_secs_f64());
            let errors = answer.errors.len();
            self.watch(&request.inbound, &answer, took).await;
            tracing::info!(
                code,
                errors,
                micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "graphql"
            );
            respond(&answer, media)
        }
        .instrument(span)
        .boxed()
    }

    fn may_explore<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, bool> {
        async move {
            let owner = self.cookie_owner(headers).await;
            owner.is_some_and(|identity| identity.holds(Permission::AdminAccess))
        }
        .boxed()
    }

    fn connect(
        &self,
        inbound: Arc<Inbound>,
        headers: HeaderMap,
        payload: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> BoxFuture<'_, Result<Box<dyn SocketSession>, Close>> {
        async move {
            let socket = Socket::open(self.engine.clone(), origin(&inbound), &headers, payload).await;
            socket.map(|socket| Box::new(socket) as Box<dyn SocketSession>).ok_or(Close::FORBIDDEN)
        }
        .boxed()
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let hash = Credentials::of(headers).ok().and_then(|credentials| credentials.token_hash());
        hash.is_some_and(|hash| self.engine.app().identities.get(&hash).is_some())
    }

    fn ready(&self) -> BoxFuture<'_, Readiness> {
        async move {
            let database = self.engine.app().db.ping().await.is_ok();
            let word = if database { "ok" } else { "down" };
            let audit = match self.engine.app().audit.standing() {
                Standing::Empty => "ok",
                Standing::Waiting => "spooling",
                Standing::Full => "full",
            };
            Readiness { ready: database, parts: serde_json::json!({ "database": word, "audit": audit }) }
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, serde_json::Value> {
        async move { health::detailed(self.engine.app(), &self.ready().await).await }.boxed()
    }

    fn metrics(&self) -> String {
        health::gauges(self.engine.app());
        self.metrics.as_ref().map_or_else(String::new, PrometheusHandle::render)
    }

    fn csrf_token<'a>(&'a self, _: &'a Inbound, headers: &'a HeaderMap) -> BoxFuture<'a, Option<String>> {
        async move {
            let identity = self.cookie_owner(headers).await?;
            Some(csrf::issue(&self.engine.app().keyring, identity.session_id().uuid()))
        }
        .boxed()
    }

    fn jwks(&self) -> Bytes {
        Bytes::from(self.engine.app().jwt.jwks().to_string())
    }

    fn report(&self, incident: Incident) -> BoxFuture<'_, ()> {
        async move {
            let kind = match incident.kind {
                IncidentKind::CsrfFailed | IncidentKind::WrongOrigin => Kind::CsrfFail,
                IncidentKind::Shielded => Kind::RateLimit,
                IncidentKind::BannedRequest | IncidentKind::WrongHost => Kind::AuthzFail,
                IncidentKind::SuspiciousRequest => Kind::Malicious,
            };
            let status = if incident.refused { Status::Denied } else { Status::Alert };
            let event = Event::success(kind, "http")
                .status(status)
                .details(serde_json::json!({ "rules": incident.rules }));
            if let Err(error) = self.engine.app().audit.record(&origin(&incident.inbound), vec![event]).await
            {
                tracing::error!(%error, "an incident could not be recorded");
            }
        }
        .boxed()
    }

    fn is_banned(&self, address: IpAddr) -> bool {
        let app = self.engine.app();
        app.bans.matches(address, app.clock.now())
    }

    fn ban(&self, address: IpAddr, reason: &'static str) -> BoxFuture<'_, ()> {
        async move {
            let app = self.engine.app();
            let origin = Origin { address: Some(address), ..Origin::default() };
            if let Err(error) = bans::by_rule(app, &origin, address, reason, app.config.ban_seconds).await {
                tracing::error!(%error, "an address could not be banned");
            }
        }
        .boxed()
    }
}
