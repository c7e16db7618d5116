//! Secrets stay out of logs, answers and the database file: a whole scenario, then a search for each of them.

use crate::harness::binary::Place;
use crate::harness::{Kind, TestServer, settled};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "canary password under seven maps";
const WRONG: &str = "wrong canary under seven maps";
const EMAIL: &str = "canary.mail@example.org";
const FULL_NAME: &str = "Canary Fullname";

/// A log that is kept.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether `bytes` hold `canary`, as it is, in other case, in hexadecimal or base64.
fn holds(bytes: &[u8], canary: &str) -> bool {
    use base64::Engine;
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(canary).to_lowercase();
    [canary.to_lowercase(), hex::encode(canary), base64].iter().any(|form| text.contains(form))
}

/// ASVS: 16.2.5, 14.2.4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_log_line_of_a_scenario_is_free_of_secrets() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let server = TestServer::start(Kind::Sqlite).await;
    let input = json!({ "username": "ada", "email": EMAIL, "password": PASSWORD, "fullName": FULL_NAME });
    let anyone = server.anonymous();
    anyone.mutate("register", input.clone(), "accepted").await.ok();
    anyone.mutate("register", input, "accepted").await.ok();
    anyone.try_login("ada", WRONG, "TOKEN").await.refused("UNAUTHENTICATED");
    anyone.try_login(EMAIL, WRONG, "TOKEN").await.refused("UNAUTHENTICATED");
    let mut ada = server.anonymous();
    (ada.username, ada.password) = ("ada".to_owned(), PASSWORD.to_owned());
    ada.login().await;
    let token = ada.token.clone().unwrap();
    let mut browser = server.anonymous();
    (browser.username, browser.password) = (EMAIL.to_owned(), PASSWORD.to_owned());
    browser.login_by_cookie().await;
    let (cookie, csrf) = (browser.cookie().unwrap(), browser.csrf.clone().unwrap());
    assert_eq!(ada.query("{ me { email fullName } }", json!({})).await.ok().data("/me/email"), EMAIL);
    for client in [&ada, &browser] {
        let id = client.create_post("canary title", "PRIVATE").await;
        client
            .mutate("updatePost", json!({ "id": id, "title": "" }), "post { id }")
            .await
            .refused("BAD_USER_INPUT");
        client.mutate("deletePost", json!({ "id": id }), "deletedId").await.ok();
    }
    // Broken input and a broken database, with the secrets in reach.
    anyone.post(format!("{{\"query\": \"mutation {{ login(input: {{ identifier: \\\"{EMAIL}\\\", password: \\\"{PASSWORD}\\\"")).await;
    anyone
        .query(
            "mutation($input: LoginInput!) { login(input: $input) { token } }",
            json!({ "input": { "password": PASSWORD, "nothing": EMAIL } }),
        )
        .await;
    anyone.query(&format!("mutation {{ login(input: {{ identifier: \"{EMAIL}\", password: {{ a: \"{PASSWORD}\" }} }}) {{ token }} }}"), json!({})).await;
    server.sql("ALTER TABLE audit_events RENAME TO away").await;
    anyone.try_login(EMAIL, PASSWORD, "TOKEN").await;
    anyone
        .mutate(
            "register",
            json!({ "username": "bob", "email": format!("2{EMAIL}"), "password": PASSWORD }),
            "accepted",
        )
        .await;
    server.sql("ALTER TABLE away RENAME TO audit_events").await;
    ada.query("mutation { logout { done } }", json!({})).await.ok();
    settled(&server).await;

    let log = log.0.lock().unwrap().clone();
    assert!(log.len() > 10_000, "the log was kept");
    let key = std::fs::read_to_string(server.folder().join("master.key")).unwrap();
    let key =
        key.trim().rsplit([':', ' ', '=']).find(|part| part.len() > 30).unwrap_or(key.trim()).to_owned();
    for (name, secret) in [
        ("the password", PASSWORD),
        ("the wrong password", WRONG),
        ("the address", EMAIL),
        ("the full name", FULL_NAME),
        ("the token", &token),
        ("the token's secret", token.split_once('_').unwrap().1),
        ("the cookie", &cookie),
        ("the CSRF token", &csrf),
        ("the key", &key),
    ] {
        if let Some(line) = String::from_utf8_lossy(&log).lines().find(|line| holds(line.as_bytes(), secret))
        {
            panic!("{name} is in the log: {line}");
        }
    }
}

both! {
    /// ASVS: 16.2.5, 14.2.4, 11.2.1
    async fn the_program_prints_and_stores_no_secret(kind: Kind) {
        let mut place = Place::new(kind).await;
        place.set("PORTCULLIS_LOG_FILTER", "trace");
        let server = place.serve();
        let register = "mutation($i: RegisterInput!) { register(input: $i) { accepted } }";
        let input = json!({ "username": "ada", "email": EMAIL, "password": PASSWORD, "fullName": FULL_NAME });
        server.query(None, register, json!({ "i": input })).await.unwrap().ok();
        let login = "mutation($i: LoginInput!) { login(input: $i) { token } }";
        let input = json!({ "identifier": EMAIL, "password": WRONG, "transport": "TOKEN" });
        server.query(None, login, json!({ "i": input })).await.unwrap().refused("UNAUTHENTICATED");
        let token = server.sign_in(EMAIL, PASSWORD).await;
        let reply = server.query(Some(&token), "{ me { email } }", json!({})).await.unwrap().ok();
        assert_eq!(reply.data("/me/email"), EMAIL);
        let admin = ["admin", "create", "--username", "root", "--email", EMAIL, "--password-stdin"];
        let admin = place.run(&admin, PASSWORD);
        let (_, out, errors) = server.stop("TERM");
        let key = std::fs::read_to_string(place.folder.path().join("master.key")).unwrap();
        let key = key.trim().rsplit([':', ' ', '=']).find(|part| part.len() > 30).unwrap_or(key.trim()).to_owned();
        let mut places = vec![("standard output", out.into_bytes()), ("standard error", errors.into_bytes()), ("admin create", [admin.stdout, admin.stderr].concat())];
        if kind == Kind::Sqlite {
            for file in std::fs::read_dir(place.folder.path()).unwrap() {
                let path = file.unwrap().path();
                if path.is_file() && path.file_name().unwrap() != "master.key" {
                    places.push(("the data folder", std::fs::read(path).unwrap()));
                }
            }
            assert!(places.len() > 3);
        }
        let secrets = [PASSWORD, WRONG, EMAIL, FULL_NAME, &token, token.split_once('_').unwrap().1, &key];
        for (name, bytes) in &places {
            for secret in secrets {
                assert!(!holds(bytes, secret), "{secret:?} is in {name}");
            }
        }
    }
}
