//! Privacy: taking one's data away, and having one's account erased.

use crate::harness::{Client, Kind, TestServer};
use portcullis::audit::verify::Pass;
use portcullis::crypto::{Column, sealed_key_number};
use portcullis::keys::columns::SEALED;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::time::Duration;

const EXPORT: &str = "mutation($after: String) { exportMyData(after: $after) { data next } }";

async fn export(who: &Client, after: Option<&str>) -> Value {
    let reply = who.query(EXPORT, json!({ "after": after })).await.ok();
    reply.data("/exportMyData").clone()
}

async fn erase(who: &Client) -> crate::harness::Reply {
    who.mutate("deleteMyAccount", json!({ "password": who.password }), "done").await
}

both! {
    /// ASVS: 14.2.6
    async fn an_export_holds_everything_about_the_viewer_and_nothing_about_others(server: TestServer) {
        let ada = server.user("ada").await;
        let bob = server.user("bob").await;
        ada.create_post("hers, public", "PUBLIC").await;
        ada.create_post("hers, private", "PRIVATE").await;
        bob.create_post("his", "PUBLIC").await;
        let part = export(&ada, None).await;
        assert_eq!(part["next"], Value::Null);
        let data = &part["data"];
        assert_eq!(data["profile"]["email"], "ada@example.org");
        assert_eq!(data["profile"]["id"], ada.id.as_str());
        assert_eq!(data["sessions"].as_array().unwrap().len(), 1);
        assert_eq!(data["sessions"][0]["ipAddress"], "127.0.0.1");
        let titles: Vec<_> = data["posts"].as_array().unwrap().iter().map(|post| &post["title"]).collect();
        assert_eq!(titles, ["hers, public", "hers, private"]);
        let events: Vec<_> =
            data["auditEvents"].as_array().unwrap().iter().map(|e| e["eventType"].as_str().unwrap()).collect();
        for kind in ["user_created", "authn_login_success", "sensitive_create"] {
            assert!(events.contains(&kind), "{kind} in {events:?}");
        }
        let text = data.to_string();
        for other in ["bob", "his", "password_hash", "argon2", "token", bob.id.as_str()] {
            assert!(!text.replace("TOKEN", "").contains(other), "{other} in {text}");
        }
        assert_eq!(server.events("sensitive_read", "SUCCESS").await, 1);
    }

    async fn a_long_export_comes_in_parts_that_neither_overlap_nor_leave_out(server: TestServer) {
        let ada = server.user("ada").await;
        let body = "x".repeat(20_000);
        for number in 0..230 {
            let input = json!({ "title": format!("post {number}"), "body": body, "visibility": "PRIVATE" });
            ada.mutate("createPost", input, "post { id }").await.ok();
        }
        let (mut titles, mut events, mut parts, mut after) = (Vec::new(), Vec::new(), 0, None::<String>);
        loop {
            let part = export(&ada, after.as_deref()).await;
            assert!(part.to_string().len() < 7 << 20);
            assert_eq!(part["data"]["profile"].is_null(), parts > 0);
            for post in part["data"]["posts"].as_array().unwrap() {
                titles.push(post["title"].as_str().unwrap().to_owned());
            }
            for event in part["data"]["auditEvents"].as_array().unwrap() {
                events.push(event["id"].as_str().unwrap().to_owned());
            }
            parts += 1;
            after = part["next"].as_str().map(ToOwned::to_owned);
            if after.is_none() {
                break;
            }
        }
        assert!(parts > 1);
        assert_eq!(titles, (0..230).map(|n| format!("post {n}")).collect::<Vec<_>>());
        let unique: std::collections::BTreeSet<_> = events.iter().collect();
        assert_eq!(unique.len(), events.len());
        assert!(events.len() > 230);
        // A cursor of another list, and one of nobody's.
        for wrong in ["", "x", &ada.id] {
            ada.query(EXPORT, json!({ "after": wrong })).await.refused("BAD_USER_INPUT");
        }
    }

    /// ASVS: 7.5.1, 8.3.1
    async fn export_and_erasure_need_a_recent_proof(server: TestServer) {
        let ada = server.user("ada").await;
        server.advance(Duration::from_secs(11 * 60));
        ada.query(EXPORT, json!({})).await.refused("REAUTHENTICATION_REQUIRED");
        erase(&ada).await.refused("REAUTHENTICATION_REQUIRED");
        server.anonymous().query(EXPORT, json!({})).await.refused("UNAUTHENTICATED");
        assert!(ada.is_signed_in().await);
    }

    /// ASVS: 14.2.6, 7.4.2
    async fn an_erased_account_leaves_its_id_in_the_trail_and_nothing_else(server: TestServer) {
        let mut ada = server.user("ada").await;
        let bob = server.user("bob").await;
        ada.create_post("hers", "PUBLIC").await;
        let first = ada.token.clone();
        ada.login().await;
        let wrong = json!({ "password": "not her password at all" });
        ada.mutate("deleteMyAccount", wrong, "done").await.refused("BAD_USER_INPUT");
        assert!(ada.is_signed_in().await);
        assert_eq!(server.events("user_deleted", "FAILURE").await, 1);
        let mail = server.number("SELECT COUNT(*) FROM outbox").await / 2;
        assert!(mail > 0);
        erase(&ada).await.ok();
        assert!(!ada.is_signed_in().await);
        ada.token = first;
        assert!(!ada.is_signed_in().await, "her other session");
        ada.try_login("ada", &ada.password, "TOKEN").await.refused("UNAUTHENTICATED");
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(server.number("SELECT COUNT(*) FROM sessions").await, 1);
        assert_eq!(bob.post_ids().await, Vec::<String>::new());
        assert_eq!(server.events("user_deleted", "SUCCESS").await, 1);
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox").await, mail, "of the other one");
        // Name and address are free again.
        server.user("ada").await;
    }

    /// ASVS: 2.3.4
    async fn the_last_active_administrator_stays(server: TestServer) {
        let root = server.admin().await;
        erase(&root).await.refused("CONFLICT");
        assert!(root.is_signed_in().await);
        server.user("other").await;
        server.sql("UPDATE users SET role = 'ADMIN' WHERE username_key = 'other'").await;
        erase(&root).await.ok();
        let mut other = server.anonymous();
        other.username = "other".to_owned();
        other.password = "quiet lantern under seven maps, rehto".to_owned();
        other.login().await;
        erase(&other).await.refused("CONFLICT");
    }

    /// Two at the same time: one of them stays.
    ///
    /// ASVS: 15.4.2
    async fn two_administrators_cannot_both_go(server: TestServer) {
        let root = server.admin().await;
        let mut other = server.user("other").await;
        server.sql("UPDATE users SET role = 'ADMIN' WHERE username_key = 'other'").await;
        other.login().await;
        let (one, two) = tokio::join!(erase(&root), erase(&other));
        let mut codes = [one.code(), two.code()];
        codes.sort_unstable();
        assert_eq!(codes, ["", "CONFLICT"]);
    }

    async fn posts_stay_under_nobodys_name_where_the_setting_says_so(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_DELETION_POSTS", "anonymise")]).await;
        let (ada, bob) = (server.user("ada").await, server.user("bob").await);
        ada.create_post("hers", "PUBLIC").await;
        bob.create_post("his", "PUBLIC").await;
        erase(&ada).await.ok();
        erase(&bob).await.ok();
        let document = "{ posts { edges { node { title author { username email } } } } }";
        let reply = server.anonymous().query(document, json!({})).await;
        for edge in reply.data("/posts/edges").as_array().unwrap() {
            assert_eq!(edge["node"]["author"]["username"], "[deleted]");
            assert!(edge["node"]["author"]["email"].is_null());
        }
        assert_eq!(reply.data("/posts/edges").as_array().unwrap().len(), 2);
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 1);
        server.anonymous().try_login("[deleted]", "quiet lantern under seven maps", "TOKEN").await.refused("UNAUTHENTICATED");
        server.anonymous().try_login("nobody", "quiet lantern under seven maps", "TOKEN").await.refused("UNAUTHENTICATED");
        // Its one row rotates like any other.
        let ring = &server.app.keyring;
        ring.replace(&portcullis::crypto::Keyring::parse(&ring.with_new_key()).unwrap());
        let lease = portcullis::keys::rotate::lease(&server.app).await.unwrap();
        let origin = portcullis::audit::Origin::default();
        let done = portcullis::keys::rotate::run(&server.app, &origin, &lease, |_| {}).await.unwrap();
        assert_eq!((done.resealed, done.switched), (1, 1));
    }

    /// Every sealed column that the scenario filled is sealed for its own row: a value moved to another
    /// row, or to another column of the same row, fails its own field and raises an alert.
    ///
    /// ASVS: 11.3.3
    async fn a_moved_ciphertext_fails_its_field_alone_and_raises_an_alert(server: TestServer) {
        let ada = server.user("ada").await;
        server.user("bob").await;
        server.sql("UPDATE users SET email = (SELECT email FROM users WHERE username_key = 'bob') WHERE username_key = 'ada'").await;
        server.app.identities.clear();
        let reply = ada.query("{ me { username email role } }", json!({})).await;
        assert_eq!(reply.data("/me/username"), "ada");
        assert_eq!(reply.data("/me/role"), "USER");
        assert!(reply.data("/me/email").is_null());
        assert_eq!(reply.codes(), ["INTERNAL"]);
        assert!(!reply.text.contains("bob"));
        assert_eq!(server.events("crypt_decrypt_fail", "ALERT").await, 1);
        // A row that a newer build sealed, and one cut short, are the same to the client.
        for damage in ["02010000000100", "0101", "010100000009aabbccddeeff001122334455"] {
            let literal = match server.kind {
                Kind::Sqlite => format!("X'{damage}'"),
                Kind::Postgres => format!("'\\x{damage}'"),
            };
            server.sql(&format!("UPDATE users SET email = {literal} WHERE username_key = 'ada'")).await;
            server.app.identities.clear();
            let other = ada.query("{ me { username email role } }", json!({})).await;
            assert_eq!(other.json["data"], reply.json["data"]);
            assert_eq!(other.comparable()["errors"], reply.comparable()["errors"]);
        }
        assert_eq!(sealed_key_number(&[2, 1, 0, 0, 0, 1]), None);
        assert!(SEALED.iter().any(|sealed| sealed.column == Column { table: "users", column: "email" }));
    }

    /// ASVS: 14.2.4, 14.2.7
    async fn what_has_run_out_is_removed_and_old_events_are_archived_first(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_RETENTION_AUDIT_DAYS", "30")]).await;
        let mut ada = server.user("ada").await;
        let early = server.app.checkpoints.take(&server.app).await.unwrap();
        assert_eq!(portcullis::retention::round(&server.app).await.unwrap().unwrap().expired, 0);
        server.advance(Duration::from_secs(8 * 86_400 - 1));
        assert_eq!(portcullis::retention::round(&server.app).await.unwrap().unwrap().expired, 0, "a day and seven");
        server.advance(Duration::from_secs(2));
        assert_eq!(portcullis::retention::round(&server.app).await.unwrap().unwrap().expired, 1);
        assert_eq!(server.number("SELECT COUNT(*) FROM sessions").await, 0);
        server.advance(Duration::from_secs(24 * 86_400 + 3600));
        let old = server.all_events().await;
        ada.login().await;
        let fresh = server.all_events().await - old;
        let removed = portcullis::retention::round(&server.app).await.unwrap().unwrap();
        assert_eq!(i64::try_from(removed.audit).unwrap(), old);
        assert_eq!(server.all_events().await, fresh + 1, "the sign-in and the archiving");
        // What is left verifies, also against a checkpoint from after; one from before says what to do.
        let verify = async |mut pass: Pass| {
            while pass.step(&server.app).await.unwrap() {}
            pass
        };
        let pass = verify(Pass::new()).await;
        assert_eq!((pass.broken, pass.done), (None, true));
        let late = server.app.checkpoints.take(&server.app).await.unwrap();
        assert_eq!(i64::try_from(late.closed.events).unwrap(), old);
        let fresh_process = portcullis::audit::checkpoint::Checkpoints::default();
        assert_eq!(fresh_process.take(&server.app).await.unwrap(), late);
        assert_eq!(verify(Pass::against(late)).await.broken, None);
        let broken = verify(Pass::against(early)).await.broken.unwrap();
        assert!(broken.what.contains("older than the archive"), "{broken}");
        let folder = server.folder().join("audit");
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(i64::try_from(text.lines().count()).unwrap(), old);
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            assert!(row["mac"].is_string() && row["seq"].is_i64());
        }
        assert!(!text.contains("127.0.0.1"), "as sealed as it was");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        // Another replica at it: this one leaves it alone.
        let lease = portcullis::keys::lease::Lease::take(&server.app.db, &server.app.clock, "retention").await;
        assert!(portcullis::retention::round(&server.app).await.unwrap().is_none());
        lease.unwrap().unwrap().release().await.unwrap();
    }

    /// ASVS: 14.1.1
    async fn the_data_inventory_names_every_column(server: TestServer) {
        let text = include_str!("../../docs/data-inventory.md");
        let sql = match server.kind {
            Kind::Sqlite => "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
            Kind::Postgres => "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'",
        };
        let statement = Statement::from_string(server.app.db.backend(), sql);
        let mut missing = Vec::new();
        for row in server.app.db.reader().query_all_raw(statement).await.unwrap() {
            let (table, column): (String, String) =
                (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
            if table == "seaql_migrations" || table.starts_with("sqlite_") {
                continue;
            }
            if !text.contains(&format!("| `{table}.{column}` |")) {
                missing.push(format!("{table}.{column}"));
            }
        }
        assert_eq!(missing, Vec::<String>::new(), "add a line for each to docs/data-inventory.md");
        for sealed in SEALED {
            let line = text.lines().find(|line| line.starts_with(&format!("| `{}` |", sealed.name()))).unwrap();
            assert!(line.contains("sealed"), "{line}");
        }
    }
}
