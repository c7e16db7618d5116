//! The outermost step: every request gets its [`Inbound`], every response its headers.
//!
//! It stands before the shield, which counts by client address, and around everything else, so
//! that no answer leaves without request id and security headers: not a 429, not a panic's 500.

use super::activity::{Activity, Outbound};
use super::door::Door;
use super::inbound::{Inbound, Peer};
use super::refusal::Refusal;
use super::{cors, framing, headers, request_id};
use axum_core::body::Body;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tower::{Service, ServiceExt};

/// An answer on its way.
pub(crate) type Answer = BoxFuture<'static, Result<Response<Outbound>, Infallible>>;

/// Wraps the stack for one connection.
#[derive(Clone)]
pub(crate) struct Edge<S> {
    pub(crate) door: Door,
    pub(crate) peer: Peer,
    pub(crate) activity: Arc<Activity>,
    pub(crate) inner: S,
}

impl<S, B> hyper::service::Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Outbound>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        let under_way = self.activity.begin();
        let inbound = Arc::new(Inbound::of(&self.door, self.peer, &request));
        let ends_connection = framing::ends_connection(request.headers());
        request.extensions_mut().insert(Arc::clone(&inbound));
        let inner = self.inner.clone();
        Box::pin(async move {
            let answered = AssertUnwindSafe(async move { inner.oneshot(request).await });
            let mut response = match answered.catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The panic hook has logged where and why (ASVS 16.5.4).
                Err(_) => Refusal::INTERNAL.response(),
            };
            if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
                refusal.write(&inbound.request_id, &mut response);
            }
            cors::mark(&inbound.origin, response.headers_mut());
            headers::secure(response.headers_mut());
            if let Ok(id) = HeaderValue::from_str(&inbound.request_id) {
                response.headers_mut().insert(request_id::HEADER, id);
            }
            if ends_connection {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Outbound::new(body, under_way)))
        })
    }
}
