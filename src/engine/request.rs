//! A GraphQL request as clients send it (GraphQL over HTTP, section 5).

use serde_json::{Map, Value};

/// One operation to run.
#[derive(Debug, Clone, Default)]
pub struct Operation {
    /// The document.
    pub query: String,
    /// The id of a trusted document, in place of the document.
    pub document_id: Option<String>,
    /// The digest under which the client wants its document kept.
    pub register: Option<String>,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// Its variables: an object, or null.
    pub variables: Value,
    /// Whatever the client adds for the server.
    pub extensions: Map<String, Value>,
}

/// Why a request is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON.
    #[error("the body is not valid JSON")]
    Malformed,
    /// Not an object.
    #[error("the body must be a JSON object with a `query`")]
    NotAnObject,
    /// More than one operation where one is taken.
    #[error("batches are not accepted")]
    Batch,
    /// A member of the wrong type.
    #[error("`{0}` has the wrong type")]
    IllTyped(&'static str),
    /// No document.
    #[error("`query` is missing")]
    NoQuery,
}

impl Operation {
    /// Reads the members of `object`; unknown ones are ignored, `null` is as good as absent.
    ///
    /// # Errors
    /// A member of the wrong type, or no `query`.
    pub fn from_object(mut object: Map<String, Value>) -> Result<Self, RequestError> {
        let document_id = match object.remove("documentId") {
            Some(Value::String(id)) => Some(id),
            None | Some(Value::Null) => None,
            Some(_) => return Err(RequestError::IllTyped("documentId")),
        };
        let query = match object.remove("query") {
            Some(Value::String(query)) => Some(query),
            None | Some(Value::Null) => None,
            Some(_) => return Err(RequestError::IllTyped("query")),
        };
        let operation_name = match object.remove("operationName") {
            Some(Value::String(name)) => Some(name),
            None | Some(Value::Null) => None,
            Some(_) => return Err(RequestError::IllTyped("operationName")),
        };
        let variables = match object.remove("variables") {
            Some(Value::Object(variables)) => Value::Object(variables),
            None | Some(Value::Null) => Value::Null,
            Some(_) => return Err(RequestError::IllTyped("variables")),
        };
        let extensions = match object.remove("extensions") {
            Some(Value::Object(extensions)) => extensions,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(RequestError::IllTyped("extensions")),
        };
        if query.is_none() && document_id.is_none() && !extensions.contains_key("persistedQuery") {
            return Err(RequestError::NoQuery);
        }
        let query = query.unwrap_or_default();
        Ok(Self { query, document_id, register: None, operation_name, variables, extensions })
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_body(body: &[u8]) -> Result<Self, RequestError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Self::from_object(object),
            Ok(Value::Array(_)) => Err(RequestError::Batch),
            Ok(_) => Err(RequestError::NotAnObject),
            Err(_) => Err(RequestError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_have_their_types_and_null_is_absent() {
        let read = |text: &str| Operation::from_body(text.as_bytes()).map(|operation| operation.query);
        assert_eq!(
            read(r#"{"query":"{a}","variables":null,"operationName":null,"extensions":null,"more":1}"#)
                .unwrap(),
            "{a}"
        );
        for (text, error) in [
            ("", RequestError::Malformed),
            ("{", RequestError::Malformed),
            ("1", RequestError::NotAnObject),
            ("[]", RequestError::Batch),
            ("{}", RequestError::NoQuery),
            (r#"{"query":1}"#, RequestError::IllTyped("query")),
            (r#"{"query":"{a}","variables":[]}"#, RequestError::IllTyped("variables")),
            (r#"{"query":"{a}","variables":"{}"}"#, RequestError::IllTyped("variables")),
            (r#"{"query":"{a}","operationName":{}}"#, RequestError::IllTyped("operationName")),
            (r#"{"query":"{a}","extensions":0}"#, RequestError::IllTyped("extensions")),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }
}
