//! The scan and the body check against what the parsers see.

use super::*;
use crate::limits::json::{self, JsonLimits, JsonRefusal};
use crate::limits::scan::{NESTING_CEILING, ScanLimits, ScanReport};
use crate::limits::{Limit, Mode};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql_value::Value;
use proptest::prelude::*;

fn open() -> ScanLimits {
    let all = Limit::new(u64::MAX);
    ScanLimits {
        bytes: all,
        tokens: all,
        nesting: all,
        string_bytes: all,
        name_bytes: all,
        directives: all,
        aliases: all,
        fields: all,
    }
}

fn count(document: &str) -> ScanReport {
    scan::scan(document, &open(), &mut Vec::new()).unwrap()
}

#[test]
fn it_counts_what_is_written() {
    let seen = count(
        "\u{feff}query Q($v: [Int!] = [1, -2.5e3]) @d { # { { {\n a: b(x: {y: [\"}}\\\"{\", \"\"\"{ \\\"\"\" [\"\"\"]}) @include(if: $v) \
         ... on T @x(y: 1) { c ...F } }\nfragment F on T { on a:a }",
    );
    assert_eq!(seen.nesting, 4);
    assert_eq!(seen.aliases, 2);
    assert_eq!(seen.fields, 4);
    assert_eq!(seen.directives, 3);
    assert_eq!(seen.string_bytes, 8);
}

type Pick = fn(&mut ScanLimits) -> &mut Limit;

#[test]
fn each_limit_at_and_one_past() {
    let cases: [(&str, Pick, u64); 8] = [
        ("{ab}", |limits| &mut limits.bytes, 4),
        ("{a b(c:1)}", |limits| &mut limits.tokens, 9),
        ("{a(b:[{}])}", |limits| &mut limits.nesting, 4),
        ("{a(b:\"cde\")}", |limits| &mut limits.string_bytes, 3),
        ("{abc d}", |limits| &mut limits.name_bytes, 3),
        ("{a @b @c}", |limits| &mut limits.directives, 2),
        ("{a:b c:d}", |limits| &mut limits.aliases, 2),
        ("{a b:c ...d ... on E {f}}", |limits| &mut limits.fields, 3),
    ];
    for (document, limit, found) in cases {
        let mut limits = open();
        *limit(&mut limits) = Limit::new(found);
        assert!(scan::scan(document, &limits, &mut Vec::new()).is_ok(), "{document}");
        *limit(&mut limits) = Limit::new(found - 1);
        let violation = scan::scan(document, &limits, &mut Vec::new()).unwrap_err();
        assert_eq!((violation.allowed, violation.found), (found - 1, found), "{document}");
        *limit(&mut limits) = Limit::new(found - 1).reported();
        let mut shadow = Vec::new();
        assert!(scan::scan(document, &limits, &mut shadow).is_ok());
        assert_eq!(shadow, [violation]);
    }
}

#[test]
fn the_parser_survives_the_nesting_ceiling() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let depth = usize::try_from(NESTING_CEILING).unwrap();
        let document = format!("{{a(b:{}1{})}}", open.repeat(depth - 2), close.repeat(depth - 2));
        assert_eq!(count(&document).nesting, NESTING_CEILING);
        assert!(parse_query(document).is_ok());
    }
    let past = "[".repeat(usize::try_from(NESTING_CEILING).unwrap() + 1);
    let reported = ScanLimits { nesting: Limit { max: 32, mode: Mode::Report }, ..open() };
    assert!(scan::scan(&past, &reported, &mut Vec::new()).is_err(), "report mode does not lift the ceiling");
}

#[test]
fn an_unclosed_block_string_hides_no_brackets() {
    // The parser reads an empty string, a string of one blank, and then the brackets.
    let document = format!("{{a(b:[\"\"\" \" {}1{}])}}", "[".repeat(20), "]".repeat(20));
    assert!(parse_query(&document).is_ok());
    assert_eq!(count(&document).nesting, 23);
}

#[test]
fn unclosed_block_strings_do_not_make_it_quadratic() {
    let document = "\"\"\"\\\"\"\"\"\" ".repeat(10_000);
    for document in [document, "\"\"\"\\".repeat(10_000), "\"\"\" \\\"\"\"".repeat(10_000)] {
        assert!(count(&document).steps <= 2 * document.len() as u64);
    }
}

fn value_nesting(value: &Value) -> u64 {
    match value {
        Value::List(items) => 1 + items.iter().map(value_nesting).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(value_nesting).max().unwrap_or(0),
        _ => 0,
    }
}

fn set_nesting(set: &SelectionSet) -> u64 {
    let item = |item: &Selection| match item {
        Selection::Field(field) => {
            let arguments = field.node.arguments.iter().map(|(_, given)| 1 + value_nesting(&given.node));
            arguments.max().unwrap_or(0).max(set_nesting(&field.node.selection_set.node))
        }
        Selection::InlineFragment(inline) => set_nesting(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    };
    if set.items.is_empty() { 0 } else { 1 + set.items.iter().map(|one| item(&one.node)).max().unwrap_or(0) }
}

/// The deepest brackets of a parsed document.
fn parsed_nesting(document: &ExecutableDocument) -> u64 {
    let operations = document.operations.iter().map(|(_, one)| set_nesting(&one.node.selection_set.node));
    let fragments = document.fragments.values().map(|one| set_nesting(&one.node.selection_set.node));
    operations.chain(fragments).max().unwrap_or(0)
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("$v".to_owned()),
        Just("\"{[(\\\"\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"\"\"[[\\\"\"\"{{\"\"\"".to_owned()),
        Just("-1.5e9".to_owned()),
        Just("RED".to_owned()),
    ];
    leaf.prop_recursive(6, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(" "))),
            prop::collection::vec(inner, 0..3).prop_map(|items| {
                let members: Vec<_> =
                    items.iter().enumerate().map(|(at, item)| format!("k{at}:{item}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn selection() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("f".to_owned()),
        Just("a: f".to_owned()),
        Just("...F".to_owned()),
        Just("# [[{{(\n f".to_owned()),
        value().prop_map(|value| format!("f(x: {value})")),
    ];
    leaf.prop_recursive(6, 30, 4, |inner| {
        prop::collection::vec(inner, 1..4).prop_map(|items| format!("f {{ {} }}", items.join(" ")))
    })
}

proptest! {
    #[test]
    fn nesting_is_never_below_the_parsers(items in prop::collection::vec(selection(), 1..4)) {
        let document = format!("query {{ {} }} fragment F on T {{ g }}", items.join("\n"));
        let parsed = parse_query(&document).unwrap();
        prop_assert_eq!(count(&document).nesting, parsed_nesting(&parsed));
    }

    #[test]
    fn any_text_is_scanned_once_or_twice(text in "[\\\\\"{}\\[\\]():@.a#\n é\u{feff}1-]{0,200}") {
        let seen = count(&text);
        prop_assert!(seen.steps <= 2 * text.len() as u64);
        if let Ok(parsed) = parse_query(&text) {
            prop_assert!(seen.nesting >= parsed_nesting(&parsed));
        }
        // Stopping early gives the same answer as counting everything.
        let mut limits = open();
        limits.tokens = Limit::new(5);
        prop_assert_eq!(scan::scan(&text, &limits, &mut Vec::new()).is_ok(), seen.tokens <= 5);
    }

    #[test]
    fn the_body_check_never_counts_below_serde(body in "[\\[\\]{}\":,a1\\\\ ]{0,60}") {
        let seen = json::check(body.as_bytes(), &JsonLimits::default(), &mut Vec::new());
        if let (Ok(seen), Ok(parsed)) = (seen, serde_json::from_str::<serde_json::Value>(&body)) {
            fn depth(value: &serde_json::Value) -> u64 {
                match value {
                    serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                    serde_json::Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
                    _ => 0,
                }
            }
            prop_assert!(seen.nesting >= depth(&parsed));
            if let serde_json::Value::Array(items) = &parsed {
                prop_assert_eq!(seen.batch, Some(items.len() as u64));
            }
        }
    }
}

fn body(text: &str) -> Result<json::JsonReport, JsonRefusal> {
    json::check(text.as_bytes(), &JsonLimits::default(), &mut Vec::new())
}

#[test]
fn the_body_is_measured() {
    let seen = body(r#"[{"query":"{[[[","variables": {"a":[[1]]}},{"variables":null}]"#).unwrap();
    assert_eq!((seen.batch, seen.nesting, seen.variables_nesting), (Some(2), 5, 3));
    assert_eq!(seen.variables_bytes, 13);
    assert_eq!(body("not json").unwrap().batch, None);
}

/// ASVS: 1.5.3
#[test]
fn a_member_given_twice_is_refused() {
    for text in [
        r#"{"query":"{a}","query":"{b}"}"#,
        r#"{"query":"{a}","variables":{},"qu\u0065ry":"{b}"}"#,
        r#"[{"query":"{a}"},{"x":1,"x":1}]"#,
    ] {
        assert_eq!(body(text), Err(JsonRefusal::DuplicateMember), "{text}");
    }
    assert!(body(r#"[{"query":"{a}"},{"query":"query"}]"#).is_ok());
    assert!(body(r#"{"variables":{"query":1},"query":"{b}","query\n":1}"#).is_ok());
}

/// ASVS: 4.3.1, 15.2.2
#[test]
fn bodies_past_a_limit_are_refused() {
    let limits = JsonLimits::default();
    let code = |text: &str| match body(text).unwrap_err() {
        JsonRefusal::Limit(violation) => (violation.code.as_str(), violation.limit),
        JsonRefusal::DuplicateMember => panic!("duplicate"),
    };
    let nested = |depth: u64| {
        let depth = usize::try_from(depth).unwrap();
        format!("{{\"variables\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
    };
    assert!(body(&nested(limits.variables_nesting.max)).is_ok());
    assert_eq!(code(&nested(limits.variables_nesting.max + 1)), ("QUERY_TOO_DEEP", "variables_nesting"));
    assert_eq!(code(&"[".repeat(100_000)), ("QUERY_TOO_DEEP", "body_nesting"));
    let batch = |count: u64| format!("[{}]", vec!["{}"; usize::try_from(count).unwrap()].join(","));
    assert!(body(&batch(limits.batch.max)).is_ok());
    assert_eq!(code(&batch(limits.batch.max + 1)), ("BATCH_TOO_LARGE", "batch"));
    let values =
        |count: u64| format!("{{\"variables\":[{}1]}}", "1,".repeat(usize::try_from(count).unwrap() - 3));
    assert!(body(&values(limits.values.max)).is_ok());
    assert_eq!(code(&values(limits.values.max + 1)), ("QUERY_TOO_LARGE", "body_values"));
    let giant = |bytes: u64| {
        format!("{{\"variables\":{{\"a\":\"{}\"}}}}", "x".repeat(usize::try_from(bytes).unwrap() - 9))
    };
    assert!(body(&giant(limits.variables_bytes.max)).is_ok());
    assert_eq!(code(&giant(limits.variables_bytes.max + 1)), ("QUERY_TOO_LARGE", "variables_bytes"));
    assert_eq!(
        code(&" ".repeat(usize::try_from(limits.bytes.max).unwrap() + 1)),
        ("QUERY_TOO_LARGE", "body_bytes")
    );
}
