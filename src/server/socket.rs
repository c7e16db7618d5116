//! The session of one WebSocket: who opened it, and for how long it holds.

use super::caller::{Credentials, Refused, admit_caller};
use crate::access::Identity;
use crate::audit::Origin;
use crate::bus::Message;
use crate::engine::{Answer, Engine, Operation, OperationType, Outcome};
use crate::error::Error;
use crate::http::SocketSession;
use crate::limits::cost::Estimate;
use crate::sessions::authenticate::{self, SessionKey};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use http::HeaderMap;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How often a session is looked at again although nothing was heard of it: its expiry, and changes
/// whose message was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// An open socket. Clones are the same one.
#[derive(Clone)]
pub(super) struct Socket {
    engine: Engine,
    origin: Origin,
    credentials: Credentials,
    /// Who opened it, if they signed in.
    owner: Option<Identity>,
}

impl Socket {
    /// Opens a socket for the token in `payload` (`{ "authorization": "Bearer …" }` or `{ "token": "…" }`),
    /// else for the one in `headers`, else for nobody. `None` for a token that proves nothing.
    pub(super) async fn open(
        engine: Engine,
        origin: Origin,
        headers: &HeaderMap,
        payload: Option<Map<String, Value>>,
    ) -> Option<Self> {
        let credentials = match payload.as_ref().and_then(token_in) {
            Some(token) => Credentials::bearer(token),
            None => Credentials::of(headers).ok()?,
        };
        // Opening counts like any operation; it costs nothing else.
        let estimate = Estimate { operations: 1, ..Estimate::default() };
        let (viewer, _) = admit_caller(engine.app(), &credentials, &origin, &estimate).await.ok()?;
        let owner = viewer.identity().cloned();
        Some(Self { engine, origin, credentials, owner })
    }

    /// Prepares and admits one operation, then runs it.
    async fn run(&self, payload: Map<String, Value>) -> Result<BoxStream<'static, Answer>, Answer> {
        let operation = Operation::from_object(payload)
            .map_err(|error| Answer::refused("BAD_REQUEST", error.to_string()))?;
        let prepared = self.engine.checks().prepare(operation)?;
        let app = self.engine.app();
        let admission = admit_caller(app, &self.credentials, &self.origin, &prepared.estimate).await;
        let (viewer, admitted) = admission.map_err(|refused| match refused {
            Refused::Limit(answer) => *answer,
            Refused::Error(error) => {
                Answer::failed(&error, self.origin.request_id.as_deref().unwrap_or_default())
            }
        })?;
        if viewer.user_id() != self.owner.as_ref().map(Identity::user_id) {
            return Err(Answer::failed(
                &Error::Unauthenticated,
                self.origin.request_id.as_deref().unwrap_or_default(),
            ));
        }
        if prepared.kind == OperationType::Subscription {
            return Ok(self.engine.subscribe(prepared, viewer, self.origin.clone()));
        }
        let answer = self.engine.run(prepared, viewer, self.origin.clone(), admitted).await;
        Ok(stream::once(std::future::ready(answer)).boxed())
    }

    /// Whether the session is as it was when the socket was opened.
    async fn holds(&self) -> bool {
        let Some(owner) = &self.owner else { return true };
        match authenticate::authenticate(self.engine.app(), &SessionKey::Id(owner.session_id())).await {
            Ok(Some(now)) => now.role() == owner.role(),
            Ok(None) => false,
            // The database is away: nothing can be read through this socket either.
            Err(_) => true,
        }
    }
}

/// The session token that a client put into `connection_init`.
fn token_in(payload: &Map<String, Value>) -> Option<&str> {
    let text = |names: &[&str]| names.iter().find_map(|name| payload.get(*name)?.as_str());
    if let Some(header) = text(&["authorization", "Authorization"]) {
        let (scheme, token) = header.split_once(' ').unwrap_or(("", ""));
        return Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" });
    }
    text(&["token"])
}

/// An answer as the protocol carries it: a result, or the errors that end the operation.
fn words(answer: &Answer) -> Result<String, String> {
    let written = match answer.outcome {
        Outcome::Executed => serde_json::to_string(answer).map(Ok),
        Outcome::Refused(_) => serde_json::to_string(&answer.errors).map(Err),
    };
    written.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Err("[]".to_owned())
    })
}

impl SocketSession for Socket {
    fn subscribe(&self, operation: Map<String, Value>) -> BoxStream<'static, Result<String, String>> {
        let socket = self.clone();
        let request_id = self.origin.request_id.clone().unwrap_or_default();
        let answers = async move {
            match socket.run(operation).await {
                Ok(answers) => answers,
                Err(refused) => stream::once(std::future::ready(refused)).boxed(),
            }
        };
        answers.flatten_stream().map(move |answer| words(&answer.with_request_id(&request_id))).boxed()
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        let socket = self.clone();
        async move {
            let Some(owner) = &socket.owner else { return std::future::pending().await };
            let me = owner.user_id().uuid();
            let mut messages = socket.engine.app().bus.subscribe();
            loop {
                match tokio::time::timeout(LOOK_AGAIN, messages.recv()).await {
                    Ok(Ok(Message::IdentityChanged { user })) if user != me => {}
                    Ok(Ok(Message::IdentityChanged { .. }) | Err(RecvError::Lagged(_))) | Err(_) => {
                        if !socket.holds().await {
                            return;
                        }
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(RecvError::Closed)) => return,
                }
            }
        }
        .boxed()
    }
}
