//! Documents by name: trusted ones from a manifest, and automatic persisted queries.
//!
//! A trusted document was reviewed before it shipped; with `documents = trusted-only` nothing else runs,
//! and a stranger cannot make up queries at all. The manifest is JSON in any of the formats that client
//! tools write: `{ id: document }` (relay-compiler, graphql-codegen) or Apollo's
//! `{ "operations": [{ "id", "body" }] }`. Automatic persisted queries (APQ) save bytes, nothing more:
//! whoever knows a document may register it, and it passes the same limits as any other.

use super::answer::Answer;
use super::request::Operation;
use crate::config::Config;
use crate::crypto::digest::sha256_hex;
use quick_cache::sync::Cache;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// Registered documents at most; with the document's byte limit this bounds the memory.
const REGISTERED: usize = 1_000;
/// Bytes of a registered document at most.
const REGISTERED_BYTES: usize = 16 * 1024;

/// Which documents may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Any.
    Open,
    /// Trusted ones; any other only for ADMIN_ACCESS.
    TrustedOrPermitted,
    /// Trusted ones.
    TrustedOnly,
}

/// Where an operation's document came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The manifest.
    Trusted,
    /// The client.
    Client,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("the manifest of trusted documents {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// It is not a manifest.
    #[error("the manifest of trusted documents is not JSON in a known format: {0}")]
    Format(String),
}

/// Trusted documents by id.
pub type Manifest = HashMap<String, Arc<str>>;

/// The documents known by name.
#[derive(Debug)]
pub struct Documents {
    /// Which may run.
    pub trust: Trust,
    path: Option<PathBuf>,
    trusted: RwLock<(Manifest, Option<SystemTime>)>,
    registered: Cache<String, Arc<str>>,
}

/// Reads a manifest.
///
/// # Errors
/// When `text` is none of the known formats.
pub fn parse_manifest(text: &str) -> Result<Manifest, ManifestError> {
    let wrong = |what: &str| ManifestError::Format(what.to_owned());
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let Value::Object(object) = value else { return Err(wrong("expected an object")) };
    if let Some(Value::Array(operations)) = object.get("operations") {
        return operations
            .iter()
            .map(|operation| {
                let text = |name: &str| operation.get(name).and_then(Value::as_str);
                text("id").zip(text("body")).map(|(id, body)| (id.to_owned(), Arc::from(body)))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("each of `operations` needs an `id` and a `body`"));
    }
    object
        .into_iter()
        .map(|(id, document)| document.as_str().map(|text| (id, Arc::from(text))))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("expected a document for each id"))
}

/// Reads the manifest at `path`; a missing one is empty.
///
/// # Errors
/// When it cannot be read or is not a manifest.
pub fn read_manifest(path: &Path) -> Result<Manifest, ManifestError> {
    match fs::read_to_string(path) {
        Ok(text) => parse_manifest(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Manifest::new()),
        Err(error) => Err(ManifestError::Io(path.to_owned(), error)),
    }
}

impl Documents {
    /// The documents that `config` names.
    ///
    /// # Errors
    /// When the manifest cannot be used.
    pub fn new(config: &Config) -> Result<Self, ManifestError> {
        let trust = match config.documents.as_str() {
            "trusted-only" => Trust::TrustedOnly,
            "trusted-or-permitted" => Trust::TrustedOrPermitted,
            _ => Trust::Open,
        };
        let path = config.documents_manifest.clone();
        let trusted = path.as_deref().map(read_manifest).transpose()?.unwrap_or_default();
        let changed = path.as_deref().and_then(modified);
        Ok(Self { trust, path, trusted: RwLock::new((trusted, changed)), registered: Cache::new(REGISTERED) })
    }

    /// Reads the manifest again if it has changed; one that cannot be used leaves the old one in force.
    pub fn refresh(&self) {
        let Some(path) = self.path.as_deref() else { return };
        let changed = modified(path);
        if self.trusted.read().unwrap_or_else(PoisonError::into_inner).1 == changed {
            return;
        }
        match read_manifest(path) {
            Ok(manifest) => {
                tracing::info!(documents = manifest.len(), "read the manifest of trusted documents again");
                *self.trusted.write().unwrap_or_else(PoisonError::into_inner) = (manifest, changed);
            }
            Err(error) => {
                tracing::error!(%error, "the manifest has changed and cannot be used; the old one stays")
            }
        }
    }

    /// Puts the document that `operation` names in its place.
    ///
    /// # Errors
    /// `PERSISTED_QUERY_NOT_FOUND` for a name that is not known, `BAD_REQUEST` for one that does not fit.
    pub fn resolve(&self, operation: &mut Operation) -> Result<Source, Answer> {
        if let Some(id) = operation.document_id.take() {
            let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
            let Some(document) = trusted.0.get(id.strip_prefix("sha256:").unwrap_or(&id)) else {
                return Err(Answer::refused("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"));
            };
            operation.query = document.to_string();
            return Ok(Source::Trusted);
        }
        let Some(hash) = persisted_hash(operation)? else {
            return Ok(self.source_of(&operation.query));
        };
        if operation.query.is_empty() {
            let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner).0.get(&hash).cloned();
            let source = if trusted.is_some() { Source::Trusted } else { Source::Client };
            let Some(document) = trusted.or_else(|| self.registered.get(&hash)) else {
                return Err(Answer::refused("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"));
            };
            operation.query = document.to_string();
            return Ok(source);
        }
        if sha256_hex(operation.query.as_bytes()) != hash {
            return Err(Answer::refused("BAD_REQUEST", "provided sha does not match query"));
        }
        operation.register = Some(hash);
        Ok(self.source_of(&operation.query))
    }

    /// A document sent in full is trusted if the manifest has it under its own digest.
    fn source_of(&self, query: &str) -> Source {
        if self.trust == Trust::Open {
            return Source::Client;
        }
        let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
        if trusted.0.contains_key(&sha256_hex(query.as_bytes())) { Source::Trusted } else { Source::Client }
    }

    /// Keeps the document of an operation that passed the static limits, if its client asked for that.
    pub fn register(&self, operation: &Operation) {
        if let Some(hash) = &operation.register
            && operation.query.len() <= REGISTERED_BYTES
        {
            self.registered.insert(hash.clone(), Arc::from(operation.query.as_str()));
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The digest in `extensions.persistedQuery`.
fn persisted_hash(operation: &Operation) -> Result<Option<String>, Answer> {
    let Some(persisted) = operation.extensions.get("persistedQuery") else { return Ok(None) };
    let hash = persisted.get("sha256Hash").and_then(Value::as_str);
    let version = persisted.get("version").and_then(Value::as_u64);
    match hash {
        Some(hash)
            if version == Some(1) && hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            Ok(Some(hash.to_ascii_lowercase()))
        }
        _ => Err(Answer::refused(
            "BAD_REQUEST",
            "`extensions.persistedQuery` needs version 1 and a SHA-256 in hex",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::config::Sources;

    fn documents(trust: &str, manifest: &str) -> (Documents, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("documents.json");
        fs::write(&path, manifest).unwrap();
        let sources = Sources::default()
            .with("PORTCULLIS_DOCUMENTS", trust)
            .with("PORTCULLIS_DOCUMENTS_MANIFEST", path.to_str().unwrap());
        (Documents::new(&Config::load(sources).unwrap()).unwrap(), dir)
    }

    fn operation(json: Value) -> Operation {
        let Value::Object(object) = json else { return Operation::default() };
        Operation::from_object(object).unwrap()
    }

    #[test]
    fn every_known_format_of_manifest_is_read() {
        for text in [
            r#"{"a":"{me{id}}"}"#,
            r#"{"format":"x","version":1,"operations":[{"id":"a","body":"{me{id}}"}]}"#,
        ] {
            assert_eq!(parse_manifest(text).unwrap()["a"].as_ref(), "{me{id}}");
        }
        for text in ["", "[]", r#"{"a":1}"#, r#"{"operations":[{"id":"a"}]}"#] {
            assert!(parse_manifest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_trusted_document_is_found_by_its_id_or_its_digest() {
        let text = "{me{id}}";
        let hash = sha256_hex(text.as_bytes());
        let (documents, _dir) = documents("trusted-only", &serde_json::json!({ &hash: text }).to_string());
        let mut by_id = operation(serde_json::json!({ "documentId": hash }));
        assert_eq!(documents.resolve(&mut by_id).unwrap(), Source::Trusted);
        assert_eq!(by_id.query, text);
        let mut in_full = operation(serde_json::json!({ "query": text }));
        assert_eq!(documents.resolve(&mut in_full).unwrap(), Source::Trusted);
        let mut other = operation(serde_json::json!({ "query": "{ me { id } }" }));
        assert_eq!(documents.resolve(&mut other).unwrap(), Source::Client);
    }

    #[test]
    fn a_persisted_query_has_to_be_registered_with_its_own_digest() {
        let (documents, _dir) = documents("open", "{}");
        let text = "{me{id}}";
        let persisted =
            |hash: &str| serde_json::json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
        let hash = sha256_hex(text.as_bytes());
        let mut unknown = operation(serde_json::json!({ "extensions": persisted(&hash) }));
        assert!(documents.resolve(&mut unknown).is_err());
        let mut lie = operation(
            serde_json::json!({ "query": "{posts{edges{cursor}}}", "extensions": persisted(&hash) }),
        );
        assert!(documents.resolve(&mut lie).is_err());
        let mut full = operation(serde_json::json!({ "query": text, "extensions": persisted(&hash) }));
        documents.resolve(&mut full).unwrap();
        documents.register(&full);
        let mut again = operation(serde_json::json!({ "extensions": persisted(&hash) }));
        documents.resolve(&mut again).unwrap();
        assert_eq!(again.query, text);
        for wrong in [
            serde_json::json!({ "persistedQuery": 1 }),
            serde_json::json!({ "persistedQuery": { "version": 2, "sha256Hash": hash } }),
        ] {
            assert!(
                documents
                    .resolve(&mut operation(serde_json::json!({ "query": text, "extensions": wrong })))
                    .is_err()
            );
        }
    }

    #[test]
    fn registered_documents_are_bounded() {
        let (documents, _dir) = documents("open", "{}");
        for number in 0..REGISTERED * 3 {
            let mut one = Operation { query: format!("{{a{number}}}"), ..Operation::default() };
            one.register = Some(sha256_hex(one.query.as_bytes()));
            documents.register(&one);
        }
        assert!(documents.registered.len() <= REGISTERED);
    }

    #[test]
    fn a_changed_manifest_is_read_again_and_a_broken_one_is_not() {
        let (documents, dir) = documents("trusted-only", "{}");
        let path = dir.path().join("documents.json");
        let touch = |text: &str, seconds: u64| {
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
            documents.refresh();
        };
        touch(r#"{"a":"{me{id}}"}"#, 1);
        assert!(documents.resolve(&mut operation(serde_json::json!({ "documentId": "a" }))).is_ok());
        touch("broken", 2);
        assert!(documents.resolve(&mut operation(serde_json::json!({ "documentId": "a" }))).is_ok());
        touch("{}", 3);
        assert!(documents.resolve(&mut operation(serde_json::json!({ "documentId": "a" }))).is_err());
    }
}
