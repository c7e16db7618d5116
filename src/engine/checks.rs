//! The static limits of one operation, in the order it meets them, before anything is executed.

use super::SchemaError;
use super::answer::Answer;
use super::documents::{Documents, Source, Trust};
use super::request::Operation;
use crate::config::{Config, Mode};
use crate::graphql::coerce::InputTypes;
use crate::limits::cost::{CostTable, Estimate};
use crate::limits::expand::expand;
use crate::limits::json::{self, JsonRefusal};
use crate::limits::scan::scan;
use crate::limits::shape::{SelectError, select_operation, shape};
use crate::limits::{Limit, QueryLimits, Violation, ViolationCode};
use async_graphql::Variables;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationType};

/// Who may ask about the schema itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    /// Everyone.
    On,
    /// Nobody.
    Off,
    /// Who holds ADMIN_ACCESS.
    Admin,
}

/// The limits in force.
#[derive(Debug)]
pub struct Checks {
    limits: QueryLimits,
    /// The documents known by name.
    pub documents: Documents,
    /// What each field costs.
    pub costs: CostTable,
    inputs: InputTypes,
    /// Who may ask about the schema.
    pub introspection: Introspection,
}

/// An operation within the static limits.
#[derive(Debug)]
pub struct Prepared {
    /// The parsed document.
    pub document: ExecutableDocument,
    /// The request it came in.
    pub operation: Operation,
    /// Its variables.
    pub variables: Variables,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// What it may cost, and which fields it would execute how often.
    pub estimate: Estimate,
    /// Whether it asks about the schema.
    pub introspects: bool,
    /// Whether its document is not trusted and the viewer needs ADMIN_ACCESS for that.
    pub needs_permission: bool,
}

impl Prepared {
    /// The operation's name, for logs: whatever the client says, bounded.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.operation.operation_name.as_deref().filter(|name| name.len() <= 64)
    }
}

impl From<Violation> for Answer {
    fn from(violation: Violation) -> Self {
        Answer::refused(violation.code.as_str(), violation.to_string())
    }
}

impl Checks {
    /// The limits that `config` sets, over the schema `sdl`.
    ///
    /// # Errors
    /// A cost directive that is not understood, or a manifest of documents that cannot be used.
    pub fn new(config: &Config, sdl: &str) -> Result<Self, SchemaError> {
        let limit = |max: u64| {
            if config.limits_mode == "report" { Limit::new(max).reported() } else { Limit::new(max) }
        };
        let mut limits = QueryLimits { cost: limit(config.max_cost), ..QueryLimits::default() };
        limits.scan.tokens = limit(config.max_tokens.into());
        limits.scan.aliases = limit(config.max_aliases.into());
        limits.shape.depth = limit(config.max_depth.into());
        limits.shape.aliases = limit(config.max_aliases.into());
        limits.shape.mutation_roots = limit(config.max_root_mutations.into());
        limits.json.bytes = Limit::new(config.max_body_bytes);
        limits.json.batch = Limit::new(config.max_batch.into());
        let introspection = match (config.introspection.as_deref(), config.mode) {
            (Some("on"), _) | (None, Mode::Development) => Introspection::On,
            (Some("admin"), _) => Introspection::Admin,
            _ => Introspection::Off,
        };
        Ok(Self {
            limits,
            documents: Documents::new(config)?,
            costs: CostTable::from_sdl(sdl)?,
            inputs: InputTypes::from_sdl(sdl),
            introspection,
        })
    }

    /// Checks a JSON body before it is read as JSON.
    ///
    /// # Errors
    /// The answer that says which limit it passes.
    pub fn body(&self, body: &[u8]) -> Result<(), Answer> {
        let mut shadow = Vec::new();
        let checked = json::check(body, &self.limits.json, &mut shadow);
        report(&shadow);
        match checked {
            Ok(report) if report.batch.is_some() && self.limits.json.batch.max <= 1 => {
                Err(Answer::refused(ViolationCode::BatchTooLarge.as_str(), "batches are not accepted"))
            }
            Ok(_) => Ok(()),
            Err(JsonRefusal::Limit(violation)) => Err(violation.into()),
            Err(refusal @ JsonRefusal::DuplicateMember) => {
                Err(Answer::refused("BAD_REQUEST", refusal.to_string()))
            }
        }
    }

    /// Scans, parses and measures `operation`.
    ///
    /// # Errors
    /// The answer that says what is wrong; nothing was executed.
    pub fn prepare(&self, mut operation: Operation) -> Result<Prepared, Answer> {
        let source = self.documents.resolve(&mut operation)?;
        if source == Source::Client && self.documents.trust == Trust::TrustedOnly {
            return Err(Answer::refused(
                "DOCUMENT_NOT_TRUSTED",
                "only documents of the manifest are accepted",
            ));
        }
        let mut shadow = Vec::new();
        scan(&operation.query, &self.limits.scan, &mut shadow)?;
        let document = parse_query(&operation.query)
            .map_err(|error| Answer::refused("GRAPHQL_PARSE_FAILED", error.to_string()))?;
        expand(&document, &self.limits.expand, &mut shadow)?;
        let selected = select_operation(&document, operation.operation_name.as_deref()).map_err(|error| {
            let code =
                if error == SelectError::Unknown { "BAD_USER_INPUT" } else { "GRAPHQL_VALIDATION_FAILED" };
            Answer::refused(code, error.to_string())
        })?;
        let measured = shape(&document, selected, &self.limits.shape, &mut shadow)?;
        let variables = Variables::from_json(operation.variables.clone());
        self.inputs
            .check(selected, &variables)
            .map_err(|message| Answer::refused("GRAPHQL_VALIDATION_FAILED", message))?;
        let estimate = self.costs.estimate(&document, selected, &variables);
        self.limits.cost.check(ViolationCode::QueryTooComplex, "cost", estimate.cost, &mut shadow)?;
        report(&shadow);
        self.documents.register(&operation);
        let kind = selected.ty;
        let needs_permission = source == Source::Client && self.documents.trust == Trust::TrustedOrPermitted;
        let introspects = measured.introspects;
        Ok(Prepared { document, operation, variables, kind, estimate, introspects, needs_permission })
    }

    /// Points that one operation may cost.
    #[must_use]
    pub fn max_cost(&self) -> u64 {
        self.limits.cost.max
    }
}

/// Logs what limits in report mode would have refused.
fn report(shadow: &[Violation]) {
    for violation in shadow {
        tracing::warn!(
            limit = violation.limit,
            allowed = violation.allowed,
            found = violation.found,
            "past a limit in report mode"
        );
    }
}
