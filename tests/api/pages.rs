//! Lists by page: sizes, cursors, and that walking them shows everything once.

use crate::harness::{Client, TestServer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::collections::BTreeSet;

const PAGE: &str = "query($first: Int, $after: String) { posts(first: $first, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

/// Walks all pages of `first` posts.
async fn walk(client: &Client, first: u32) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None::<String>);
    loop {
        let reply = client.query(PAGE, json!({ "first": first, "after": after })).await.ok();
        let edges = reply.data("/posts/edges").as_array().unwrap();
        assert!(edges.len() <= first as usize);
        ids.extend(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
        assert_eq!(reply.data("/posts/pageInfo/hasPreviousPage"), after.is_some());
        if let (Some(head), Some(tail)) = (edges.first(), edges.last()) {
            assert_eq!(reply.data("/posts/pageInfo/startCursor"), &head["cursor"]);
            assert_eq!(reply.data("/posts/pageInfo/endCursor"), &tail["cursor"]);
        }
        if reply.data("/posts/pageInfo/hasNextPage") == false {
            return ids;
        }
        after = Some(reply.text_at("/posts/pageInfo/endCursor"));
    }
}

both! {
    async fn a_page_has_from_1_to_100_rows(server: TestServer) {
        let ada = server.user("ada").await;
        let admin = server.admin().await;
        for n in 0..3 {
            ada.create_post(&format!("post {n}"), "PUBLIC").await;
        }
        for (list, nested) in [("posts", false), ("users", false), ("auditEvents", false), ("posts", true)] {
            let document = |first: &str| if nested {
                format!("{{ me {{ {list}(first: {first}) {{ edges {{ node {{ id }} }} }} }} }}")
            } else {
                format!("{{ {list}(first: {first}) {{ edges {{ node {{ id }} }} }} }}")
            };
            for first in ["1", "100", "null"] {
                admin.query(&document(first), json!({})).await.ok();
            }
            for first in ["-1", "0", "101", "-2147483648", "2147483647"] {
                let reply = admin.query(&document(first), json!({})).await.refused("BAD_USER_INPUT");
                assert_eq!(reply.field("first"), &json!(["must be from 1 to 100"]), "{list} {first}");
            }
            for first in ["2147483648", "1.5", "\"1\"", "true"] {
                let reply = admin.query(&document(first), json!({})).await;
                assert!(["GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"].contains(&reply.code()), "{first}: {}", reply.text);
                assert!(!reply.text.contains("edges"), "{first}: {}", reply.text);
            }
        }
        for first in [json!(2_147_483_648_u64), json!(1.5), json!("1"), json!(true), json!([1, 2])] {
            let reply = ada.query(PAGE, json!({ "first": first })).await;
            assert_eq!((reply.status, reply.code()), (400, "GRAPHQL_VALIDATION_FAILED"), "{first}: {}", reply.text);
        }
    }

    /// ASVS: 8.2.2
    async fn a_cursor_is_good_for_its_list_and_only_as_it_was_given(server: TestServer) {
        let admin = server.admin().await;
        for n in 0..3 {
            admin.create_post(&format!("post {n}"), "PUBLIC").await;
        }
        let cursor = admin.query(PAGE, json!({ "first": 1 })).await.ok().text_at("/posts/pageInfo/endCursor");
        admin.query(PAGE, json!({ "first": 1, "after": cursor })).await.ok();
        for (place, _) in cursor.char_indices() {
            let mut other = cursor.clone();
            let swapped = if &cursor[place..=place] == "A" { "B" } else { "A" };
            other.replace_range(place..=place, swapped);
            let reply = admin.query(PAGE, json!({ "after": other })).await.refused("BAD_USER_INPUT");
            assert!(reply.field("after").is_array());
        }
        for other in ["", " ", "0", &cursor[1..], &format!("{cursor}="), &format!("{cursor}A"), &cursor.to_lowercase(), NIL] {
            admin.query(PAGE, json!({ "after": other })).await.refused("BAD_USER_INPUT");
        }
        for list in ["users", "auditEvents"] {
            let document = format!("query($after: String) {{ {list}(after: $after) {{ pageInfo {{ endCursor }} }} }}");
            admin.query(&document, json!({ "after": cursor })).await.refused("BAD_USER_INPUT");
            let own = admin.query(&document, json!({})).await.ok().text_at(&format!("/{list}/pageInfo/endCursor"));
            admin.query(PAGE, json!({ "after": own })).await.refused("BAD_USER_INPUT");
        }
    }

    async fn walking_the_pages_shows_each_post_once_newest_first(server: TestServer) {
        let ada = server.user("ada").await;
        let bob = server.user("bob").await;
        let mut made = Vec::new();
        for n in 0..13 {
            let (author, visibility) = (if n % 3 == 0 { &bob } else { &ada }, if n % 2 == 0 { "PUBLIC" } else { "PRIVATE" });
            made.push((author.create_post(&format!("post {n}"), visibility).await, author.id.clone(), n % 2 == 0));
        }
        made.reverse();
        let expected = |me: &str| -> Vec<String> {
            made.iter().filter(|(_, author, public)| *public || author == me).map(|(id, ..)| id.clone()).collect()
        };
        for client in [&ada, &bob, &server.anonymous()] {
            for first in [1, 2, 5, 13, 100] {
                assert_eq!(walk(client, first).await, expected(&client.id), "{} by {first}", client.username);
            }
        }
    }

    async fn pages_stay_whole_while_posts_come_and_go(server: TestServer) {
        let ada = server.user("ada").await;
        let anyone = server.anonymous();
        let mut runner = TestRunner::new(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() });
        // (posts before, page size, posts made meanwhile)
        let cases = std::iter::repeat_with(|| {
            (1usize..12, 1u32..6, 1usize..10).new_tree(&mut runner).unwrap().current()
        });
        for (before, first, meanwhile) in cases.take(4) {
            for n in 0..before {
                ada.create_post(&format!("before {n}"), "PUBLIC").await;
            }
            let there: BTreeSet<String> = anyone.post_ids().await.into_iter().collect();
            let writing = async {
                for n in 0..meanwhile {
                    let id = ada.create_post(&format!("meanwhile {n}"), "PUBLIC").await;
                    if n % 3 == 0 {
                        ada.mutate("deletePost", json!({ "id": id }), "deletedId").await.ok();
                    }
                }
            };
            let (seen, ()) = tokio::join!(walk(&anyone, first), writing);
            let once: BTreeSet<String> = seen.iter().cloned().collect();
            assert_eq!(once.len(), seen.len(), "no duplicates");
            assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
            assert!(once.is_superset(&there), "no gaps: {before} by {first} with {meanwhile}");
        }
    }
}

const NIL: &str = "AAAAAAAAAAAAAAAAAAAAAA";
