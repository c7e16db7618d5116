//! Tests of the limits that span several of them: attacks, properties, models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests start programs and measure time")]

mod attacks;
mod cost;

mod documents;
mod memory;
mod policy;
mod redis_server;
mod stores;

use super::cost::{CostTable, Estimate};
use super::{QueryLimits, Violation, expand, scan, shape};
use async_graphql::Variables;
use async_graphql::parser::parse_query;

/// The contract's types.
const SCHEMA: &str = include_str!("schema.graphql");

fn table() -> CostTable {
    CostTable::from_sdl(SCHEMA).unwrap()
}

fn variables(json: serde_json::Value) -> Variables {
    Variables::from_json(json)
}

/// All checks in the order of a request.
fn check_with(limits: &QueryLimits, document: &str, sent: serde_json::Value) -> Result<Estimate, Violation> {
    let mut shadow = Vec::new();
    let result = shadowed(limits, document, sent, &mut shadow);
    assert!(shadow.is_empty());
    result
}

fn shadowed(
    limits: &QueryLimits,
    document: &str,
    sent: serde_json::Value,
    shadow: &mut Vec<Violation>,
) -> Result<Estimate, Violation> {
    let counted = scan::scan(document, &limits.scan, shadow)?;
    assert!(counted.steps <= 2 * document.len() as u64);
    let parsed = parse_query(document).unwrap();
    let expanded = expand::expand(&parsed, &limits.expand, shadow)?;
    assert!(expanded.steps <= 2 * counted.tokens, "expansion is sized, not walked");
    let operation = shape::select_operation(&parsed, None).unwrap();
    shape::shape(&parsed, operation, &limits.shape, shadow)?;
    let estimate = table().estimate(&parsed, operation, &variables(sent));
    assert!(estimate.steps <= expanded.expansion);
    limits.cost.check(super::ViolationCode::QueryTooComplex, "cost", estimate.cost, shadow)?;
    Ok(estimate)
}

fn check(document: &str) -> Result<Estimate, Violation> {
    check_with(&QueryLimits::default(), document, serde_json::json!({}))
}

/// The code and limit a document is refused with.
fn refused(document: &str) -> (&'static str, &'static str) {
    let violation = check(document).expect_err("must be refused");
    assert!(violation.found > violation.allowed);
    (violation.code.as_str(), violation.limit)
}
