//! The way of one operation, whatever transport brought it.
//!
//! scan → parse → shape → cost → admission → validation → execution under a deadline → error boundary.
//! No limit lives in a transport, so none can be got round by choosing another.

mod answer;
mod request;

pub use answer::{Answer, Outcome};
pub use request::{Operation, RequestError};

use crate::access::Viewer;
use crate::app::App;
use crate::audit::Origin;
use crate::error::Error;
use crate::graphql::context::RequestContext;
use crate::graphql::error::finish;
use crate::graphql::shape::Types;
use crate::schema::{self, Gate};
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, ServerError, Value, Variables};
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
    /// Fields without an access rule.
    pub fn new(app: App) -> Result<Self, crate::graphql::rules::Undeclared> {
        let (schema, sdl) = schema::build()?;
        let types = Types::from_sdl(&sdl);
        Ok(Self(Arc::new(Parts { app, schema, sdl, types })))
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

    /// Parses `operation` and finds the one that will run.
    ///
    /// # Errors
    /// An answer that says what is wrong; nothing was executed.
    pub fn prepare(&self, operation: Operation) -> Result<Prepared, Answer> {
        let document = parse_query(&operation.query)
            .map_err(|error| Answer::refused("GRAPHQL_PARSE_FAILED", error.to_string()))?;
        let kind = select(&document, operation.operation_name.as_deref())
            .map_err(|message| Answer::refused("GRAPHQL_VALIDATION_FAILED", message))?
            .ty;
        Ok(Prepared { document, operation, kind })
    }

    /// Runs `prepared` for `viewer`.
    pub async fn run(&self, prepared: Prepared, viewer: Viewer, origin: Origin) -> Answer {
        let parts = &self.0;
        let request_id = origin.request_id.clone().unwrap_or_default();
        let Prepared { document, operation, .. } = prepared;
        let context = Arc::new(RequestContext::new(parts.app.clone(), viewer, origin));
        let variables = Variables::from_json(operation.variables);
        let mut request =
            Request::new(operation.query).variables(variables.clone()).data(Arc::clone(&context));
        request.operation_name.clone_from(&operation.operation_name);
        request.set_parsed_query(document.clone());

        let deadline = Duration::from_millis(parts.app.config.operation_timeout_ms);
        let Ok(response) = tokio::time::timeout(deadline, parts.schema.execute(request)).await else {
            tracing::warn!(request_id, operation = operation.operation_name, "the operation took too long");
            return Answer::failed(&Error::Timeout, &request_id);
        };
        // Refusals are in the trail before the answer leaves; without the trail there is no answer.
        if let Err(error) = context.record_refusals().await {
            return Answer::failed(&error, &request_id);
        }
        let mut errors = response.errors;
        let before_execution =
            response.data == Value::Null && errors.iter().all(|error| error.path.is_empty());
        if before_execution && !errors.is_empty() {
            errors.truncate(MAX_VALIDATION_ERRORS);
            let errors = errors.into_iter().map(|error| self.validation(error, &request_id)).collect();
            return Answer::new(Outcome::Refused("GRAPHQL_VALIDATION_FAILED"), None, errors);
        }
        for error in &mut errors {
            finish(error, &request_id);
        }
        let data = match select(&document, operation.operation_name.as_deref()) {
            Ok(selected) => parts.types.shape(&document, selected, &variables, response.data),
            Err(_) => response.data,
        };
        let mut answer = Answer::new(Outcome::Executed, Some(data), errors);
        answer.cookies = context.take_cookies();
        answer.clear_site_data = context.clears_site_data();
        answer
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

/// An operation that was parsed and may be executed.
#[derive(Debug)]
pub struct Prepared {
    document: ExecutableDocument,
    operation: Operation,
    /// Query, mutation or subscription.
    pub kind: OperationType,
}

impl Prepared {
    /// The operation's name, for logs: whatever the client says, bounded.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.operation.operation_name.as_deref().filter(|name| name.len() <= 64)
    }
}

/// The operation of `document` that will run.
fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, &'static str> {
    let mut operations = document.operations.iter();
    match name {
        Some(name) => operations
            .find(|(operation, _)| operation.is_some_and(|operation| operation == name))
            .map(|(_, operation)| &operation.node)
            .ok_or("the document has no operation of that name"),
        None => match (operations.next(), operations.next()) {
            (Some((_, operation)), None) => Ok(&operation.node),
            (None, _) => Err("the document has no operation"),
            _ => Err("the document has several operations: say which with operationName"),
        },
    }
}
