//! The way of one operation, whatever transport brought it.
//!
//! scan → parse → shape → cost → admission → validation → execution under a deadline → error boundary.
//! No limit lives in a transport, so none can be got round by choosing another.

mod admission;
mod answer;
mod checks;
pub mod documents;
mod request;

pub use async_graphql::parser::types::OperationType;

pub use admission::{Admitted, Part, admit, refund};
pub use answer::{Answer, Cost, Outcome};
pub use checks::{Checks, Introspection, Prepared};
pub use request::{Operation, RequestError};

use crate::access::{Permission, Viewer};
use crate::app::App;
use crate::audit::Origin;
use crate::error::Error;
use crate::graphql::context::RequestContext;
use crate::graphql::error::finish;
use crate::graphql::rules::Undeclared;
use crate::graphql::shape::Types;
use crate::limits::cost::SdlError;
use crate::limits::shape::select_operation;
use crate::schema::{self, Gate};
use crate::text::rfc3339;
use async_graphql::{Request, Response, ServerError, Value};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// Validation errors in one answer at most; more would only help whoever probes.
const MAX_VALIDATION_ERRORS: usize = 5;

/// The schema and what is derived from it. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

struct Parts {
    app: App,
    schema: Gate,
    sdl: String,
    types: Types,
    checks: Checks,
}

/// Why the schema cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A field does not say who may use it.
    #[error(transparent)]
    Undeclared(#[from] Undeclared),
    /// A directive is not understood.
    #[error(transparent)]
    Sdl(#[from] SdlError),
    /// The manifest of trusted documents cannot be used.
    #[error(transparent)]
    Manifest(#[from] documents::ManifestError),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Builds the schema on `app`.
    ///
    /// # Errors
    /// Fields without an access rule, or a directive that is not understood.
    pub fn new(app: App) -> Result<Self, SchemaError> {
        let (schema, sdl) = schema::build()?;
        let types = Types::from_sdl(&sdl);
        let checks = Checks::new(&app.config, &sdl)?;
        Ok(Self(Arc::new(Parts { app, schema, sdl, types, checks })))
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.0.app
    }

    /// The schema's definition.
    #[must_use]
    pub fn sdl(&self) -> &str {
        &self.0.sdl
    }

    /// The static limits.
    #[must_use]
    pub fn checks(&self) -> &Checks {
        &self.0.checks
    }

    /// Runs `prepared` for `viewer`.
    pub async fn run(
        &self,
        prepared: Prepared,
        viewer: Viewer,
        origin: Origin,
        admitted: Admitted,
    ) -> Answer {
        let requested = prepared.estimate.cost;
        let mut answer = self.execute(prepared, viewer, origin).await;
        // What an operation cost that was cut short is not known: it keeps all that it reserved.
        let unused = answer.actual.map_or(0, |actual| requested.saturating_sub(actual));
        refund(&self.0.app, &admitted, unused);
        if let Some(budget) = admitted.budget {
            let now = self.0.app.clock.now();
            let given_back = u32::try_from(unused).unwrap_or(u32::MAX);
            answer.cost = Some(Cost {
                requested,
                actual: answer.actual,
                limit: budget.limit,
                remaining: budget.remaining.saturating_add(given_back).min(budget.limit),
                reset_at: rfc3339(now.plus_millis(i64::try_from(budget.reset_ms).unwrap_or(0))),
            });
        }
        answer.headers = admitted.headers;
        answer
    }

    /// Runs the subscription `prepared` for `viewer`: an answer for each event, until the stream is
    /// dropped. It was admitted once; its events are bounded by what happens.
    pub fn subscribe(
        &self,
        prepared: Prepared,
        viewer: Viewer,
        origin: Origin,
    ) -> BoxStream<'static, Answer> {
        if let Err(refused) = self.permitted(&prepared, &viewer) {
            return futures_util::stream::once(std::future::ready(refused)).boxed();
        }
        let request_id = origin.request_id.clone().unwrap_or_default();
        let (request, context) = self.request(&prepared, viewer, origin);
        let engine = self.clone();
        let prepared = Arc::new(prepared);
        let responses = self.0.schema.execute_stream(request);
        responses
            .then(move |response| {
                let (engine, context) = (engine.clone(), Arc::clone(&context));
                let (prepared, request_id) = (Arc::clone(&prepared), request_id.clone());
                async move { engine.answer(&prepared, &context, response, &request_id).await }
            })
            .boxed()
    }

    /// Whether `viewer` may run this document at all.
    fn permitted(&self, prepared: &Prepared, viewer: &Viewer) -> Result<(), Answer> {
        if prepared.needs_permission && !viewer.holds(Permission::AdminAccess) {
            return Err(Answer::refused(
                "DOCUMENT_NOT_TRUSTED",
                "only documents of the manifest are accepted",
            ));
        }
        if prepared.introspects && !self.may_introspect(viewer) {
            return Err(Answer::refused("INTROSPECTION_DISABLED", "introspection is not available here"));
        }
        Ok(())
    }

    /// The request as async-graphql takes it, and the context that its resolvers see.
    fn request(&self, prepared: &Prepared, viewer: Viewer, origin: Origin) -> (Request, Arc<RequestContext>) {
        let context = Arc::new(RequestContext::new(self.0.app.clone(), viewer, origin));
        let operation = &prepared.operation;
        let mut request = Request::new(operation.query.as_str())
            .variables(prepared.variables.clone())
            .data(Arc::clone(&context));
        request.operation_name.clone_from(&operation.operation_name);
        request.set_parsed_query(prepared.document.clone());
        (request, context)
    }

    async fn execute(&self, prepared: Prepared, viewer: Viewer, origin: Origin) -> Answer {
        if let Err(refused) = self.permitted(&prepared, &viewer) {
            return refused;
        }
        let request_id = origin.request_id.clone().unwrap_or_default();
        let (request, context) = self.request(&prepared, viewer, origin);
        let deadline = Duration::from_millis(self.0.app.config.operation_timeout_ms);
        let Ok(response) = tokio::time::timeout(deadline, self.0.schema.execute(request)).await else {
            tracing::warn!(request_id, operation = prepared.name(), "the operation took too long");
            return Answer::failed(&Error::Timeout, &request_id);
        };
        self.answer(&prepared, &context, response, &request_id).await
    }

    /// The answer that `response` makes, once its refusals are in the trail.
    async fn answer(
        &self,
        prepared: &Prepared,
        context: &RequestContext,
        response: Response,
        request_id: &str,
    ) -> Answer {
        let parts = &self.0;
        let Prepared { document, operation, variables, .. } = prepared;
        // Refusals are in the trail before the answer leaves; without the trail there is no answer.
        if let Err(error) = context.record_refusals().await {
            return Answer::failed(&error, request_id);
        }
        let mut errors = response.errors;
        let before_execution =
            response.data == Value::Null && errors.iter().all(|error| error.path.is_empty());
        if before_execution && !errors.is_empty() {
            errors.truncate(MAX_VALIDATION_ERRORS);
            let errors = errors.into_iter().map(|error| self.validation(error, request_id)).collect();
            return Answer::new(Outcome::Refused("GRAPHQL_VALIDATION_FAILED"), None, errors);
        }
        for error in &mut errors {
            finish(error, request_id);
        }
        let (data, actual) = match select_operation(document, operation.operation_name.as_deref()) {
            Ok(selected) => {
                let data = parts.types.shape(document, selected, variables, response.data, &errors);
                let actual = parts.checks.costs.actual(document, selected, &data);
                (data, Some(actual))
            }
            Err(_) => (response.data, None),
        };
        let mut answer = Answer::new(Outcome::Executed, Some(data), errors);
        answer.actual = actual;
        answer.cookies = context.take_cookies();
        answer.clear_site_data = context.clears_site_data();
        answer
    }

    fn may_introspect(&self, viewer: &Viewer) -> bool {
        match self.0.checks.introspection {
            Introspection::On => true,
            Introspection::Off => false,
            Introspection::Admin => viewer.holds(Permission::AdminAccess),
        }
    }

    /// Gives a validation error its code; in production it does not help to guess names.
    fn validation(&self, mut error: ServerError, request_id: &str) -> ServerError {
        if self.0.app.config.mode == crate::config::Mode::Production
            && let Some(cut) = error.message.find(" Did you mean")
        {
            error.message.truncate(cut);
        }
        let extensions = error.extensions.get_or_insert_with(Default::default);
        extensions.set("code", "GRAPHQL_VALIDATION_FAILED");
        extensions.set("requestId", request_id);
        error
    }
}
