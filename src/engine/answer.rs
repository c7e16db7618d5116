//! The answer to one operation, before a transport puts it into words of its own.

use crate::error::Error;
use crate::graphql::error::finish;
use async_graphql::{ErrorExtensionValues, Pos, ServerError, Value};
use serde::Serialize;
use serde::ser::SerializeMap;

/// How far an operation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran; its fields may still have failed, each for itself.
    Executed,
    /// It did not run; the code says why.
    Refused(&'static str),
}

/// `extensions.cost`: what the operation was reckoned to cost and what is left of the budget.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Points reserved before it ran: the most it could touch.
    pub requested: u64,
    /// Points for what it did touch; the rest was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<u64>,
    /// Points in a minute.
    pub limit: u32,
    /// Points left.
    pub remaining: u32,
    /// When the budget is whole again, RFC 3339.
    pub reset_at: String,
}

/// What goes back to the client.
#[derive(Debug)]
pub struct Answer {
    /// How far it came.
    pub outcome: Outcome,
    /// The data; absent when nothing ran.
    pub data: Option<Value>,
    /// What went wrong.
    pub errors: Vec<ServerError>,
    /// Cookies to set, where the transport has them.
    pub cookies: Vec<String>,
    /// Whether the browser should forget what it holds of this site.
    pub clear_site_data: bool,
    /// Headers that tell of limits, where the transport has them.
    pub headers: Vec<(&'static str, String)>,
    /// Points for what the operation did touch, if it ran.
    pub actual: Option<u64>,
    /// What the operation was reckoned to cost.
    pub cost: Option<Cost>,
    /// Seconds until it may succeed, for refusals by a limit.
    pub retry_after: Option<u64>,
}

impl Answer {
    /// How many of the errors have the code `code`.
    #[must_use]
    pub fn errors_with(&self, code: &str) -> usize {
        let has = |error: &&ServerError| {
            let found = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
            matches!(found, Some(Value::String(found)) if found == code)
        };
        self.errors.iter().filter(has).count()
    }

    /// An answer without side effects.
    #[must_use]
    pub fn new(outcome: Outcome, data: Option<Value>, errors: Vec<ServerError>) -> Self {
        Self {
            outcome,
            data,
            errors,
            cookies: Vec::new(),
            clear_site_data: false,
            headers: Vec::new(),
            actual: None,
            cost: None,
            retry_after: None,
        }
    }

    /// Nothing ran, for the reason `code`.
    #[must_use]
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        let mut error = ServerError::new(message, None::<Pos>);
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code);
        error.extensions = Some(extensions);
        Self::new(Outcome::Refused(code), None, vec![error])
    }

    /// The whole of it failed.
    #[must_use]
    pub fn failed(error: &Error, request_id: &str) -> Self {
        let retry_after = match error {
            Error::RateLimited { retry_after } | Error::Overloaded { retry_after } => Some(*retry_after),
            _ => None,
        };
        let mut shown = ServerError::new(error.to_string(), None::<Pos>);
        shown.source = Some(std::sync::Arc::new(error.clone()));
        finish(&mut shown, request_id);
        let mut answer = Self::new(Outcome::Refused(error.code()), None, vec![shown]);
        answer.retry_after = retry_after;
        answer
    }

    /// Adds the request's id to errors that lack one.
    #[must_use]
    pub fn with_request_id(mut self, request_id: &str) -> Self {
        for error in &mut self.errors {
            error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("requestId", request_id);
        }
        self
    }
}

impl Serialize for Answer {
    /// As the specification has it: no `data` key when nothing ran, no `errors` key when there are none.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.errors.is_empty() {
            map.serialize_entry("errors", &self.errors)?;
        }
        if let Some(data) = &self.data {
            map.serialize_entry("data", data)?;
        }
        if let Some(cost) = &self.cost {
            map.serialize_entry("extensions", &serde_json::json!({ "cost": cost }))?;
        }
        map.end()
    }
}
