//! What a resolver knows of its request.

use super::loaders::Loaders;
use crate::access::{Identity, Viewer};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use async_graphql::Context;
use entity::audit_event::Status;
use entity::id::UserId;
use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

/// One request (or one operation of a WebSocket): who asks, from where, and what goes back beside the data.
#[derive(Debug)]
pub struct RequestContext {
    /// The application.
    pub app: App,
    /// Who is asking.
    pub viewer: Viewer,
    /// Who and from where, for the audit trail.
    pub origin: Origin,
    /// Request-scoped loaders.
    pub loaders: Loaders,
    proved: OnceLock<UserId>,
    cookies: Mutex<Vec<String>>,
    clear_site_data: std::sync::atomic::AtomicBool,
    refusals: Mutex<BTreeSet<(String, &'static str)>>,
}

impl RequestContext {
    /// The context of a request.
    #[must_use]
    pub fn new(app: App, viewer: Viewer, mut origin: Origin) -> Self {
        if let Some(identity) = viewer.identity() {
            origin.actor = Some(identity.user_id());
            origin.session = Some(identity.session_id());
        }
        let loaders = Loaders::new(&app, &viewer);
        Self {
            app,
            viewer,
            origin,
            loaders,
            proved: OnceLock::new(),
            cookies: Mutex::default(),
            clear_site_data: std::sync::atomic::AtomicBool::new(false),
            refusals: Mutex::default(),
        }
    }

    /// The context that `ctx` carries; every operation is given one.
    #[must_use]
    pub fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        ctx.data_unchecked::<std::sync::Arc<Self>>()
    }

    /// The same, for a stream that outlives the call.
    #[must_use]
    pub fn shared(ctx: &Context<'_>) -> std::sync::Arc<Self> {
        std::sync::Arc::clone(ctx.data_unchecked::<std::sync::Arc<Self>>())
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody is.
    pub fn identity(&self) -> Result<&Identity> {
        self.viewer.identity().ok_or(Error::Unauthenticated)
    }

    /// Notes that the client proved in this very request to be `user`: the answer may show them their own.
    pub fn prove(&self, user: UserId) {
        let _ = self.proved.set(user);
    }

    /// Whether the client is `user`, by its session or by what it proved in this request.
    #[must_use]
    pub fn is(&self, user: UserId) -> bool {
        self.viewer.user_id() == Some(user) || self.proved.get() == Some(&user)
    }

    /// Sends a cookie with the answer.
    pub fn set_cookie(&self, cookie: String) {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).push(cookie);
    }

    /// Has the browser forget what it holds of this site.
    pub fn clear_site_data(&self) {
        self.clear_site_data.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether the browser is to forget.
    pub fn clears_site_data(&self) -> bool {
        self.clear_site_data.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The cookies to send.
    pub fn take_cookies(&self) -> Vec<String> {
        std::mem::take(&mut *self.cookies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a field was refused; each field once, however many rows it was asked of.
    pub fn note_refusal(&self, type_name: &str, field: &str, code: &'static str) {
        let name = format!("{type_name}.{field}");
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).insert((name, code));
    }

    /// Writes the refusals to the audit trail, before the answer leaves.
    ///
    /// # Errors
    /// When the trail cannot be written.
    pub async fn record_refusals(&self) -> Result<()> {
        let refusals = std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner));
        let events = refusals
            .into_iter()
            .map(|(field, code)| {
                Event::success(Kind::AuthzFail, field)
                    .status(Status::Denied)
                    .details(serde_json::json!({ "code": code }))
            })
            .collect();
        self.app.audit.record(&self.origin, events).await
    }
}
