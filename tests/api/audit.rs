//! The trail cannot be changed unseen, and nothing is lost when the database is away.

use crate::harness::{Kind, TestServer};
use portcullis::app::App;
use portcullis::audit::checkpoint::{self, Checkpoint};
use portcullis::audit::spool::Standing;
use portcullis::audit::verify::{Broken, Pass};
use portcullis::audit::{Event, Kind as EventKind, Origin, export, heads};
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::http::Backend;
use portcullis::server::Server;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// An origin that fills every column.
fn origin() -> Origin {
    Origin {
        actor: Some(Uuid::from_u128(0xa).into()),
        session: Some(Uuid::from_u128(0x5e5).into()),
        request_id: Some("request-1".to_owned()),
        address: Some("192.0.2.1".parse().unwrap()),
        user_agent: Some("agent/1.0".to_owned()),
        device: None,
    }
}

async fn record(server: &TestServer, count: u32) {
    for number in 0..count {
        let event = Event::success(EventKind::Update, "updatePost")
            .on("post", format!("post_{number}"))
            .details(json!({ "number": number }));
        server.app.audit.record(&origin(), vec![event]).await.unwrap();
    }
}

async fn pass(app: &App, mut pass: Pass) -> (Option<Broken>, u64) {
    while pass.step(app).await.unwrap() {}
    (pass.broken, pass.events)
}

async fn verify(server: &TestServer) -> Option<Broken> {
    pass(&server.app, Pass::new()).await.0
}

/// Takes the triggers away, as somebody with the database's own password could.
async fn unguard(server: &TestServer) {
    if server.kind == Kind::Sqlite {
        server.sql("DROP TRIGGER audit_events_no_update").await;
        server.sql("DROP TRIGGER audit_events_no_delete").await;
    } else {
        server.sql("DROP TRIGGER audit_events_no_change ON audit_events").await;
    }
}

async fn back_up(server: &TestServer, name: &str) {
    server.sql(&format!("CREATE TABLE {name} AS SELECT * FROM audit_events")).await;
}

async fn restore(server: &TestServer, name: &str) {
    server.sql("DELETE FROM audit_events").await;
    server.sql(&format!("INSERT INTO audit_events SELECT * FROM {name}")).await;
}

const COPY: &str = "at, event_type, action, status, actor_id, session_id, request_id, address, address_index, \
                    user_agent, resource_type, resource_id, details, mac FROM backup WHERE seq = 3";

both! {
    /// ASVS: 16.4.2
    async fn the_database_refuses_to_change_the_trail(server: TestServer) {
        record(&server, 2).await;
        let mut attempts = vec!["UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events"];
        if server.kind == Kind::Postgres {
            attempts.push("TRUNCATE audit_events");
        }
        for sql in attempts {
            let error = server.app.db.writer().execute_unprepared(sql).await.unwrap_err().to_string();
            assert!(error.contains("append-only"), "{sql}: {error}");
        }
        assert_eq!(server.all_events().await, 2);
        assert_eq!(verify(&server).await, None);
        // The door for an archive: DELETE only, for one transaction.
        let sql = if server.kind == Kind::Sqlite {
            "BEGIN; UPDATE audit_guard SET mode = 'archive'; DELETE FROM audit_events WHERE seq = 1; \
             UPDATE audit_guard SET mode = 'closed'; COMMIT;"
        } else {
            "BEGIN; SET LOCAL portcullis.audit = 'archive'; DELETE FROM audit_events WHERE seq = 1; COMMIT;"
        };
        server.sql(sql).await;
        assert_eq!(server.all_events().await, 1);
        assert!(server.app.db.writer().execute_unprepared("DELETE FROM audit_events").await.is_err());
    }

    /// ASVS: 16.4.2
    async fn every_kind_of_tampering_is_found(server: TestServer) {
        record(&server, 6).await;
        assert_eq!(pass(&server.app, Pass::new()).await, (None, 6));
        unguard(&server).await;
        back_up(&server, "backup").await;
        let at_three = [
            "SET id = session_id", "SET at = at + 1", "SET event_type = 'user_deleted'", "SET action = 'x'",
            "SET action = NULL", "SET action = ''", "SET status = 'DENIED'", "SET actor_id = session_id",
            "SET actor_id = NULL", "SET session_id = actor_id", "SET session_id = NULL", "SET request_id = 'x'",
            "SET request_id = NULL", "SET address = user_agent", "SET address = NULL",
            "SET address_index = mac", "SET address_index = NULL", "SET user_agent = address",
            "SET user_agent = NULL", "SET resource_type = 'user'", "SET resource_type = NULL",
            "SET resource_id = 'post_9'", "SET resource_id = NULL", "SET details = address",
            "SET details = NULL", "SET mac = address_index", "SET seq = 100",
            // One column's text in another's place.
            "SET resource_type = resource_id, resource_id = resource_type",
            "SET action = NULL, resource_type = action",
        ];
        let mut tampered: Vec<(Vec<String>, Option<i64>)> = at_three
            .iter()
            .map(|set| (vec![format!("UPDATE audit_events {set} WHERE seq = 3")], Some(3)))
            .collect();
        let mut add = |statements: &[&str], seq| {
            tampered.push((statements.iter().map(|sql| (*sql).to_owned()).collect(), seq));
        };
        add(&["UPDATE audit_events SET chain = session_id WHERE seq = 3"], None);
        add(&["UPDATE audit_events SET chain = session_id"], Some(1));
        add(&["DELETE FROM audit_events WHERE seq = 3"], Some(3));
        add(&["DELETE FROM audit_events WHERE seq = 1"], Some(1));
        add(&["DELETE FROM audit_events WHERE seq < 4"], Some(1));
        // Reordered.
        add(
            &[
                "UPDATE audit_events SET seq = -1 WHERE seq = 3",
                "UPDATE audit_events SET seq = 3 WHERE seq = 4",
                "UPDATE audit_events SET seq = 4 WHERE seq = -1",
            ],
            Some(3),
        );
        // Removed, and the rest moved up.
        add(
            &[
                "DELETE FROM audit_events WHERE seq = 3",
                "UPDATE audit_events SET seq = 3 WHERE seq = 4",
                "UPDATE audit_events SET seq = 4 WHERE seq = 5",
                "UPDATE audit_events SET seq = 5 WHERE seq = 6",
            ],
            Some(3),
        );
        // Put in: at the end of the chain, and as a chain of its own.
        add(&[&format!("INSERT INTO audit_events SELECT session_id, chain, 7, {COPY}")], Some(7));
        add(&[&format!("INSERT INTO audit_events SELECT session_id, session_id, 1, {COPY}")], Some(1));
        for (statements, seq) in tampered {
            for sql in &statements {
                server.sql(sql).await;
            }
            let broken = verify(&server).await.unwrap_or_else(|| panic!("not found: {statements:?}"));
            if let Some(seq) = seq {
                assert_eq!(broken.seq, seq, "{statements:?}: {broken}");
            }
            restore(&server, "backup").await;
            assert_eq!(verify(&server).await, None, "after {statements:?}");
        }
    }

    /// ASVS: 16.4.2, 16.4.3
    async fn truncation_and_an_old_backup_are_found_with_a_checkpoint(server: TestServer) {
        record(&server, 4).await;
        unguard(&server).await;
        back_up(&server, "old").await;
        record(&server, 3).await;
        // A chain that is closed by the time of the checkpoint, and an open one.
        server.advance(Duration::from_secs(26 * 3600));
        record(&server, 3).await;
        back_up(&server, "backup").await;
        let app = &server.app;
        let note = app.checkpoints.take(app).await.unwrap().sign(app).unwrap();
        let checkpoint = Checkpoint::open(app, &note).unwrap();
        assert_eq!((checkpoint.events(), checkpoint.closed.chains, checkpoint.open.len()), (10, 1, 1));
        // It holds, also when the trail has grown.
        record(&server, 2).await;
        assert_eq!(pass(app, Pass::against(checkpoint.clone())).await, (None, 12));
        restore(&server, "backup").await;

        let chains = heads::from(app.db.reader(), Uuid::nil(), None).await.unwrap();
        assert_eq!(chains.iter().map(|head| head.seq).collect::<Vec<_>>(), [7, 3]);
        let closed = "chain = (SELECT MIN(chain) FROM audit_events)";
        let open = "chain = (SELECT MAX(chain) FROM audit_events)";
        let (closed, open) = if server.kind == Kind::Sqlite {
            (closed.to_owned(), open.to_owned())
        } else {
            let by = |head: &str| format!("chain = (SELECT chain FROM audit_events ORDER BY chain {head} LIMIT 1)");
            (by("ASC"), by("DESC"))
        };
        for (lost, truncated) in [
            (format!("{open} AND seq > 2"), Some(3)),
            (format!("{open} AND seq > 0"), Some(1)),
            (format!("{closed} AND seq > 6"), None),
            (format!("{closed} AND seq > 0"), None),
            ("seq > 0".to_owned(), None),
        ] {
            server.sql(&format!("DELETE FROM audit_events WHERE {lost}")).await;
            assert_eq!(verify(&server).await, None, "{lost}: by itself what is left holds");
            let broken = pass(app, Pass::against(checkpoint.clone())).await.0;
            let broken = broken.unwrap_or_else(|| panic!("not found: {lost}"));
            if let Some(seq) = truncated {
                assert_eq!((broken.chain, broken.seq), (chains[1].chain, seq), "{lost}: {broken}");
            }
            restore(&server, "backup").await;
        }
        restore(&server, "old").await;
        assert_eq!(verify(&server).await, None);
        assert!(pass(app, Pass::against(checkpoint.clone())).await.0.is_some());
        // The old backup, written on: the chain is another one.
        let other = App::start(Config::clone(&app.config), Clock::test(crate::harness::START)).await.unwrap();
        for _ in 0..8 {
            other.audit.record(&origin(), vec![Event::success(EventKind::Read, "x")]).await.unwrap();
        }
        assert!(pass(app, Pass::against(checkpoint)).await.0.is_some());

        // A checkpoint that was changed, or signed by somebody else, proves nothing.
        assert!(Checkpoint::open(app, &note.replacen("\n10\n", "\n7\n", 1)).is_err());
        assert!(Checkpoint::open(app, &note.replacen("open ", "open 0", 1)).is_err());
        let stranger = TestServer::start(Kind::Sqlite).await;
        assert!(Checkpoint::open(&stranger.app, &note).is_err());
    }

    /// ASVS: 16.4.2
    async fn integrity_is_told_online_and_a_break_is_an_alert(server: TestServer) {
        let root = server.admin().await;
        server.user("ada").await.create_post("one", "PUBLIC").await;
        let query = "{ auditIntegrity { intact events verified head firstBrokenSeq } }";
        let reply = root.query(query, json!({})).await.ok();
        assert_eq!(reply.data("/auditIntegrity/intact"), true);
        assert_eq!(reply.data("/auditIntegrity/events"), &json!(server.all_events().await));
        assert_eq!(reply.data("/auditIntegrity/verified"), reply.data("/auditIntegrity/events"));
        checkpoint::write(&server.app).await.unwrap();
        let note = std::fs::read_to_string(server.folder().join("audit/checkpoint")).unwrap();
        assert!(note.starts_with("Portcullis/audit\n"));
        assert!(note.contains(&format!("\n{}\n", server.all_events().await)));

        unguard(&server).await;
        server.sql("UPDATE audit_events SET action = 'nothing' WHERE event_type = 'sensitive_create'").await;
        for _ in 0..2 {
            let reply = root.query(query, json!({})).await.ok();
            assert_eq!(reply.data("/auditIntegrity/intact"), false);
            assert!(reply.data("/auditIntegrity/firstBrokenSeq").is_i64());
        }
        assert_eq!(server.events("sys_audit_broken", "ALERT").await, 1);
        server.moderator().await.query(query, json!({})).await.refused("FORBIDDEN");
    }

    /// ASVS: 16.3.4, 16.5.3
    async fn events_wait_on_the_disk_while_the_database_is_away(server: TestServer) {
        let mut ada = server.user("ada").await;
        let before = server.all_events().await;
        server.sql("ALTER TABLE audit_events RENAME TO away").await;
        for secret in ["first wrong password!", "second wrong password!"] {
            ada.try_login("ada", secret, "TOKEN").await.refused("UNAUTHENTICATED");
        }
        assert_eq!(server.app.audit.standing(), Standing::Waiting);
        // A change without its event is not made.
        let input = json!({ "title": "t", "body": "b" });
        ada.mutate("createPost", input, "post { id }").await.refused("INTERNAL");
        assert_eq!(server.number("SELECT COUNT(*) FROM posts").await, 0);
        ada.query("{ me { id } }", json!({})).await.ok();
        let spool = server.folder().join("audit/spool.jsonl");
        let text = std::fs::read_to_string(&spool).unwrap();
        assert_eq!(text.lines().count(), 2);
        for plain in ["127.0.0.1", "authn", "login", "usr_", "wrong password"] {
            assert!(!text.contains(plain), "{plain} in {text}");
        }

        server.sql("ALTER TABLE away RENAME TO audit_events").await;
        // Killed while a line was written: that request was never answered.
        std::fs::write(&spool, format!("{text}0190")).unwrap();
        let restarted = App::start(Config::clone(&server.app.config), server.app.clock.clone()).await.unwrap();
        assert_eq!(restarted.audit.standing(), Standing::Waiting);
        restarted.audit.replay().await.unwrap();
        assert_eq!(restarted.audit.standing(), Standing::Empty);
        assert_eq!(std::fs::metadata(&spool).unwrap().len(), 0);
        // Two failures and the note about the replay.
        assert_eq!(server.all_events().await, before + 3);
        assert_eq!(server.events("authn_login_fail", "FAILURE").await, 2);
        // Killed between the trail and the emptying of the file: nothing twice.
        std::fs::write(&spool, &text).unwrap();
        let again = App::start(Config::clone(&server.app.config), server.app.clock.clone()).await.unwrap();
        again.audit.replay().await.unwrap();
        assert_eq!(server.events("authn_login_fail", "FAILURE").await, 2);
        assert_eq!(verify(&server).await, None);
        server.advance(Duration::from_secs(2));
        ada.login().await;
        ada.create_post("back", "PUBLIC").await;
    }

    /// ASVS: 16.5.2, 16.5.3
    async fn a_full_spool_refuses_changes_and_serves_reads(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_AUDIT_SPOOL_MAX_MIB", "1")]).await;
        let ada = server.user("ada").await;
        ada.create_post("one", "PUBLIC").await;
        server.sql("ALTER TABLE audit_events RENAME TO away").await;
        let event = || Event::success(EventKind::Read, "x").details(json!({ "fill": "y".repeat(4000) }));
        let mut written = 0;
        let refused = loop {
            match server.app.audit.record(&origin(), (0..10).map(|_| event()).collect()).await {
                Ok(()) => written += 10,
                Err(error) => break error,
            }
            assert!(written < 1000);
        };
        assert_eq!(refused.code(), "OVERLOADED");
        // To the brim: what is left must not hold one refusal.
        let small = || vec![Event::success(EventKind::Read, "x")];
        while server.app.audit.record(&Origin::default(), small()).await.is_ok() {
            written += 1;
        }
        assert!(std::fs::metadata(server.folder().join("audit/spool.jsonl")).unwrap().len() <= 1 << 20);
        assert_eq!(server.app.audit.standing(), Standing::Full);
        let ready = Server::new(server.engine.clone()).ready().await;
        assert_eq!(ready.parts["audit"], "full");
        let input = json!({ "title": "t", "body": "b" });
        ada.mutate("createPost", input, "post { id }").await.refused("OVERLOADED");
        assert_eq!(ada.post_ids().await.len(), 1);
        // A refused read is still refused, and counted.
        ada.query("{ users { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        server.sql("ALTER TABLE away RENAME TO audit_events").await;
        server.app.audit.replay().await.unwrap();
        server.advance(Duration::from_secs(2));
        assert_eq!(server.events("sensitive_read", "SUCCESS").await, written);
        assert_eq!(server.events("sys_degraded", "ALERT").await, 1);
        ada.create_post("two", "PUBLIC").await;
        assert_eq!(verify(&server).await, None);
    }

    /// ASVS: 16.4.3, 16.2.3
    async fn each_event_is_a_json_line_and_exports_alike(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_AUDIT_LOG", "file")]).await;
        let ada = server.user("ada").await;
        ada.create_post("=HYPERLINK(\"http://evil.example\")", "PUBLIC").await;
        ada.query("{ users { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        server.app.audit.log().flush();
        let text = std::fs::read_to_string(server.folder().join("audit/events.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(i64::try_from(lines.len()).unwrap(), server.all_events().await);
        let rows = export::page(&server.app, entity::time::Timestamp(0), None, None).await.unwrap();
        let keyring = &server.app.keyring;
        for row in &rows {
            let object = Value::Object(export::object(keyring, row));
            assert!(lines.contains(&object), "{object}");
            let csv = export::csv_line(keyring, row);
            assert!(!csv.split("\",\"").any(|cell| cell.trim_start_matches('"').starts_with(['=', '+', '@'])), "{csv}");
        }
        assert!(!text.contains(&ada.password) && !text.contains(ada.token.as_deref().unwrap()));
    }
}
