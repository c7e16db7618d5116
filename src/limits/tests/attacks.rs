//! The attack table: every known denial-of-service shape of a GraphQL document is refused with its
//! code, in work that is counted, not timed. `check` asserts that each stage's steps are bounded.

use super::*;
use crate::limits::Limit;
use crate::limits::shape::{SelectError, select_operation};
use serde_json::json;
use std::fmt::Write;

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

/// ASVS: 4.3.1, 15.2.2
#[test]
fn values_nested_without_end() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let document =
            format!("{{ posts(filter: {}1{}) {{ __typename }} }}", open.repeat(9_000), close.repeat(9_000));
        assert_eq!(refused(&document), ("QUERY_TOO_DEEP", "nesting"));
    }
    assert_eq!(refused(&format!("query($v: {}) {{ a }}", "[".repeat(30_000))), ("QUERY_TOO_DEEP", "nesting"));
    assert_eq!(refused(&"{a".repeat(15_000)), ("QUERY_TOO_DEEP", "nesting"));
}

/// ASVS: 4.3.1
#[test]
fn fragments_in_circles() {
    for fragments in [
        "fragment A on User { ...A }",
        "fragment A on User { ...B } fragment B on User { posts { nodes { author { ...C } } } } fragment C on User { ...A }",
        "fragment A on User { id } fragment B on User { ... on User { ...B } }",
    ] {
        assert_eq!(
            refused(&format!("{{ me {{ ...A }} }} {fragments}")),
            ("QUERY_TOO_COMPLEX", "fragment_cycle")
        );
    }
}

/// ASVS: 4.3.1, 15.2.2
#[test]
fn fragments_that_multiply() {
    let mut document = "{ me { ...F0 } }".to_owned();
    for at in 0..64 {
        write!(document, "fragment F{at} on User {{ ...F{0} ...F{0} }}", at + 1).unwrap();
    }
    document.push_str("fragment F64 on User { id }");
    assert_eq!(refused(&document), ("QUERY_TOO_COMPLEX", "expansion"));
    // 2^70 and more: saturates.
    let wide =
        many(20, |at| format!("fragment F{at} on User {{ {} }}", format!("...F{} ", at + 1).repeat(16)));
    assert_eq!(
        refused(&format!("{{ me {{ ...F0 }} }} {wide} fragment F20 on User {{ id }}")),
        ("QUERY_TOO_COMPLEX", "expansion")
    );
}

/// ASVS: 4.3.1
#[test]
fn chains_of_fragments_do_not_recurse() {
    let limits = QueryLimits {
        scan: crate::limits::scan::ScanLimits {
            tokens: Limit::new(100_000),
            bytes: Limit::new(1_000_000),
            fields: Limit::new(100_000),
            ..Default::default()
        },
        expand: expand::ExpandLimits { fragments: Limit::new(20_000), ..Default::default() },
        ..QueryLimits::default()
    };
    let chain = many(10_000, |at| format!("fragment F{at} on User {{ ...F{} }} ", at + 1));
    let document = format!("{{ me {{ ...F0 }} }} {chain} fragment F10000 on User {{ id }}");
    // Every fragment counts with all it reaches: validation reads each of them.
    let violation = check_with(&limits, &document, json!({})).unwrap_err();
    assert_eq!((violation.code.as_str(), violation.limit), ("QUERY_TOO_COMPLEX", "expansion"));
}

/// ASVS: 4.3.1, 2.4.1
#[test]
fn floods_of_aliases_fields_directives_and_roots() {
    let aliases = |count| format!("{{ me {{ {} }} }}", many(count, |at| format!("a{at}: id ")));
    assert!(check(&aliases(30)).is_ok());
    assert_eq!(refused(&aliases(31)), ("QUERY_TOO_MANY_ALIASES", "aliases"));
    assert_eq!(refused(&aliases(20_000)), ("QUERY_TOO_MANY_ALIASES", "aliases"));
    // Aliases that only show after expansion.
    let spread = |count: usize| {
        format!(
            "{{ me {{ {} }} }} fragment F on User {{ a: id b: id }}",
            many(count, |at| format!("x{at}: posts {{ nodes {{ author {{ ...F }} }} }} "))
        )
    };
    assert!(check(&spread(10)).is_ok());
    assert_eq!(refused(&spread(11)), ("QUERY_TOO_MANY_ALIASES", "aliases"));
    assert_eq!(
        refused(&format!("{{ {} }}", many(20_000, |at| format!("unknown{at} ")))),
        ("QUERY_TOO_COMPLEX", "fields")
    );
    let directives = |count| format!("{{ me {{ id {} }} }}", "@include(if: true) ".repeat(count));
    assert!(check(&directives(50)).is_ok());
    assert_eq!(refused(&directives(51)), ("QUERY_TOO_MANY_DIRECTIVES", "directives"));
    let mutations = |count: usize| {
        format!("mutation {{ {} }}", many(count, |at| format!("a{at}: logout {{ __typename }} ")))
    };
    assert!(check(&mutations(4)).is_ok());
    assert_eq!(refused(&mutations(5)), ("QUERY_TOO_MANY_ROOT_FIELDS", "root_fields"));
    let roots = |count: usize| format!("{{ {} }}", many(count, |at| format!("a{at}: me {{ id }} ")));
    assert!(check(&roots(20)).is_ok());
    assert_eq!(refused(&roots(21)), ("QUERY_TOO_MANY_ROOT_FIELDS", "root_fields"));
    // The same field again, unaliased and through a fragment, is executed again.
    let again = "mutation { logout { __typename } logout { __typename } ...F ...F ...F } fragment F on Mutation { logout { __typename } }";
    assert_eq!(refused(again), ("QUERY_TOO_MANY_ROOT_FIELDS", "root_fields"));
    let repeated =
        |count: usize| format!("{{ me {{ {} }} }}", "id ...F ".repeat(count)) + "fragment F on User { id }";
    assert!(check(&repeated(5)).is_ok());
    assert_eq!(refused(&repeated(6)), ("QUERY_TOO_COMPLEX", "repetitions"));
    assert_eq!(refused(&format!("{{ {} }}", "__typename ".repeat(19_000))), ("QUERY_TOO_COMPLEX", "fields"));
}

/// ASVS: 4.3.1
#[test]
fn depth_and_circular_introspection() {
    let deep = |rounds: usize| {
        format!(
            "{{ me {{ {} id {} }} }}",
            "posts(first: 1) { nodes { author { ".repeat(rounds),
            "} } } ".repeat(rounds)
        )
    };
    assert!(check(&deep(3)).is_ok(), "me + 9 + id = 11");
    assert_eq!(refused(&deep(4)), ("QUERY_TOO_DEEP", "depth"));
    let circle = |rounds: usize| {
        format!(
            "{{ __schema {{ types {{ {} name {} }} }} }}",
            "fields { type { ".repeat(rounds),
            "} } ".repeat(rounds)
        )
    };
    assert!(check(&circle(2)).is_ok());
    assert_eq!(refused(&circle(3)), ("QUERY_TOO_DEEP", "introspection_lists"));
    let of_type = |rounds: usize| {
        format!(
            "{{ __type(name: \"User\") {{ {} name {} }} }}",
            "ofType { ".repeat(rounds),
            "} ".repeat(rounds)
        )
    };
    assert!(check(&of_type(14)).is_ok());
    assert_eq!(refused(&of_type(15)), ("QUERY_TOO_DEEP", "introspection_depth"));
}

#[test]
fn the_standard_introspection_query_passes() {
    let of_type = "kind name ofType { ".repeat(9) + "kind name" + &" }".repeat(9);
    let document = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }} \
         subscriptionType {{ name kind }} types {{ ...FullType }} directives {{ name description isRepeatable locations \
         args(includeDeprecated: true) {{ ...InputValue }} }} }} }} \
         fragment FullType on __Type {{ kind name description specifiedByURL isOneOf fields(includeDeprecated: true) {{ name \
         description args(includeDeprecated: true) {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }} \
         inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }} \
         enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} possibleTypes {{ ...TypeRef }} }} \
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason }} \
         fragment TypeRef on __Type {{ {of_type} }}"
    );
    let estimate = check(&document).unwrap();
    assert!(estimate.cost < 500, "{}", estimate.cost);
}

/// ASVS: 15.2.2, 2.4.1
#[test]
fn page_sizes_beyond_all_bounds() {
    for first in ["99999999999999999999999999", "9223372036854775807", "-1", "1e300", "\"7\"", "[1]", "$v"] {
        let document = format!(
            "query($v: Int = 2147483647) {{ posts(first: {first}) {{ nodes {{ author {{ id }} }} }} }}"
        );
        let estimate = check(&document).unwrap();
        assert_eq!(estimate.cost, 1 + 1 + 100, "counts as the largest page: {first}");
        assert!(estimate.largest_page > 100);
    }
    // Multipliers on multipliers: refused, and with the limits off they saturate.
    let nested = format!(
        "{{ posts(first: 100) {{ nodes {{ {} id {} }} }} }}",
        "author { posts(first: 100) { nodes { ".repeat(2),
        "} } } ".repeat(2)
    );
    assert_eq!(refused(&nested), ("QUERY_TOO_COMPLEX", "cost"));
    let overflow = format!(
        "{{ posts(first: 100) {{ nodes {{ {} author {{ id }} {} }} }} }}",
        "author { posts(first: 100) { nodes { ".repeat(15),
        "} } } ".repeat(15)
    );
    let parsed = parse_query(overflow).unwrap();
    let operation = select_operation(&parsed, None).unwrap();
    assert_eq!(table().estimate(&parsed, operation, &Variables::default()).cost, u64::MAX);
}

/// ASVS: 4.3.1
#[test]
fn strings_and_names_without_end() {
    let escapes = format!("{{ post(id: \"{}\") {{ id }} }}", "\\u0000".repeat(5_000));
    assert_eq!(refused(&escapes), ("QUERY_TOO_LARGE", "string_bytes"));
    let name = format!("{{ {} }}", "a".repeat(129));
    assert_eq!(refused(&name), ("QUERY_TOO_LARGE", "name_bytes"));
    let digits = format!("{{ posts(first: {}) {{ __typename }} }}", "9".repeat(10_000));
    assert_eq!(refused(&digits), ("QUERY_TOO_LARGE", "name_bytes"));
    assert_eq!(
        refused(&format!("{{ me {{ id }} }}{}", "#".repeat(40_000))),
        ("QUERY_TOO_LARGE", "document_bytes")
    );
    assert_eq!(
        refused(&format!("{{ me(a: [{}]) {{ id }} }}", "1 ".repeat(4_000))),
        ("QUERY_TOO_LARGE", "tokens")
    );
    let operations = many(21, |at| format!("query Q{at} {{ me {{ id }} }} "));
    assert_eq!(refused(&operations), ("QUERY_TOO_LARGE", "operations"));
}

#[test]
fn report_mode_collects_and_does_not_refuse() {
    let mut limits = QueryLimits::default();
    limits.shape.depth = Limit::new(1).reported();
    limits.shape.aliases = Limit::new(0).reported();
    limits.cost = Limit::new(0).reported();
    let mut shadow = Vec::new();
    assert!(shadowed(&limits, "{ a: me { id } }", json!({}), &mut shadow).is_ok());
    let found: Vec<_> = shadow.iter().map(|one| one.limit).collect();
    assert_eq!(found, ["aliases", "depth", "cost"]);
    // A bomb is a bomb in any mode.
    limits.expand.expansion = Limit::new(10).reported();
    let bomb = many(40, |at| format!("fragment F{at} on User {{ ...F{0} ...F{0} }} ", at + 1));
    let bomb = format!("{{ me {{ ...F0 }} }} {bomb} fragment F40 on User {{ id }}");
    assert!(shadowed(&limits, &bomb, json!({}), &mut shadow).is_err());
}

#[test]
fn the_operation_is_chosen_by_name() {
    let two = parse_query("query A { me { id } } query B { me { id } }").unwrap();
    assert_eq!(select_operation(&two, None).unwrap_err(), SelectError::NameNeeded);
    assert_eq!(select_operation(&two, Some("C")).unwrap_err(), SelectError::Unknown);
    assert!(select_operation(&two, Some("B")).is_ok());
    let one = parse_query("query A { me { id } }").unwrap();
    assert!(select_operation(&one, None).is_ok());
    let bare = parse_query("{ me { id } }").unwrap();
    assert_eq!(select_operation(&bare, Some("A")).unwrap_err(), SelectError::Unknown);
}
