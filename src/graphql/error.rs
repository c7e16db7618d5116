//! The error boundary: the one `Error` becomes a GraphQL error with `extensions.code`.
//!
//! async-graphql carries a resolver's error along as the source; once the operation has run, [`finish`]
//! turns it into what the client may read, logs its private cause with the request's id, and masks
//! whatever did not come through here.

use crate::error::Error;
use async_graphql::{ErrorExtensionValues, Name, ServerError, Value};

/// Gives `error` its code and the request's id; logs and hides what is private.
pub fn finish(error: &mut ServerError, request_id: &str) {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    extensions.set("requestId", request_id);
    let Some(known) = error.source.as_deref().and_then(|source| source.downcast_ref::<Error>()).cloned()
    else {
        if extensions.get("code").is_none() {
            // async-graphql's own words about the client's input: a value that does not fit its type.
            extensions.set("code", "BAD_USER_INPUT");
        }
        return;
    };
    extensions.set("code", known.code());
    match &known {
        Error::RateLimited { retry_after } | Error::Overloaded { retry_after } => {
            extensions.set("retryAfter", *retry_after);
        }
        Error::BadUserInput(fields) => {
            let fields = fields
                .iter()
                .map(|(field, reasons)| {
                    (
                        Name::new(field),
                        Value::List(reasons.iter().map(|reason| Value::from(reason.as_str())).collect()),
                    )
                })
                .collect();
            extensions.set("fields", Value::Object(fields));
        }
        Error::Internal(cause) => {
            tracing::error!(request_id, cause = format!("{cause:?}"), path = ?error.path, "internal error");
        }
        _ => {}
    }
}
