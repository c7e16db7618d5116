//! Keys: which rings are let in, rotation while others write, unique addresses under two keys, retiring.

use crate::harness::{Kind, TestServer, settings};
use portcullis::accounts::find;
use portcullis::accounts::register::{self, Registration};
use portcullis::app::{App, StartError};
use portcullis::audit::Origin;
use portcullis::clock::Clock;
use portcullis::config::{Config, Sources};
use portcullis::crypto::Keyring;
use portcullis::crypto::password::pepper_key_number;
use portcullis::keys::{canary, columns, file, index, lease, retire, rotate, rows, status, watch};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

fn key_file(server: &TestServer) -> PathBuf {
    server.folder().join("master.key")
}

/// Writes `ring` to the server's file and has the server take it up.
async fn give(server: &TestServer, text: &str) {
    file::write(&key_file(server), text).unwrap();
    assert!(watch::reload(&server.app).await.unwrap());
}

/// Another process on the same database, with a ring file of its own that says `ring`.
async fn replica(server: &TestServer, ring: &str) -> Result<(App, TempDir), StartError> {
    let folder = TempDir::with_prefix("portcullis-test-").unwrap();
    file::write(&folder.path().join("master.key"), ring).unwrap();
    let url = server.app.config.database_url.as_ref().unwrap().expose_secret().to_owned();
    let mut sources = Sources::default()
        .with("PORTCULLIS_DATA_DIR", &folder.path().display().to_string())
        .with("PORTCULLIS_DATABASE_URL", &url);
    for (name, value) in settings() {
        sources = sources.with(name, &value);
    }
    let clock = Clock::test(server.app.clock.now().0);
    Ok((App::start(Config::load(sources).unwrap(), clock).await?, folder))
}

fn ring_text(server: &TestServer) -> String {
    std::fs::read_to_string(key_file(server)).unwrap()
}

/// Rotates to a new key, as `portcullis keys rotate --new` does.
async fn rotate_to_new_key(server: &TestServer) -> rotate::Done {
    give(server, &server.app.keyring.with_new_key()).await;
    finish(&server.app).await
}

async fn finish(app: &App) -> rotate::Done {
    let lease = rotate::lease(app).await.unwrap();
    let done = rotate::run(app, &Origin::default(), &lease, |_| {}).await.unwrap();
    lease.release().await.unwrap();
    done
}

/// Rows that rotation should have brought under `key`, and are not.
async fn left_behind(app: &App, key: u32) -> Vec<status::Usage> {
    let usage = status::usage(app).await.unwrap();
    usage.into_iter().filter(|usage| !usage.kept && usage.rows > 0 && usage.key != Some(key)).collect()
}

async fn register(app: &App, name: &str, email: &str) -> portcullis::error::Result<()> {
    let registration = Registration {
        username: name.to_owned(),
        email: email.to_owned(),
        password: SecretString::from("quiet lantern under seven maps"),
        full_name: Some(format!("Full {name}")),
    };
    register::register(app, &Origin::default(), registration).await
}

both! {
    /// ASVS: 11.2.2, 13.3.4
    async fn a_rotation_leaves_no_row_under_the_old_key(server: TestServer) {
        let mut people = Vec::new();
        for number in 0..7 {
            people.push(server.user(&format!("person{number}")).await);
        }
        let waiting = server.number("SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM tickets)").await;
        let done = rotate_to_new_key(&server).await;
        assert_eq!(server.app.keyring.current(), 2);
        // Seven people, each with a session, and the mail that waits.
        assert_eq!((done.resealed, done.switched), (14 + u64::try_from(waiting).unwrap(), 7));
        assert_eq!(left_behind(&server.app, 2).await, []);
        for person in &people {
            let me = person.query("{ me { email } }", json!({})).await.ok();
            assert_eq!(me.text_at("/me/email"), person.email);
            server.anonymous().try_login(&person.email, &person.password, "TOKEN").await.ok();
        }
        assert_eq!(finish(&server.app).await, rotate::Done::default(), "nothing is left to do");
        assert!(server.events("crypt_key_change", "SUCCESS").await >= 2);
    }

    async fn a_second_rotation_says_who_holds_the_lease_and_takes_over_when_it_runs_out(server: TestServer) {
        let first = rotate::lease(&server.app).await.unwrap();
        assert!(first.renew(3, 10).await.unwrap());
        let refused = rotate::lease(&server.app).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("row 3 of 10"), "{refused}");
        server.advance(Duration::from_millis(lease::LASTS_MS as u64 - 1));
        rotate::lease(&server.app).await.unwrap_err();
        server.advance(Duration::from_millis(1));
        let second = rotate::lease(&server.app).await.unwrap();
        let lost = rotate::run(&server.app, &Origin::default(), &first, |_| {}).await.unwrap_err();
        assert!(matches!(lost, rotate::RotateError::Lost), "{lost}");
        first.release().await.unwrap();
        assert!(second.renew(0, 0).await.unwrap(), "the first one's release is not the second one's");
        second.release().await.unwrap();
    }

    /// ASVS: 13.3.1
    async fn only_the_rings_that_go_with_the_database_are_let_in(server: TestServer) {
        let own = ring_text(&server);
        replica(&server, &own).await.unwrap();
        let other = replica(&server, &Keyring::generate()).await.unwrap_err().to_string();
        assert!(other.contains("key 1 is not the key 1 that this database was written under"), "{other}");
        assert!(!other.contains(own.lines().last().unwrap()), "no key material");
        rotate_to_new_key(&server).await;
        let behind = replica(&server, &own).await.unwrap_err().to_string();
        assert!(behind.contains("lacks key 2"), "{behind}");
        let both = server.app.keyring.clone();
        let alone = replica(&server, &both.without_key(1).unwrap()).await.unwrap_err().to_string();
        assert!(alone.contains("lacks key 1"), "{alone}");
        let back = replica(&server, &both.with_current(1).unwrap()).await.unwrap_err().to_string();
        assert!(back.contains("key numbers only go up"), "{back}");
        // A running server refuses it as well, and goes on with the ring it has.
        file::write(&key_file(&server), &Keyring::generate()).unwrap();
        watch::reload(&server.app).await.unwrap_err();
        assert_eq!(server.app.keyring.numbers(), [1, 2]);
    }

    /// Every pair of processes that may write at the same time, in every state of the rotation.
    ///
    /// ASVS: 2.3.3
    async fn an_address_stays_unique_whichever_rings_the_writers_hold(server: TestServer) {
        let old = ring_text(&server);
        let two = Keyring::parse(&server.app.keyring.with_new_key()).unwrap();
        let staged = two.with_current(1).unwrap();
        let new = two.with_current(2).unwrap();
        // Processes that started before any of it: with key 1 alone, with key 2 staged.
        let (lagging, _a) = replica(&server, &old).await.unwrap();
        let (ready, _b) = replica(&server, &staged).await.unwrap();
        register(&lagging, "before", "before@example.org").await.unwrap();
        let (fresh, _c) = replica(&server, &new).await.unwrap();
        let apps = [&lagging, &ready, &fresh];
        let column = columns::unique_indexes().next().unwrap();
        let db = server.app.db.writer();

        let mut number = 0;
        let mut try_all = async |state: &str, writers: &[bool; 3]| {
            for (first, one) in apps.iter().enumerate() {
                for (second, other) in apps.iter().enumerate() {
                    number += 1;
                    let email = format!("case{number}@example.org");
                    let a = register(one, &format!("first{number}"), &email).await;
                    let b = register(other, &format!("second{number}"), &email).await;
                    assert_eq!((a.is_ok(), b.is_ok()), (writers[first], writers[second]), "{state} {first} {second}");
                    let count = server
                        .number(&format!("SELECT COUNT(*) FROM users WHERE username_key IN ('first{number}', 'second{number}')"))
                        .await;
                    assert_eq!(count, i64::from(a.is_ok() || b.is_ok()), "{state}: {first} then {second}");
                    // Those from before the rotation are not to be had again either.
                    register(other, &format!("third{number}"), "before@example.org").await.ok();
                }
            }
            let count = server.number("SELECT COUNT(*) FROM users WHERE username_key LIKE 'third%'").await;
            assert_eq!(count, 0, "{state}");
        };

        try_all("stable under key 1", &[true, true, true]).await;
        let set = async |index: i64, next: i64, switching: bool| {
            let state = index::state(db, column).await.unwrap().unwrap();
            server
                .sql(&format!("UPDATE index_states SET index_key = {index}, next_key = {next}, switching = {switching} WHERE name = '{}'", state.name))
                .await;
        };
        set(1, 2, false).await;
        try_all("filling", &[false, false, true]).await;
        // What the rotation does in this state, before it goes on to the next one; then it stops there.
        set(1, 1, false).await;
        give(&server, &new).await;
        let lease = rotate::lease(&server.app).await.unwrap();
        let reached = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&reached);
        let app = server.app.clone();
        let run = tokio::spawn(async move {
            rotate::run(&app, &Origin::default(), &lease, |progress| {
                stop.store(progress.done > 0, Ordering::SeqCst);
            })
            .await
            .unwrap();
            lease.release().await.unwrap();
        });
        run.await.unwrap();
        set(2, 2, true).await;
        try_all("switching", &[false, false, true]).await;
        set(2, 2, false).await;
        try_all("stable under key 2", &[false, false, true]).await;
        let found = find::by_identifier(&fresh, "before@example.org").await.unwrap();
        assert_eq!(found.unwrap().username, "before");
        assert_eq!(left_behind(&server.app, 2).await, []);
    }

    /// The same in the middle of the exchange, when some rows have it behind them and some before.
    async fn an_address_stays_unique_between_exchanged_and_older_rows(server: TestServer) {
        for number in 0..6 {
            register(&server.app, &format!("person{number}"), &format!("p{number}@example.org")).await.unwrap();
        }
        give(&server, &server.app.keyring.with_new_key()).await;
        finish(&server.app).await;
        // Put three of them back to before the exchange.
        let people = (0..3).map(|number| format!("p{number}@example.org"));
        for (number, email) in people.enumerate() {
            let old = server.app.keyring.blind_index_with::<entity::user::UserEmail>(1, &email).unwrap();
            let literal = match server.kind {
                Kind::Sqlite => format!("X'{}'", hex::encode(old.as_bytes())),
                Kind::Postgres => format!("'\\x{}'", hex::encode(old.as_bytes())),
            };
            server.sql(&format!("UPDATE users SET email_index = {literal} WHERE username_key = 'person{number}'")).await;
        }
        server.sql("UPDATE index_states SET switching = TRUE").await;
        for number in 0..6 {
            let email = format!("P{number}@EXAMPLE.org");
            register(&server.app, &format!("again{number}"), &email).await.unwrap();
            let found = find::by_identifier(&server.app, &email).await.unwrap().unwrap();
            assert_eq!(found.username, format!("person{number}"));
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 6);
        assert_eq!(finish(&server.app).await.switched, 3);
        assert_eq!(left_behind(&server.app, 2).await, []);
    }

    async fn a_row_that_does_not_open_is_named_and_the_rest_is_rotated(server: TestServer) {
        for number in 0..5 {
            server.register(&format!("person{number}")).await;
        }
        let broken = match server.kind {
            Kind::Sqlite => "X'010100000001aabbccddeeff00112233445566778899aabbccddeeff00112233445566'",
            Kind::Postgres => "'\\x010100000001aabbccddeeff00112233445566778899aabbccddeeff00112233445566'",
        };
        server.sql(&format!("UPDATE users SET full_name = {broken} WHERE username_key = 'person2'")).await;
        give(&server, &server.app.keyring.with_new_key()).await;
        let lease = rotate::lease(&server.app).await.unwrap();
        let error = rotate::run(&server.app, &Origin::default(), &lease, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("users.full_name of"), "{error}");
        assert_eq!(server.events("crypt_decrypt_fail", "ALERT").await, 1);
        let left = server.number(match server.kind {
            Kind::Sqlite => "SELECT COUNT(*) FROM users WHERE substr(email, 1, 6) <> X'010100000002'",
            Kind::Postgres => "SELECT COUNT(*) FROM users WHERE substr(email, 1, 6) <> '\\x010100000002'",
        });
        assert_eq!(left.await, 1, "the broken row as a whole");
        server.sql("UPDATE users SET full_name = NULL WHERE username_key = 'person2'").await;
        rotate::run(&server.app, &Origin::default(), &lease, |_| {}).await.unwrap();
        assert_eq!(left_behind(&server.app, 2).await, []);
    }

    /// ASVS: 13.3.4
    async fn a_key_is_retired_once_nothing_needs_it(server: TestServer) {
        let mut ada = server.user("ada").await;
        let error = retire::retire(&server.app, &Origin::default(), 1).await.unwrap_err().to_string();
        assert!(error.contains("current key"), "{error}");
        give(&server, &server.app.keyring.with_new_key()).await;
        let error = retire::retire(&server.app, &Origin::default(), 1).await.unwrap_err().to_string();
        for what in ["users.email:", "users.email_index", "sessions.address", "users.password_hash", "audit_events"] {
            assert!(error.contains(what), "{what} in {error}");
        }
        finish(&server.app).await;
        let uses = retire::uses(&server.app, 1).await.unwrap();
        assert_eq!(uses.len(), 2, "{uses:?}");
        // The pepper moves when she signs in; the trail goes when retention has archived it.
        ada.login().await;
        let uses = retire::uses(&server.app, 1).await.unwrap();
        assert!(uses.len() == 1 && uses[0].starts_with("audit_events"), "{uses:?}");
        server.advance(Duration::from_secs(403 * 86_400));
        assert!(portcullis::retention::round(&server.app).await.unwrap().unwrap().audit > 3);
        ada.login().await;
        retire::retire(&server.app, &Origin::default(), 1).await.unwrap();
        assert_eq!(server.app.keyring.numbers(), [2]);
        assert_eq!(file::read(&key_file(&server)).unwrap().numbers(), [2]);
        assert_eq!(canary::all(&server.app.db).await.unwrap().len(), 1);
        replica(&server, &ring_text(&server)).await.unwrap();
        let me = ada.query("{ me { email sessions { ipAddress } } }", json!({})).await.ok();
        assert_eq!(me.text_at("/me/email"), "ada@example.org");
        ada.login().await;
    }

    /// ASVS: 11.4.2
    async fn the_pepper_moves_to_the_current_key_at_the_next_sign_in(server: TestServer) {
        let mut ada = server.register("ada").await;
        server.register("bob").await;
        let pepper = async |name| {
            let user = find::by_identifier(&server.app, name).await.unwrap().unwrap();
            pepper_key_number(&user.password_hash)
        };
        rotate_to_new_key(&server).await;
        assert_eq!(pepper("ada").await, Some(1));
        server.anonymous().try_login("ada", "not her password at all", "TOKEN").await.refused("UNAUTHENTICATED");
        assert_eq!(pepper("ada").await, Some(1));
        ada.login().await;
        assert_eq!((pepper("ada").await, pepper("bob").await), (Some(2), Some(1)));
        ada.login().await;
        assert_eq!(retire::drop_passwords(&server.app, &Origin::default(), 1).await.unwrap(), 1);
        assert_eq!(pepper("bob").await, None);
        server.anonymous().try_login("bob", "quiet lantern under seven maps, bob", "TOKEN").await.refused("UNAUTHENTICATED");
        ada.login().await;
    }

    async fn a_page_of_sealed_addresses_costs_no_statement_more(server: TestServer) {
        let admin = server.admin().await;
        for number in 0..100 {
            register(&server.app, &format!("person{number}"), &format!("p{number}@example.org")).await.unwrap();
        }
        let page = async |fields: &str| {
            let document = format!("{{ users(first: 100) {{ edges {{ node {{ {fields} }} }} }} }}");
            admin.query(&document, json!({})).await.ok();
            let (reply, statements) = server.counting(admin.query(&document, json!({}))).await;
            assert_eq!(reply.ok().data("/users/edges").as_array().unwrap().len(), 100);
            statements
        };
        page("id").await;
        assert_eq!(page("id").await, page("id email fullName phone").await);
    }
}

/// A rotation under load: people's data change all the while, and the rotation is cut off three times.
async fn under_load(kind: Kind) {
    const PEOPLE: usize = 300;
    let server = TestServer::with(kind, &[("PORTCULLIS_ROTATION_BATCH", "20")]).await;
    for number in 0..PEOPLE {
        register(&server.app, &format!("person{number}"), &format!("p{number}@example.org")).await.unwrap();
    }
    let (other, _folder) = replica(&server, &ring_text(&server)).await.unwrap();
    let new = server.app.keyring.with_new_key().to_string();
    for app in [&server.app, &other] {
        let path = file::path(&app.config).unwrap();
        file::write(&path, &Keyring::parse(&new).unwrap().with_current(1).unwrap()).unwrap();
        assert!(watch::reload(app).await.unwrap());
    }

    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    // Each writer has people of its own, so the last thing that it wrote is what must be there at the end.
    let writers: Vec<_> = [&server.app, &other]
        .into_iter()
        .enumerate()
        .map(|(part, app)| {
            let (app, stop, written) = (app.clone(), Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                let mut last = vec![0; PEOPLE];
                let mut turn = 0;
                while !stop.load(Ordering::SeqCst) {
                    turn += 1;
                    let number = (turn * 7 + part * 3) % (PEOPLE / 2) * 2 + part;
                    let name = format!("person{number}");
                    let user = find::by_identifier(&app, &name).await.unwrap().unwrap();
                    app.keyring.open(user.id.uuid(), &user.email).unwrap();
                    let change = entity::user::ActiveModel {
                        id: sea_orm::Set(user.id),
                        full_name: sea_orm::Set(Some(
                            app.keyring.seal(user.id.uuid(), &format!("name {turn}")),
                        )),
                        ..Default::default()
                    };
                    sea_orm::ActiveModelTrait::update(change, app.db.writer()).await.unwrap();
                    last[number] = turn;
                    written.fetch_add(1, Ordering::SeqCst);
                    if turn % 10 == 0 {
                        let email = format!("new{part}x{turn}@example.org");
                        register(&app, &format!("new{part}x{turn}"), &email).await.unwrap();
                    }
                }
                last
            })
        })
        .collect();

    for app in [&server.app, &other] {
        file::write(&file::path(&app.config).unwrap(), &new).unwrap();
        assert!(watch::reload(app).await.unwrap());
    }
    for _ in 0..3 {
        let app = server.app.clone();
        let rotation = tokio::spawn(async move {
            let lease = rotate::lease(&app).await.unwrap();
            rotate::run(&app, &Origin::default(), &lease, |progress| {
                assert!(progress.done < 60, "cut off here");
            })
            .await
            .map(|_| ())
        });
        // Killed in the middle of its work: the lease stays behind, held by nobody.
        assert!(rotation.await.unwrap_err().is_panic());
        rotate::lease(&server.app).await.unwrap_err();
        server.advance(Duration::from_millis(lease::LASTS_MS as u64));
    }
    finish(&server.app).await;
    stop.store(true, Ordering::SeqCst);
    finish(&server.app).await;
    for (part, writer) in writers.into_iter().enumerate() {
        for (number, turn) in writer.await.unwrap().into_iter().enumerate().filter(|(_, turn)| *turn > 0) {
            assert_eq!(number % 2, part);
            let user = find::by_identifier(&server.app, &format!("person{number}")).await.unwrap().unwrap();
            let name = server.app.keyring.open(user.id.uuid(), user.full_name.as_ref().unwrap()).unwrap();
            assert_eq!(name.expose_secret(), format!("name {turn}"), "a lost write");
        }
    }
    finish(&server.app).await;
    assert!(written.load(Ordering::SeqCst) > 20);
    assert_eq!(left_behind(&server.app, 2).await, []);
    assert_eq!(rows::header(2), [1, 1, 0, 0, 0, 2]);
    // Without the old key everything still opens and is still found.
    let alone = Keyring::parse(&server.app.keyring.without_key(1).unwrap()).unwrap();
    server.app.keyring.replace(&alone);
    for number in 0..PEOPLE {
        let email = format!("p{number}@example.org");
        let user = find::by_identifier(&server.app, &email).await.unwrap().unwrap();
        assert_eq!(alone.open(user.id.uuid(), &user.email).unwrap().expose_secret(), email);
        alone.open(user.id.uuid(), user.full_name.as_ref().unwrap()).unwrap();
    }
}

/// ASVS: 11.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_loses_nothing_on_sqlite() {
    under_load(Kind::Sqlite).await;
}

/// ASVS: 11.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_loses_nothing_on_postgres() {
    under_load(Kind::Postgres).await;
}
