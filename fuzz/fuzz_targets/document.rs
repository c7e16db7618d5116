//! Any bytes as a document: scan → parse → expand → shape → cost, then any bytes as a body.
//!
//! Run with `cargo +nightly fuzz run document -- -rss_limit_mb=1024 -timeout=2`. The limits' files are
//! built in by path, so that only the GraphQL crates are instrumented with them and not the server.
#![no_main]
#![allow(dead_code, unused_imports)]

use async_graphql::Variables;
use async_graphql::parser::parse_query;
use libfuzzer_sys::fuzz_target;
use limits::cost::CostTable;
use limits::{expand, json, scan, shape};
use std::sync::LazyLock;

#[path = "../../src/limits"]
mod limits {
    pub mod cost;
    mod cost_table;
    pub mod expand;
    pub mod json;
    pub mod scan;
    pub mod shape;
    pub mod violation;
}

static TABLE: LazyLock<CostTable> =
    LazyLock::new(|| CostTable::from_sdl(include_str!("../../schema.graphql")).expect("the SDL parses"));

fuzz_target!(|data: &[u8]| {
    let mut shadow = Vec::new();
    let _ = json::check(data, &json::JsonLimits::default(), &mut shadow);
    let Ok(document) = std::str::from_utf8(data) else { return };
    let Ok(seen) = scan::scan(document, &scan::ScanLimits::default(), &mut shadow) else { return };
    assert!(seen.steps <= 2 * document.len() as u64);
    let Ok(parsed) = parse_query(document) else { return };
    let Ok(expanded) = expand::expand(&parsed, &expand::ExpandLimits::default(), &mut shadow) else { return };
    assert!(expanded.expansion <= expand::EXPANSION_CEILING);
    for (name, _) in parsed.operations.iter() {
        let Ok(operation) = shape::select_operation(&parsed, name.map(|name| name.as_str())) else {
            continue;
        };
        let _ = shape::shape(&parsed, operation, &shape::ShapeLimits::default(), &mut shadow);
        let estimate = TABLE.estimate(&parsed, operation, &Variables::default());
        assert!(estimate.steps <= expanded.expansion);
    }
    assert!(shadow.is_empty());
});
