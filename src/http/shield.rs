//! The first shield: a burst limit per client address, in process, before anything is read.
//!
//! It only keeps floods away from the filters; the limits that people meet are counted further in,
//! shared by all replicas.

use super::client;
use super::door::Door;
use super::inbound::Inbound;
use super::refusal::Refusal;
use axum_core::body::Body;
use futures_util::future::Either;
use governor::middleware::NoOpMiddleware;
use http::{Request, Response};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};
use tower_governor::governor::{Governor, GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

/// Addresses that are looked through each second for those that have their whole burst again.
const SWEEP_ABOVE: usize = 1024;

/// The client's address, IPv6 by /64.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress;

impl KeyExtractor for ClientAddress {
    type Key = IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<IpAddr, GovernorError> {
        let inbound = request.extensions().get::<Arc<Inbound>>();
        inbound.map(|inbound| client::group(inbound.address)).ok_or(GovernorError::UnableToExtractKey)
    }
}

type Settings = GovernorConfig<ClientAddress, NoOpMiddleware>;

/// Puts the shield before a service.
#[derive(Clone)]
pub(crate) struct Shield {
    settings: Arc<Settings>,
    layer: GovernorLayer<ClientAddress, NoOpMiddleware, Body>,
    door: Door,
}

impl Shield {
    /// A shield with the door's settings, nobody counted yet.
    pub(crate) fn new(door: Door) -> Option<Self> {
        let config = door.config();
        let settings = GovernorConfigBuilder::default()
            .period(Duration::from_secs(1) / config.shield_per_second)
            .burst_size(config.shield_burst)
            .key_extractor(ClientAddress)
            .finish()?;
        let settings = Arc::new(settings);
        let layer = GovernorLayer::new(settings.clone()).error_handler(|error| match error {
            GovernorError::TooManyRequests { wait_time, .. } => {
                Refusal::RATE_LIMITED.after(wait_time.max(1)).response()
            }
            _ => Refusal::INTERNAL.response(),
        });
        Some(Self { settings, layer, door })
    }

    /// Forgets, once a second, addresses that have their whole burst again: what remains in memory
    /// is bounded by what came within the last seconds. Never ends.
    pub(crate) async fn sweep(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let limiter = self.settings.limiter();
            if limiter.len() > SWEEP_ABOVE {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }
}

impl<S: Clone> Layer<S> for Shield {
    type Service = Shielded<S>;

    fn layer(&self, inner: S) -> Shielded<S> {
        Shielded { governed: self.layer.layer(inner.clone()), free: inner, door: self.door.clone() }
    }
}

/// A service behind the shield; `limit_exempt` addresses go round it.
#[derive(Clone)]
pub(crate) struct Shielded<S> {
    governed: Governor<ClientAddress, NoOpMiddleware, S, Body>,
    free: S,
    door: Door,
}

impl<S, B> Service<Request<B>> for Shielded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        Either<S::Future, <Governor<ClientAddress, NoOpMiddleware, S, Body> as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.free.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let exempt = &self.door.config().limit_exempt.0;
        let inbound = request.extensions().get::<Arc<Inbound>>();
        if inbound.is_some_and(|inbound| client::is_trusted(exempt, inbound.address)) {
            Either::Left(self.free.call(request))
        } else {
            Either::Right(self.governed.call(request))
        }
    }
}
