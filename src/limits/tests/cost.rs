//! The estimate against an executor that counts what it does.

use super::*;
use crate::limits::cost::{RateClass, SdlError};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql_value::Value;
use proptest::prelude::*;
use serde_json::json;

fn estimate(document: &str, sent: serde_json::Value) -> Estimate {
    let parsed = parse_query(document).unwrap();
    let operation = shape::select_operation(&parsed, None).unwrap();
    table().estimate(&parsed, operation, &variables(sent))
}

fn cost(document: &str) -> u64 {
    estimate(document, json!({})).cost
}

#[test]
fn objects_lists_and_values() {
    assert_eq!(cost("{ me { id username } }"), 1);
    assert_eq!(cost("{ __typename me { __typename permissions } }"), 4);
    assert_eq!(cost("{ me { sessions { id } } }"), 2);
    assert_eq!(cost("{ __schema { types { name } } }"), 3);
    assert_eq!(cost("{ unknown { unknown } }"), 2);
}

#[test]
fn pages_multiply_once() {
    assert_eq!(cost("{ posts { nodes { author { id } } } }"), 1 + 1 + 20);
    assert_eq!(cost("{ posts(first: 3) { edges { node { author { id } } } } }"), 1 + 1 + 3 + 3);
    assert_eq!(cost("{ posts(first: 3) { pageInfo { endCursor } } }"), 2);
    assert_eq!(
        cost("{ posts(first: 3) { ...E ...E } } fragment E on PostConnection { nodes { author { id } } }"),
        1 + 2 * 4
    );
    assert_eq!(
        cost("{ posts(first: 2) { nodes { author { posts(first: 5) { edges { node { id } } } } } } }"),
        1 + 1 + 2 + 2 * (1 + 1 + 5)
    );
    assert_eq!(cost("{ posts(first: 100) { nodes { author { id } } } }"), 102);
    assert_eq!(cost("{ posts(first: 101) { nodes { author { id } } } }"), 102);
}

#[test]
fn variables_defaults_and_null() {
    let document = "query($n: Int = 7) { posts(first: $n) { nodes { author { id } } } }";
    assert_eq!(estimate(document, json!({})).cost, 9);
    assert_eq!(estimate(document, json!({"n": 4})).cost, 6);
    assert_eq!(estimate(document, json!({"n": null})).cost, 22);
    assert_eq!(estimate(document, json!({"n": "many"})).cost, 102);
    let document = "query($n: Int) { posts(first: $n) { nodes { author { id } } } }";
    assert_eq!(estimate(document, json!({})).cost, 22);
}

#[test]
fn skip_and_include_are_honoured() {
    let document = "query($yes: Boolean = true, $no: Boolean!) { \
        a: me @skip(if: $yes) { id } b: me @include(if: $no) { id } ...F @skip(if: true) c: me @include(if: $unknown) { id } } \
        fragment F on Query { me { id } }";
    assert_eq!(estimate(document, json!({"no": false})).cost, 1);
    assert_eq!(estimate(document, json!({"no": true, "yes": false})).cost, 3);
}

/// ASVS: 6.3.1, 2.4.1
#[test]
fn every_execution_of_a_class_is_counted_with_its_target() {
    let document = "mutation($i: LoginInput!, $who: String!, $no: Boolean = false) { \
        a: login(input: $i) { status } b: login(input: {identifier: $who, password: \"p\"}) { status } ...F ...F \
        d: login(input: {identifier: \"x\", password: \"p\"}) @include(if: $no) { status } } \
        fragment F on Mutation { c: login(input: {identifier: \"eve\", password: \"p\"}) { status } }";
    let seen = estimate(document, json!({"i": {"identifier": "ann", "password": "p"}, "who": "ann"}));
    assert_eq!(seen.classes.get(RateClass::Login), 4);
    let mut targets: Vec<_> = seen.targets.iter().map(|one| (one.value.as_str(), one.times)).collect();
    targets.sort_unstable();
    assert_eq!(targets, [("ann", 2), ("eve", 2)]);
    assert!(!format!("{seen:?}").contains("ann"), "identifiers stay out of logs");
    let both = "mutation { register(input: {email: \"a@b.c\"}) { accepted } unlockUser(input: {userId: \"usr_1\"}) { id } }";
    let seen = estimate(both, json!({}));
    assert_eq!((seen.classes.get(RateClass::Register), seen.classes.get(RateClass::Admin)), (1, 1));
    assert_eq!(seen.targets.len(), 2);
}

/// ASVS: 6.3.1
#[test]
fn the_served_schema_has_its_classes_and_targets() {
    let table = CostTable::from_sdl(include_str!("../../../schema.graphql")).unwrap();
    for (document, class, target) in [
        ("mutation { login(input: {identifier: \"x\", password: \"p\"}) { status } }", RateClass::Login, "x"),
        ("mutation { register(input: {email: \"x\"}) { accepted } }", RateClass::Register, "x"),
        ("mutation { unlockUser(input: {id: \"x\"}) { id } }", RateClass::Admin, "x"),
    ] {
        let parsed = parse_query(document).unwrap();
        let operation = shape::select_operation(&parsed, None).unwrap();
        let estimate = table.estimate(&parsed, operation, &Variables::default());
        assert_eq!(estimate.classes.get(class), 1, "{document}");
        assert_eq!(estimate.targets.first().map(|one| one.value.as_str()), Some(target), "{document}");
    }
}

#[test]
fn a_batch_adds_up() {
    let mut all = estimate("mutation { login(input: {identifier: \"a\"}) { status } }", json!({}));
    all.add(estimate("mutation { login(input: {identifier: \"a\"}) { status } }", json!({})));
    assert_eq!(
        (all.operations, all.classes.get(RateClass::Login), all.targets.len(), all.targets[0].times),
        (2, 2, 1, 2)
    );
}

#[test]
fn directives_of_the_schema() {
    let sdl = "schema { query: Root } \
        directive @cost(weight: Int, multipliers: [String!], assumedSize: Int) on FIELD_DEFINITION \
        type Root { hash(rounds: Int = 3): String @cost(weight: 5, multipliers: [\"rounds\"]) \
          top(n: Int): [Row!]! @cost(weight: 2, multipliers: [\"n\"]) few: [Row!]! @cost(assumedSize: 4) grid: [[Row!]!] \
          page(first: Int = 10, last: Int): RowConnection \
          mail(to: String): Boolean @rateLimit(class: LOGIN, targets: [\"to\"]) } \
        type Row { row: Row } type RowConnection { nodes: [Row!]! }";
    let table = CostTable::with_page_cap(sdl, 50).unwrap();
    let estimate = |document: &str| {
        let parsed = parse_query(document).unwrap();
        table.estimate(&parsed, shape::select_operation(&parsed, None).unwrap(), &Variables::default())
    };
    assert_eq!(estimate("{ hash }").cost, 15);
    assert_eq!(estimate("{ hash(rounds: 4) }").cost, 20);
    assert_eq!(estimate("{ top(n: 7) { row { __typename } } }").cost, 2 + 7 + 7);
    assert_eq!(estimate("{ few { row { row { __typename } } } }").cost, 1 + 4 + 4 + 4);
    assert_eq!(estimate("{ grid { row { __typename } } }").cost, 1 + 2_500 + 2_500);
    assert_eq!(estimate("{ page { nodes { __typename } } }").cost, 1 + 1 + 10);
    assert_eq!(estimate("{ page(first: 2, last: 60) { nodes { __typename } } }").cost, 1 + 1 + 50);
    assert_eq!(estimate("{ mail(to: \"x\") }").targets[0].value, "x");
    for wrong in [
        "@cost(weight: -1)",
        "@cost(weight: 1, multipliers: [\"no\"])",
        "@rateLimit(class: NONE)",
        "@rateLimit",
    ] {
        let sdl = format!("type Query {{ a: Int {wrong} }}");
        assert_eq!(CostTable::from_sdl(&sdl).unwrap_err(), SdlError::Directive("Query.a".into()));
    }
    assert_eq!(CostTable::from_sdl("type A { a: Int }").unwrap_err(), SdlError::NoQuery);
    assert!(matches!(CostTable::from_sdl("nonsense"), Err(SdlError::Syntax(_))));
}

/// What a list field returns when `ask` decides; resolves the same selections as the server would,
/// every repetition and every fragment, and counts the fields that return objects or lists.
struct Executor<'a> {
    document: &'a ExecutableDocument,
    flag: bool,
    ask: &'a mut dyn FnMut(u64) -> u64,
    done: u64,
}

const CAP: u64 = 4;

impl Executor<'_> {
    fn object(&mut self, set: &SelectionSet, page: u64) {
        for item in &set.items {
            let left_out = item.node.directives().iter().any(|one| {
                let condition = match &one.node.get_argument("if").unwrap().node {
                    Value::Boolean(value) => *value,
                    _ => self.flag,
                };
                (one.node.name.node == "skip") == condition
            });
            if left_out {
                continue;
            }
            match &item.node {
                Selection::InlineFragment(inline) => self.object(&inline.node.selection_set.node, page),
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments[&spread.node.fragment_name.node];
                    self.object(&fragment.node.selection_set.node, page);
                }
                Selection::Field(field) => {
                    let below = &field.node.selection_set.node;
                    match field.node.name.node.as_str() {
                        "id" | "username" | "title" | "cursor" => {}
                        "edges" | "nodes" => {
                            self.done += 1;
                            for _ in 0..(self.ask)(page) {
                                self.object(below, 0);
                            }
                        }
                        "posts" => {
                            let first = match field.node.get_argument("first").map(|one| &one.node) {
                                Some(Value::Number(number)) => number.as_u64().unwrap_or(CAP).clamp(1, CAP),
                                Some(Value::Variable(_)) => 3,
                                _ => CAP,
                            };
                            self.done += 1;
                            self.object(below, first);
                        }
                        "sessions" => {
                            self.done += 1;
                            for _ in 0..(self.ask)(CAP) {
                                self.object(below, 0);
                            }
                        }
                        _ => {
                            self.done += 1;
                            self.object(below, 0);
                        }
                    }
                }
            }
        }
    }
}

fn directive() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => Just(""),
        1 => Just("@skip(if: $flag)"),
        1 => Just("@include(if: $flag)"),
        1 => Just("@include(if: false)"),
        1 => Just("@skip(if: false) @include(if: true)"),
    ]
}

fn user(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![Just("id".to_owned()), Just("__typename".to_owned()), Just("...U".to_owned())];
    if depth == 0 {
        return prop::collection::vec(leaf, 1..3).prop_map(|items| items.join(" ")).boxed();
    }
    let item = prop_oneof![
        2 => leaf,
        2 => (posts(depth), directive()).prop_map(|(posts, directive)| posts.replace("@@", directive)),
        1 => (user(depth - 1), directive()).prop_map(|(inner, directive)| format!("... on User {directive} {{ {inner} }}")),
        1 => directive().prop_map(|directive| format!("sessions {directive} {{ id __typename }}")),
    ];
    prop::collection::vec(item, 1..4).prop_map(|items| items.join(" ")).boxed()
}

fn posts(depth: u32) -> BoxedStrategy<String> {
    let first = prop_oneof![
        Just(String::new()),
        Just("(first: $n)".to_owned()),
        (0_u32..9).prop_map(|first| format!("(first: {first})"))
    ];
    let node = prop_oneof![
        Just("title".to_owned()),
        user(depth - 1).prop_map(|user| format!("title author {{ {user} }}")),
    ];
    (first, node, any::<bool>(), 0_usize..3)
        .prop_map(|(first, node, edges, alias)| {
            let inner = if edges {
                format!("edges {{ cursor node {{ {node} }} }}")
            } else {
                format!("nodes {{ {node} }}")
            };
            let alias = ["", "a: ", "b: "][alias];
            format!("{alias}posts{first} @@ {{ pageInfo {{ __typename }} {inner} }}")
        })
        .boxed()
}

proptest! {
    /// Never below what execution touches, and exactly what it touches at worst.
    #[test]
    fn the_estimate_is_the_worst_case(body in user(3), flag in any::<bool>(), seed in any::<u64>()) {
        let document = format!("query($flag: Boolean!, $n: Int = 3) {{ me {{ {body} }} }} fragment U on User {{ id posts {{ nodes {{ title }} }} }}");
        let parsed = parse_query(&document).unwrap();
        let operation = shape::select_operation(&parsed, None).unwrap();
        let table = CostTable::with_page_cap(SCHEMA, CAP).unwrap();
        let estimate = table.estimate(&parsed, operation, &variables(json!({"flag": flag})));
        let run = |ask: &mut dyn FnMut(u64) -> u64| {
            let mut executor = Executor { document: &parsed, flag, ask, done: 0 };
            executor.object(&operation.selection_set.node, 0);
            executor.done
        };
        let worst = run(&mut |most| most);
        let mut state = seed;
        let actual = run(&mut |most| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % (most + 1)
        });
        prop_assert!(estimate.cost >= actual);
        prop_assert!(estimate.cost >= worst);
        prop_assert!(estimate.cost * 10 <= worst * 11, "estimate {} of a worst case of {worst}", estimate.cost);
    }
}
