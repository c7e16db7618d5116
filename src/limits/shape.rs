//! The shape of the operation that will run: depth, fields, aliases, roots, repetitions.
//!
//! Counted on the operation with its fragments spread out, `@skip` and `@include` not regarded, as
//! a client can set those afterwards. Call [`super::expand::expand`] first: it bounds this walk.

use super::violation::{Limit, Violation, ViolationCode};
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use std::fmt;

/// Limits of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeLimits {
    /// Nested fields; a root field is at depth 1. Does not count within `__schema` and `__type`.
    pub depth: Limit,
    /// Nested fields within and including `__schema` and `__type`. The standard query needs 15.
    pub introspection_depth: Limit,
    /// Introspection lists (`fields`, `interfaces`, `possibleTypes`, `inputFields`) within each
    /// other: these go in circles. The standard query needs 1.
    pub introspection_lists: Limit,
    /// Fields.
    pub fields: Limit,
    /// Aliases.
    pub aliases: Limit,
    /// Fields at the root of a query.
    pub query_roots: Limit,
    /// Fields at the root of a mutation.
    pub mutation_roots: Limit,
    /// Directives, those on the operation and its variables too.
    pub directives: Limit,
    /// Times one response name is selected in one place: each is executed.
    pub repetitions: Limit,
}

impl Default for ShapeLimits {
    fn default() -> Self {
        Self {
            depth: Limit::new(12),
            introspection_depth: Limit::new(16),
            introspection_lists: Limit::new(2),
            fields: Limit::new(500),
            aliases: Limit::new(30),
            query_roots: Limit::new(20),
            mutation_roots: Limit::new(4),
            directives: Limit::new(50),
            repetitions: Limit::new(10),
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShapeReport {
    /// Deepest field outside introspection.
    pub depth: u64,
    /// Deepest field within introspection.
    pub introspection_depth: u64,
    /// Most introspection lists within each other.
    pub introspection_lists: u64,
    /// Fields.
    pub fields: u64,
    /// Aliases.
    pub aliases: u64,
    /// Fields at the root.
    pub root_fields: u64,
    /// Directives.
    pub directives: u64,
    /// Most selections of one response name in one place.
    pub repetitions: u64,
    /// Whether `__schema` or `__type` is selected.
    pub introspects: bool,
}

/// Why no operation could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectError {
    /// Several operations and no `operationName`.
    NameNeeded,
    /// No operation has that name.
    Unknown,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNeeded => "operationName is required: the document has several operations",
            Self::Unknown => "the document has no operation of that name",
        })
    }
}

impl std::error::Error for SelectError {}

/// The operation that `name` (the request's `operationName`) asks for.
///
/// # Errors
/// [`SelectError`] when there is none, or more than one and no name
/// (<https://spec.graphql.org/October2021/#GetOperation()>).
pub fn select_operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Result<&'d OperationDefinition, SelectError> {
    match (&document.operations, name) {
        (DocumentOperations::Single(only), None) => Ok(&only.node),
        (DocumentOperations::Single(_), Some(_)) => Err(SelectError::Unknown),
        (DocumentOperations::Multiple(named), Some(name)) => {
            named.get(name).map(|found| &found.node).ok_or(SelectError::Unknown)
        }
        (DocumentOperations::Multiple(named), None) => {
            let mut all = named.values();
            match (all.next(), all.next()) {
                (Some(only), None) => Ok(&only.node),
                _ => Err(SelectError::NameNeeded),
            }
        }
    }
}

/// Counts the shape of `operation`.
///
/// # Errors
/// The first enforced limit passed. Reported ones are put on `shadow`.
pub fn shape(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    limits: &ShapeLimits,
    shadow: &mut Vec<Violation>,
) -> Result<ShapeReport, Violation> {
    use ViolationCode::{
        QueryTooComplex, QueryTooDeep, QueryTooManyAliases, QueryTooManyDirectives, QueryTooManyRootFields,
    };
    let mut walk = Walk { document, report: ShapeReport::default(), names: Vec::new() };
    walk.report.directives = operation.directives.len() as u64;
    for variable in &operation.variable_definitions {
        walk.report.directives += variable.node.directives.len() as u64;
    }
    walk.set(&operation.selection_set.node, Place { depth: 1, within: Within::Root, lists: 0 });
    let report = walk.report;
    let roots = match operation.ty {
        OperationType::Mutation => limits.mutation_roots,
        OperationType::Query | OperationType::Subscription => limits.query_roots,
    };
    roots.check(QueryTooManyRootFields, "root_fields", report.root_fields, shadow)?;
    limits.aliases.check(QueryTooManyAliases, "aliases", report.aliases, shadow)?;
    limits.directives.check(QueryTooManyDirectives, "directives", report.directives, shadow)?;
    limits.depth.check(QueryTooDeep, "depth", report.depth, shadow)?;
    let lists = report.introspection_lists;
    limits.introspection_lists.check(QueryTooDeep, "introspection_lists", lists, shadow)?;
    let depth = report.introspection_depth;
    limits.introspection_depth.check(QueryTooDeep, "introspection_depth", depth, shadow)?;
    limits.repetitions.check(QueryTooComplex, "repetitions", report.repetitions, shadow)?;
    limits.fields.check(QueryTooComplex, "fields", report.fields, shadow)?;
    Ok(report)
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    Root,
    Data,
    Introspection,
}

#[derive(Clone, Copy)]
struct Place {
    depth: u64,
    within: Within,
    lists: u64,
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    report: ShapeReport,
    /// Response names of the sets being walked, the innermost last.
    names: Vec<&'d str>,
}

impl<'d> Walk<'d> {
    /// One place's whole selection.
    fn set(&mut self, set: &'d SelectionSet, place: Place) {
        let start = self.names.len();
        self.items(set, place);
        let names = &mut self.names[start..];
        names.sort_unstable();
        let most = names.chunk_by(|left, right| left == right).map(<[_]>::len).max().unwrap_or(0);
        self.report.repetitions = self.report.repetitions.max(most as u64);
        self.names.truncate(start);
    }

    fn items(&mut self, set: &'d SelectionSet, place: Place) {
        for item in &set.items {
            self.report.directives += item.node.directives().len() as u64;
            match &item.node {
                Selection::Field(field) => self.field(&field.node, place),
                Selection::InlineFragment(inline) => self.items(&inline.node.selection_set.node, place),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name) {
                        self.report.directives += fragment.node.directives.len() as u64;
                        self.items(&fragment.node.selection_set.node, place);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'d Field, mut place: Place) {
        let name = field.name.node.as_str();
        self.report.fields += 1;
        self.report.aliases += u64::from(field.alias.is_some());
        self.names.push(field.response_key().node.as_str());
        if place.within == Within::Root {
            self.report.root_fields += 1;
            place.within = Within::Data;
            if name == "__schema" || name == "__type" {
                self.report.introspects = true;
                place.within = Within::Introspection;
            }
        }
        if place.within == Within::Introspection {
            if matches!(name, "fields" | "interfaces" | "possibleTypes" | "inputFields") {
                place.lists += 1;
            }
            self.report.introspection_lists = self.report.introspection_lists.max(place.lists);
            self.report.introspection_depth = self.report.introspection_depth.max(place.depth);
        } else {
            self.report.depth = self.report.depth.max(place.depth);
        }
        if !field.selection_set.node.items.is_empty() {
            self.set(&field.selection_set.node, Place { depth: place.depth + 1, ..place });
        }
    }
}
