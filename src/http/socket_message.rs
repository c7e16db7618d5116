//! Messages of `graphql-transport-ws`: read strictly, written without surprises.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of an operation's id at most.
const ID: usize = 64;

/// What a client may say.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    /// `connection_init` and its payload.
    Init(Option<Map<String, Value>>),
    Ping,
    Pong,
    /// `subscribe`: an id and the members of the operation.
    Subscribe(String, Map<String, Value>),
    /// `complete`: this operation is of no more interest.
    Complete(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    payload: Option<Value>,
}

/// Reads one message; `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<Incoming> {
    let Envelope { kind, id, payload } = serde_json::from_str(text).ok()?;
    let (object, bare) = match payload {
        None | Some(Value::Null) => (None, true),
        Some(Value::Object(members)) => (Some(members), false),
        Some(_) => return None,
    };
    let id = id.filter(|id| (1..=ID).contains(&id.len()));
    match (kind.as_str(), id, object) {
        ("connection_init", None, object) => Some(Incoming::Init(object)),
        ("ping", None, _) => Some(Incoming::Ping),
        ("pong", None, _) => Some(Incoming::Pong),
        ("subscribe", Some(id), Some(operation)) => Some(Incoming::Subscribe(id, operation)),
        ("complete", Some(id), _) if bare => Some(Incoming::Complete(id)),
        _ => None,
    }
}

/// `next` with a payload that is JSON already.
pub(crate) fn next(id: &str, payload: &str) -> String {
    format!(r#"{{"id":{},"type":"next","payload":{payload}}}"#, Value::from(id))
}

/// `error` with a list of errors that is JSON already.
pub(crate) fn error(id: &str, errors: &str) -> String {
    format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, Value::from(id))
}

/// `complete`.
pub(crate) fn complete(id: &str) -> String {
    format!(r#"{{"id":{},"type":"complete"}}"#, Value::from(id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_read_strictly() {
        for (text, expected) in [
            (r#"{"type":"connection_init"}"#, Some("Init(None)")),
            (r#"{"type":"connection_init","payload":{"a":1}}"#, Some(r#"Init(Some({"a": Number(1)}))"#)),
            (r#"{"type":"ping"}"#, Some("Ping")),
            (r#"{"type":"pong","payload":{}}"#, Some("Pong")),
            (r#"{"type":"complete","id":"1"}"#, Some(r#"Complete("1")"#)),
            (r#"{"type":"connection_init","payload":"x"}"#, None),
            (r#"{"type":"subscribe","id":"1"}"#, None),
            (r#"{"type":"subscribe","payload":{"query":"{me{id}}"}}"#, None),
            (r#"{"type":"subscribe","id":"","payload":{}}"#, None),
            (r#"{"type":"subscribe","id":1,"payload":{}}"#, None),
            (r#"{"type":"subscribe","id":"1","payload":[]}"#, None),
            (r#"{"type":"start","id":"1","payload":{}}"#, None),
            (r#"{"type":"complete"}"#, None),
            (r#"{"type":"ping","type":"ping"}"#, None),
            (r#"{"id":"1"}"#, None),
            ("[]", None),
            ("", None),
            ("ping", None),
        ] {
            assert_eq!(parse(text).map(|m| format!("{m:?}")).as_deref(), expected, "{text}");
        }
        let long = "x".repeat(ID + 1);
        assert!(parse(&format!(r#"{{"type":"complete","id":"{long}"}}"#)).is_none());
        let subscribe = parse(r#"{"type":"subscribe","id":"1","payload":{"query":"{me{id}}"}}"#);
        assert!(
            matches!(subscribe, Some(Incoming::Subscribe(id, operation)) if id == "1" && operation["query"] == "{me{id}}")
        );
    }

    proptest! {
        #[test]
        fn any_id_is_written_as_one_string(id in "\\PC{1,64}") {
            let text = complete(&id);
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value["id"].as_str(), Some(id.as_str()));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
