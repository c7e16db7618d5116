//! Killed in the middle of writing: what was acknowledged is there, each change with its event.

use crate::harness::Kind;
use crate::harness::binary::{Place, query};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

const CREATE: &str = "mutation($i: CreatePostInput!) { createPost(input: $i) { post { id } } }";
const PASSWORD: &str = "quiet lantern under seven maps";
/// Writers at once.
const WRITERS: usize = 8;
/// Acknowledged posts after which the server is killed.
const ENOUGH: usize = 60;

async fn texts(db: &DatabaseConnection, sql: &str) -> BTreeSet<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql.to_owned());
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

both! {
    /// ASVS: 2.3.3, 15.4.2
    async fn no_acknowledged_post_is_lost_and_none_is_without_its_event(kind: Kind) {
        let place = Place::new(kind).await;
        let mut acknowledged = BTreeSet::new();
        for round in 0..2 {
            let server = place.serve();
            let token = if round == 0 { server.user("ada", PASSWORD).await } else { server.sign_in("ada", PASSWORD).await };
            let (count, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
            let writers: Vec<_> = (0..WRITERS).map(|writer| {
                let ((client, url), token) = (server.handle(), token.clone());
                let (count, enough) = (Arc::clone(&count), Arc::clone(&enough));
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    for n in 0.. {
                        let input = json!({ "title": format!("{round}/{writer}/{n}"), "body": "b".repeat(n % 50 * 40 + 1) });
                        let Some(reply) = query(&client, &url, Some(&token), CREATE, json!({ "i": input })).await else { break };
                        if reply.code().is_empty() && reply.json["data"]["createPost"]["post"]["id"].is_string() {
                            made.push(reply.text_at("/createPost/post/id"));
                            if count.fetch_add(1, Ordering::SeqCst) + 1 == ENOUGH {
                                enough.notify_one();
                            }
                        }
                    }
                    made
                })
            }).collect();
            enough.notified().await;
            server.kill();
            for writer in writers {
                acknowledged.extend(writer.await.unwrap());
            }
        }
        assert!(acknowledged.len() >= 2 * ENOUGH);
        // It starts again by itself, and serves what was acknowledged.
        let server = place.serve();
        let token = server.sign_in("ada", PASSWORD).await;
        for id in acknowledged.iter().step_by(7) {
            server.query(Some(&token), "query($id: ID!) { post(id: $id) { title } }", json!({ "id": id })).await.unwrap().ok();
        }
        let (code, ..) = server.stop("TERM");
        assert_eq!(code, Some(0));

        let db = Database::connect(&place.database.url).await.unwrap();
        let hex = if kind == Kind::Sqlite { "'post_' || lower(hex(id))" } else { "'post_' || replace(id::text, '-', '')" };
        let posts = texts(&db, &format!("SELECT {hex} FROM posts")).await;
        let events = texts(&db, "SELECT resource_id FROM audit_events WHERE event_type = 'sensitive_create' AND resource_type = 'post'").await;
        assert!(posts.is_superset(&acknowledged), "an acknowledged post is gone");
        assert_eq!(posts, events, "each post has its event and each event its post");
        db.close().await.unwrap();
    }
}
