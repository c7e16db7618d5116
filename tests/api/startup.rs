//! Starting and stopping the program: what stands in its way is said clearly, with exit code 1.

use crate::harness::Kind;
use crate::harness::binary::Place;
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const PASSWORD: &str = "quiet lantern under seven maps";

#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for word in words {
        assert!(errors.contains(word), "no {word:?} in {errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

both! {
    async fn the_first_start_makes_everything_and_a_signal_ends_it(kind: Kind) {
        let place = Place::new(kind).await;
        for signal in ["TERM", "INT"] {
            let server = place.serve();
            assert!(server.query(None, "{ me { id } }", json!({})).await.unwrap().ok().data("/me").is_null());
            let (code, out, errors) = server.stop(signal);
            assert_eq!(code, Some(0), "{errors}");
            for word in ["/graphql", "/graphiql", "/health", "portcullis admin create"] {
                assert!(out.contains(word), "{out}");
            }
        }
        let key = std::fs::metadata(place.folder.path().join("master.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(succeeds(&place.run(&["migrate", "status"], "")).lines().all(|line| line.starts_with("applied")));
    }

    /// ASVS: 13.3.2
    async fn a_key_that_others_may_read_is_refused(kind: Kind) {
        let place = Place::new(kind).await;
        place.serve().stop("TERM");
        let key = place.folder.path().join("master.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        fails(&place.run(&["serve"], ""), &["master.key", "644", "chmod 600"]);
    }

    async fn a_newer_database_is_left_alone(kind: Kind) {
        let place = Place::new(kind).await;
        succeeds(&place.run(&["migrate", "up"], ""));
        let db = Database::connect(&place.database.url).await.unwrap();
        db.execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_from_the_future', 0)").await.unwrap();
        db.close().await.unwrap();
        fails(&place.run(&["serve"], ""), &["m9999_from_the_future", "newer build"]);
        fails(&place.run(&["migrate", "up"], ""), &["m9999_from_the_future"]);
    }

    async fn an_administrator_is_made_while_the_server_runs(kind: Kind) {
        let place = Place::new(kind).await;
        let server = place.serve();
        let create = |name: &str, email: &str, password: &str| {
            place.run(&["admin", "create", "--username", name, "--email", email, "--password-stdin"], password)
        };
        let made = succeeds(&create("root", "root@example.org", &format!("{PASSWORD}\n")));
        assert!(made.contains("usr_"), "{made}");
        let token = server.sign_in("root", PASSWORD).await;
        let document = "{ me { role } users { edges { node { username } } } auditEvents { edges { node { eventType action status } } } }";
        let reply = server.query(Some(&token), document, json!({})).await.unwrap().ok();
        assert_eq!(reply.data("/me/role"), "ADMIN");
        let events = reply.data("/auditEvents/edges").as_array().unwrap();
        assert!(events.iter().any(|edge| edge["node"] == json!({ "eventType": "user_created", "action": "admin create", "status": "SUCCESS" })), "{events:?}");
        fails(&create("ROOT", "other@example.org", PASSWORD), &["taken"]);
        fails(&create("other", "Root@Example.org", PASSWORD), &["taken"]);
        fails(&create("x", "nothing", "short"), &["username:", "email:", "password:"]);
        server.stop("TERM");
    }

    async fn a_taken_port_is_named(kind: Kind) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut place = Place::new(kind).await;
        place.set("PORTCULLIS_LISTEN", &*address);
        fails(&place.run(&["serve"], ""), &[&address, "PORTCULLIS_LISTEN"]);
    }
}

#[tokio::test]
async fn a_locked_sqlite_file_is_named() {
    let place = Place::new(Kind::Sqlite).await;
    succeeds(&place.run(&["migrate", "up"], ""));
    let db = Database::connect(&place.database.url).await.unwrap();
    db.execute_unprepared("PRAGMA locking_mode = EXCLUSIVE").await.unwrap();
    db.execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    fails(&place.run(&["serve"], ""), &["locked", "PORTCULLIS_DATABASE_URL"]);
    db.execute_unprepared("ROLLBACK").await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_read_only_sqlite_file_is_named() {
    let mut place = Place::new(Kind::Sqlite).await;
    succeeds(&place.run(&["migrate", "up"], ""));
    place.set("PORTCULLIS_DATABASE_URL", format!("{}?mode=ro", place.database.url));
    fails(&place.run(&["serve"], ""), &["readonly", "PORTCULLIS_DATABASE_URL"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let place = Place::new(Kind::Sqlite).await;
    std::fs::write(
        place.folder.path().join("portcullis.sqlite"),
        "this is no database, whatever it is called; ".repeat(200),
    )
    .unwrap();
    fails(&place.run(&["serve"], ""), &["not a database", "PORTCULLIS_DATABASE_URL"]);
}

/// ASVS: 16.5.2
#[tokio::test]
async fn an_absent_postgres_is_waited_for_and_then_named_without_its_password() {
    let mut place = Place::new(Kind::Sqlite).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.set("PORTCULLIS_DATABASE_URL", format!("postgres://postgres:canary-password@{free}/postgres"));
    place.set("PORTCULLIS_DATABASE_START_TIMEOUT_SECONDS", "1");
    let output = place.run(&["serve"], "");
    fails(&output, &["does not answer yet", "does not open", "PORTCULLIS_DATABASE_URL"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary-password"));
}

/// ASVS: 13.4.2, 13.1.1
#[tokio::test]
async fn all_that_is_wrong_with_the_settings_is_said_at_once() {
    let mut place = Place::new(Kind::Sqlite).await;
    place.set("PORTCULLIS_LISTEN", "nowhere");
    place.set("PORTCULLIS_NONSENSE", "1");
    place.set("PORTCULLIS_SESSION_IDLE_MINUTES", "-1");
    for command in [&["serve"][..], &["config", "check"]] {
        fails(
            &place.run(command, ""),
            &["PORTCULLIS_LISTEN", "PORTCULLIS_NONSENSE", "PORTCULLIS_SESSION_IDLE_MINUTES"],
        );
    }
    let mut place = Place::new(Kind::Sqlite).await;
    place.set("PORTCULLIS_MODE", "production");
    fails(
        &place.run(&["serve"], ""),
        &["PORTCULLIS_MASTER_KEY", "portcullis keys generate", "PORTCULLIS_PUBLIC_URL"],
    );
}

#[tokio::test]
async fn keys_schema_and_settings_are_printed() {
    let place = Place::new(Kind::Sqlite).await;
    let sdl = succeeds(&place.run(&["schema"], ""));
    assert!(sdl.contains("type Query") && sdl.contains("directive @ownerOr"));
    let (one, two) =
        (succeeds(&place.run(&["keys", "generate"], "")), succeeds(&place.run(&["keys", "generate"], "")));
    assert_ne!(one, two);
    assert!(succeeds(&place.run(&["config", "list"], "")).contains("PORTCULLIS_MASTER_KEY"));
    succeeds(&place.run(&["config", "check"], ""));
}
