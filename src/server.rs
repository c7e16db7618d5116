//! The application behind the door: who is asking, whether they may ask from there, and the answer.

use crate::access::cache::Entry;
use crate::access::{Identity, Viewer};
use crate::accounts::device;
use crate::audit::spool::Standing;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::{Token, TokenKind, csrf};
use crate::defense::bans;
use crate::engine::{Admitted, Answer, Engine, Outcome, Part, Prepared, admit};
use crate::error::{Error, Result};
use crate::http::{
    Backend, GraphqlRequest, Inbound, Incident, IncidentKind, Media, Readiness, negotiate, operation, respond,
};
use crate::sessions::{authenticate, cookie};
use async_graphql::parser::types::OperationType;
use bytes::Bytes;
use entity::audit_event::Status;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method, Response};
use std::net::IpAddr;
use tracing::Instrument;

/// The engine, answering requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    engine: Engine,
}

/// Why a request is refused before it runs.
enum Refused {
    /// By a limit: the answer is ready, the database was not asked.
    Limit(Box<Answer>),
    /// For another reason, to be recorded.
    Error(Error),
}

impl From<Answer> for Refused {
    fn from(answer: Answer) -> Self {
        Self::Limit(Box::new(answer))
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What a request presents to say who it is.
enum Credentials<'a> {
    None,
    Bearer(&'a str),
    Cookie(&'a str),
}

impl Server {
    /// A server for `engine`.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
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

    /// Finds out who is asking and charges them. A wrong Bearer token is refused, since a client that
    /// sends one means it; a stale cookie, which a browser sends by itself, is as good as none.
    ///
    /// A token that is in the cache costs one round trip to the limits and no statement. Another costs
    /// the address's share first, so that guessing tokens does not reach the database without limit.
    async fn admit(
        &self,
        headers: &HeaderMap,
        origin: &Origin,
        prepared: &Prepared,
    ) -> Result<(Viewer, Admitted), Refused> {
        let app = self.engine.app();
        let estimate = &prepared.estimate;
        let credentials = credentials(headers)?;
        let token = match credentials {
            Credentials::None => None,
            Credentials::Bearer(text) | Credentials::Cookie(text) => {
                Token::parse(TokenKind::Session, text).ok()
            }
        };
        let by_bearer = matches!(credentials, Credentials::Bearer(_));
        let fits = |identity: &Identity| identity.by_cookie() != by_bearer;
        let Some(token) = token else {
            let admitted = admit(app, origin, None, estimate, Part::Whole).await?;
            return if by_bearer {
                Err(Error::Unauthenticated.into())
            } else {
                Ok((Viewer::anonymous(), admitted))
            };
        };
        let hash = token.hash();
        let (identity, admitted) = match app.identities.get(&hash) {
            Some(entry) => {
                let admitted = admit(app, origin, Some(&entry.identity), estimate, Part::Whole).await?;
                let current = admitted.epoch.is_some() && entry.epoch == admitted.epoch;
                let identity = if current {
                    authenticate::still_valid(app, &entry.identity).then_some(entry.identity)
                } else {
                    // Read after its epoch was known: good for as long as the epoch stays.
                    let found = authenticate::authenticate(app, &hash).await?;
                    match &found {
                        Some(identity) => app
                            .identities
                            .put(hash, Entry { identity: identity.clone(), epoch: admitted.epoch }),
                        None => app.identities.forget(&hash),
                    }
                    found
                };
                (identity, admitted)
            }
            None => {
                admit(app, origin, None, estimate, Part::Address).await?;
                let found = authenticate::authenticate(app, &hash).await?;
                let admitted = admit(app, origin, found.as_ref(), estimate, Part::Rest).await?;
                if let Some(identity) = &found {
                    app.identities.put(hash, Entry { identity: identity.clone(), epoch: None });
                }
                (found, admitted)
            }
        };
        match identity.filter(fits) {
            Some(identity) => Ok((Viewer::signed_in(identity), admitted)),
            None if by_bearer => Err(Error::Unauthenticated.into()),
            None => Ok((Viewer::anonymous(), admitted)),
        }
    }

    /// The owner of the cookie session in `headers`, looked up afresh.
    async fn cookie_owner(&self, headers: &HeaderMap) -> Option<Identity> {
        let Ok(Credentials::Cookie(text)) = credentials(headers) else { return None };
        let token = Token::parse(TokenKind::Session, text).ok()?;
        authenticate::authenticate(self.engine.app(), &token.hash()).await.ok()?.filter(Identity::by_cookie)
    }

    /// Whether the request comes from a welcome page and carries a CSRF token of this very session
    /// (OWASP ASVS 3.5.1).
    fn csrf_proved(&self, identity: &Identity, inbound: &Inbound, headers: &HeaderMap) -> bool {
        let app = self.engine.app();
        let session = identity.session_id().uuid();
        let is_valid = |token: &str| csrf::verify(&app.keyring, session, token);
        crate::http::csrf::check(&app.config, inbound, headers, is_valid).is_ok()
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

/// The one credential of a request.
fn credentials(headers: &HeaderMap) -> Result<Credentials<'_>> {
    let both = || Error::field("authorization", "send either the cookie or one Authorization header");
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let bearer = match authorizations.next() {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Error::Unauthenticated)?;
            let (scheme, token) = text.split_once(' ').ok_or(Error::Unauthenticated)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Error::Unauthenticated);
            }
            Some(token.trim())
        }
    };
    if authorizations.next().is_some() {
        return Err(both());
    }
    // HTTP/2 may split the cookies over several headers (RFC 9113, section 8.2.3).
    let mut cookies = headers.get_all(COOKIE).iter().filter_map(|value| cookie::find(value.to_str().ok()?));
    let first = cookies.next();
    match (bearer, first, cookies.next()) {
        (Some(_), Some(_), _) => Err(both()),
        (Some(token), None, _) => Ok(Credentials::Bearer(token)),
        (None, Some(token), None) => Ok(Credentials::Cookie(token)),
        _ => Ok(Credentials::None),
    }
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
            let errors = answer.errors.len();
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
        async move { self.ready().await.parts }.boxed()
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn csrf_token<'a>(&'a self, _: &'a Inbound, headers: &'a HeaderMap) -> BoxFuture<'a, Option<String>> {
        async move {
            let identity = self.cookie_owner(headers).await?;
            Some(csrf::issue(&self.engine.app().keyring, identity.session_id().uuid()))
        }
        .boxed()
    }

    fn jwks(&self) -> Bytes {
        Bytes::from_static(br#"{"keys":[]}"#)
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
