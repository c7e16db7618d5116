//! Fragment expansion, counted without expanding.
//!
//! Validators and executors walk a document with its fragments spread out, and a kilobyte of
//! fragments that spread each other spreads out to billions of selections. Here every fragment is
//! sized once (memoised, saturating), whatever the document does; a cycle is a violation. Only
//! documents within [`ExpandLimits`] are walked by anyone, so later walks need no guard of their own.
//!
//! The whole document is counted, not only the operation that will run: validation reads all of it.

use super::violation::{Limit, Violation, ViolationCode};
use async_graphql::parser::types::{ExecutableDocument, FragmentDefinition, Selection, SelectionSet};
use std::collections::HashMap;

/// Selections after expansion past which a document is refused in any mode.
pub const EXPANSION_CEILING: u64 = 20_000;
/// Nesting after expansion, fragments counted, past which a document is refused in any mode.
pub const PATH_CEILING: u64 = 128;

/// Limits of a document's definitions and their expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandLimits {
    /// Operations in the document.
    pub operations: Limit,
    /// Fragments in the document.
    pub fragments: Limit,
    /// Fields, spreads and inline fragments of all operations and fragments, fragments expanded.
    pub expansion: Limit,
    /// Longest path of nested selections, fragments expanded and counted.
    pub path: Limit,
}

impl Default for ExpandLimits {
    fn default() -> Self {
        Self {
            operations: Limit::new(20),
            fragments: Limit::new(100),
            expansion: Limit::new(5_000),
            path: Limit::new(64),
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpandReport {
    /// Operations.
    pub operations: u64,
    /// Fragments.
    pub fragments: u64,
    /// Selections after expansion, saturating.
    pub expansion: u64,
    /// Longest path of nested selections.
    pub path: u64,
    /// Selections looked at: at most twice those written in the document.
    pub steps: u64,
}

/// Counts the expansion of `document`.
///
/// # Errors
/// The first enforced limit passed, a ceiling passed in any mode, or a fragment cycle
/// ([`ViolationCode::QueryTooComplex`], limit `fragment_cycle`). Reported limits are put on `shadow`.
pub fn expand(
    document: &ExecutableDocument,
    limits: &ExpandLimits,
    shadow: &mut Vec<Violation>,
) -> Result<ExpandReport, Violation> {
    use ViolationCode::{QueryTooComplex, QueryTooDeep, QueryTooLarge};
    let mut report = ExpandReport {
        operations: document.operations.iter().len() as u64,
        fragments: document.fragments.len() as u64,
        ..ExpandReport::default()
    };
    limits.operations.check(QueryTooLarge, "operations", report.operations, shadow)?;
    limits.fragments.check(QueryTooLarge, "fragments", report.fragments, shadow)?;
    let mut sizes = Sizes::with_capacity(document.fragments.len());
    for name in document.fragments.keys() {
        size_fragment(document, name, &mut sizes, &mut report.steps)?;
    }
    let mut whole = Size::default();
    for fragment in document.fragments.keys() {
        if let Some(Some(size)) = sizes.get(fragment.as_str()) {
            whole = whole.beside(*size);
        }
    }
    for (_, operation) in document.operations.iter() {
        whole = whole.beside(size_of(&operation.node.selection_set.node, &sizes, &mut report.steps));
    }
    report.expansion = whole.count;
    report.path = whole.path;
    ceiling(QueryTooComplex, "expansion", limits.expansion, EXPANSION_CEILING, whole.count)?;
    ceiling(QueryTooDeep, "path", limits.path, PATH_CEILING, whole.path)?;
    limits.expansion.check(QueryTooComplex, "expansion", whole.count, shadow)?;
    limits.path.check(QueryTooDeep, "path", whole.path, shadow)?;
    Ok(report)
}

fn ceiling(
    code: ViolationCode,
    name: &'static str,
    limit: Limit,
    most: u64,
    found: u64,
) -> Result<(), Violation> {
    if found <= most {
        return Ok(());
    }
    Err(Violation { code, limit: name, allowed: limit.max.min(most), found })
}

/// How many selections, and how deep.
#[derive(Clone, Copy, Default)]
struct Size {
    count: u64,
    path: u64,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), path: self.path.max(other.path) }
    }

    /// One selection with `self` within it.
    fn within_one(self) -> Self {
        Self { count: self.count.saturating_add(1), path: self.path.saturating_add(1) }
    }
}

/// Fragment sizes by name; `None` while a fragment is being sized.
type Sizes<'d> = HashMap<&'d str, Option<Size>>;

/// Sizes `first` and all it spreads, depth first with a stack of its own: a chain of fragments may
/// be as long as the document.
fn size_fragment<'d>(
    document: &'d ExecutableDocument,
    first: &'d str,
    sizes: &mut Sizes<'d>,
    steps: &mut u64,
) -> Result<(), Violation> {
    if sizes.contains_key(first) {
        return Ok(());
    }
    let mut stack: Vec<(&'d str, &'d FragmentDefinition, Vec<&'d str>)> = Vec::new();
    let mut next = Some(first);
    loop {
        if let Some(name) = next.take()
            && let Some(fragment) = document.fragments.get(name)
        {
            let mut spreads = Vec::new();
            find_spreads(&fragment.node.selection_set.node, &mut spreads, steps);
            sizes.insert(name, None);
            stack.push((name, &fragment.node, spreads));
        }
        let Some((name, fragment, spreads)) = stack.last_mut() else { return Ok(()) };
        match spreads.pop() {
            Some(spread) => match sizes.get(spread) {
                Some(Some(_)) => {}
                Some(None) => {
                    return Err(Violation {
                        code: ViolationCode::QueryTooComplex,
                        limit: "fragment_cycle",
                        allowed: 0,
                        found: 1,
                    });
                }
                None => next = Some(spread),
            },
            None => {
                let size = size_of(&fragment.selection_set.node, sizes, steps);
                sizes.insert(*name, Some(size));
                stack.pop();
            }
        }
    }
}

/// The names spread in `set`. Recursion is bounded by the nesting the scan let through.
fn find_spreads<'d>(set: &'d SelectionSet, found: &mut Vec<&'d str>, steps: &mut u64) {
    for item in &set.items {
        *steps += 1;
        match &item.node {
            Selection::Field(field) => find_spreads(&field.node.selection_set.node, found, steps),
            Selection::InlineFragment(inline) => find_spreads(&inline.node.selection_set.node, found, steps),
            Selection::FragmentSpread(spread) => found.push(spread.node.fragment_name.node.as_str()),
        }
    }
}

/// The size of `set`, the fragments it spreads being known; unknown ones are empty.
fn size_of(set: &SelectionSet, sizes: &Sizes<'_>, steps: &mut u64) -> Size {
    let mut total = Size::default();
    for item in &set.items {
        *steps += 1;
        let within = match &item.node {
            Selection::Field(field) => size_of(&field.node.selection_set.node, sizes, steps),
            Selection::InlineFragment(inline) => size_of(&inline.node.selection_set.node, sizes, steps),
            Selection::FragmentSpread(spread) => {
                sizes.get(spread.node.fragment_name.node.as_str()).copied().flatten().unwrap_or_default()
            }
        };
        total = total.beside(within.within_one());
    }
    total
}
