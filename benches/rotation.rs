//! A key rotation under load: two server processes, people signing in, reading and writing, and the
//! rotation killed three times (`kill -9`). Prints its figures, and fails on a lost write, an error
//! answer, or a row under the old key.
//!
//! `cargo bench --bench rotation -- USERS` (10,000 unless said), on the PostgreSQL of
//! `TEST_DATABASE_URL`, or on SQLite without one.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]
#![allow(clippy::disallowed_methods, reason = "a test of whole processes")]

use entity::id::UserId;
use entity::user::{ActiveModel, Column, Entity, Role};
use portcullis::accounts::find;
use portcullis::app::App;
use portcullis::clock::Clock;
use portcullis::config::{Config, Sources};
use portcullis::crypto::{Keyring, random};
use portcullis::keys::{file, status, watch};
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, Database, EntityTrait, QueryFilter, Set};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
const PASSWORD: &str = "quiet lantern under seven maps";

/// A process that does not outlive the run.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    // `cargo bench` passes `--bench`; `cargo test` runs benches too, without it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let users = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10_000);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run(users));
}

async fn run(users: usize) {
    let folder = tempfile::TempDir::with_prefix("portcullis-rotation-").unwrap();
    let (url, admin) = database(folder.path()).await;
    let key = folder.path().join("ring");
    file::write(&key, &Keyring::generate()).unwrap();
    let environment = |port: u16| -> Vec<(String, String)> {
        let mut settings = vec![
            ("DATA_DIR", folder.path().join(port.to_string()).display().to_string()),
            ("DATABASE_URL", url.clone()),
            ("MASTER_KEY_FILE", key.display().to_string()),
            ("LISTEN", format!("127.0.0.1:{port}")),
            ("LOG_FILTER", "warn".to_owned()),
            ("PASSWORD_MEMORY_KIB", "8".to_owned()),
            ("PASSWORD_ITERATIONS", "1".to_owned()),
            ("KEY_SETTLE_SECONDS", "6".to_owned()),
            ("RETENTION_INTERVAL_MINUTES", "0".to_owned()),
        ];
        for name in [
            "SHIELD_PER_SECOND",
            "SHIELD_BURST",
            "LIMIT_LOGIN",
            "LIMIT_REGISTER",
            "LIMIT_API",
            "LIMIT_ADDRESS",
            "LIMIT_USER",
            "LIMIT_COST",
            "LIMIT_COST_ANONYMOUS",
        ] {
            settings.push((name, "1000000".to_owned()));
        }
        settings.into_iter().map(|(name, value)| (format!("PORTCULLIS_{name}"), value)).collect()
    };
    let sources =
        environment(0).into_iter().fold(Sources::default(), |s, (name, value)| s.with(&name, &value));
    let app = App::start(Config::load(sources).unwrap(), Clock::system()).await.unwrap();
    seed(&app, users).await;
    let ports = [free_port(), free_port()];
    let servers = ports.map(|port| {
        Process(
            Command::new(BINARY).arg("serve").envs(environment(port)).stdout(Stdio::null()).spawn().unwrap(),
        )
    });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for port in ports {
        while http.get(format!("http://127.0.0.1:{port}/health")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    let stop = Arc::new(AtomicBool::new(false));
    let (answers, errors) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut clients = Vec::new();
    for (number, port) in ports.into_iter().cycle().take(4).enumerate() {
        let (http, stop, answers, errors) =
            (http.clone(), Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&errors));
        clients.push(tokio::spawn(async move {
            let mut made = Vec::new();
            let mut turn = 0_usize;
            while !stop.load(SeqCst) {
                turn += 1;
                let who = (turn * 31 + number * 7) % users;
                let mut ok = true;
                let login = login(&http, port, &format!("p{who}@example.org")).await;
                if let Some(token) = login["data"]["login"]["token"].as_str() {
                    let me = graphql(&http, port, Some(token), "{ me { email fullName } }", json!({})).await;
                    ok &= me["data"]["me"]["email"] == format!("p{who}@example.org") && me["errors"].is_null();
                } else {
                    ok = false;
                    eprintln!("{login}");
                }
                if turn.is_multiple_of(4) {
                    let email = format!("new{number}x{turn}@example.org");
                    let input = json!({ "username": format!("new{number}x{turn}"), "email": email, "password": PASSWORD });
                    let document = "mutation($input: RegisterInput!) { register(input: $input) { accepted } }";
                    let reply = graphql(&http, port, None, document, json!({ "input": input })).await;
                    if reply["errors"].is_null() { made.push(email) } else { ok = false; eprintln!("{reply}") }
                }
                answers.fetch_add(1, SeqCst);
                errors.fetch_add(u64::from(!ok), SeqCst);
            }
            made
        }));
    }
    // A third process's writes, by the same rules: whatever it wrote last must be there at the end.
    let writer = tokio::spawn(write_names(app.clone(), users, Arc::clone(&stop)));
    let watched = tokio::spawn(watch::watch(app.clone(), std::future::pending()));

    let began = Instant::now();
    let rotate = |new: bool| {
        let mut command = Command::new(BINARY);
        command.args(["keys", "rotate", "--wait"]).args(new.then_some("--new")).envs(environment(0));
        Process(command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    };
    for cut in 0..3 {
        let mut process = rotate(cut == 0);
        let lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let at = tokio::task::spawn_blocking(move || {
            lines
                .map_while(Result::ok)
                .filter(|line| line.contains(" rows ("))
                .nth(cut + 1)
                .expect("it is under way")
        });
        let at = at.await.unwrap();
        process.0.kill().unwrap();
        println!("killed at: {at}");
    }
    let mut last = rotate(false);
    let lines = BufReader::new(last.0.stderr.take().unwrap()).lines();
    tokio::task::spawn_blocking(move || lines.map_while(Result::ok).for_each(|line| println!("{line}")))
        .await
        .unwrap();
    assert!(last.0.wait().unwrap().success());
    let took = began.elapsed();
    stop.store(true, SeqCst);

    let mut made = 0;
    for client in clients {
        for email in client.await.unwrap() {
            made += 1;
            assert!(find::by_identifier(&app, &email).await.unwrap().is_some(), "lost: {email}");
        }
    }
    let (names, writes) = writer.await.unwrap();
    watched.abort();
    let current = app.keyring.current();
    let left: Vec<_> = status::usage(&app)
        .await
        .unwrap()
        .into_iter()
        .filter(|usage| !usage.kept && usage.rows > 0 && usage.key != Some(current))
        .collect();
    let alone = Keyring::parse(&app.keyring.without_key(1).unwrap()).unwrap();
    app.keyring.replace(&alone);
    for (number, written) in names.iter().enumerate() {
        let email = format!("p{number}@example.org");
        let user = find::by_identifier(&app, &email).await.unwrap().expect("found by its address");
        assert_eq!(app.keyring.open(user.id.uuid(), &user.email).unwrap().expose_secret(), email);
        let name = app.keyring.open(user.id.uuid(), user.full_name.as_ref().unwrap()).unwrap();
        assert_eq!(name.expose_secret(), *written, "a lost write");
    }
    println!(
        "{users} users, 2 servers, 3 kills: {:.1} s in all; {} rounds of requests answered, {} with an error; {made} registrations and {writes} writes, none lost; rows under an old key: {left:?}",
        took.as_secs_f64(),
        answers.load(SeqCst),
        errors.load(SeqCst),
    );
    drop(servers);
    if let Some((admin, name)) = admin {
        drop(app);
        admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    }
    assert!(left.is_empty() && errors.load(SeqCst) == 0);
}

/// Changes names all the while; the last one of each, and how many there were.
async fn write_names(app: App, users: usize, stop: Arc<AtomicBool>) -> (Vec<String>, u64) {
    let mut names: Vec<String> = (0..users).map(|number| format!("Name {number}")).collect();
    let mut turn = 0_usize;
    while !stop.load(SeqCst) {
        turn += 1;
        let number = turn * 17 % users;
        let user = find::by_identifier(&app, &format!("p{number}@example.org")).await.unwrap().unwrap();
        let name = format!("Name {number}, {turn}");
        let full_name = Some(app.keyring.seal(user.id.uuid(), &name));
        let change = ActiveModel { full_name: Set(full_name), ..Default::default() };
        Entity::update_many().set(change).filter(Column::Id.eq(user.id)).exec(app.db.writer()).await.unwrap();
        names[number] = name;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (names, turn as u64)
}

async fn seed(app: &App, users: usize) {
    let hash = app.hasher.hash(SecretString::from(PASSWORD)).await.unwrap();
    let now = app.clock.now();
    for part in (0..users).collect::<Vec<_>>().chunks(500) {
        let rows = part.iter().map(|number| {
            let id = random::uuid_v7(now);
            let email = format!("p{number}@example.org");
            ActiveModel {
                id: Set(UserId(id)),
                username: Set(format!("p{number}")),
                username_key: Set(format!("p{number}")),
                email: Set(app.keyring.seal(id, &email)),
                email_index: Set(app.keyring.blind_index(&email)),
                email_index_next: Set(Some(app.keyring.blind_index(&email))),
                email_verified_at: Set(None),
                full_name: Set(Some(app.keyring.seal(id, &format!("Name {number}")))),
                phone: Set(None),
                password_hash: Set(hash.clone()),
                role: Set(Role::User),
                is_active: Set(true),
                mfa_enrolled_at: Set(None),
                password_needs_mfa: Set(false),
                created_at: Set(now),
                updated_at: Set(now),
            }
        });
        Entity::insert_many(rows).exec_without_returning(app.db.writer()).await.unwrap();
    }
    // So that the row of the last user, read back, says that all of it is there.
    let last = find::by_identifier(app, &format!("p{}@example.org", users - 1)).await.unwrap().unwrap();
    let _ = ActiveModel { id: Set(last.id), updated_at: Set(now), ..Default::default() }
        .update(app.db.writer())
        .await;
}

async fn login(http: &reqwest::Client, port: u16, identifier: &str) -> Value {
    let input = json!({ "identifier": identifier, "password": PASSWORD, "transport": "TOKEN" });
    let document = "mutation($input: LoginInput!) { login(input: $input) { token } }";
    graphql(http, port, None, document, json!({ "input": input })).await
}

async fn graphql(
    http: &reqwest::Client,
    port: u16,
    token: Option<&str>,
    query: &str,
    variables: Value,
) -> Value {
    let mut request = http
        .post(format!("http://127.0.0.1:{port}/graphql"))
        .header("content-type", "application/json")
        .body(json!({ "query": query, "variables": variables }).to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    match request.send().await {
        Ok(reply) => serde_json::from_str(&reply.text().await.unwrap_or_default()).unwrap_or_default(),
        Err(error) => json!({ "errors": [error.to_string()] }),
    }
}

async fn database(folder: &std::path::Path) -> (String, Option<(sea_orm::DatabaseConnection, String)>) {
    let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
        return (format!("sqlite://{}", folder.join("portcullis.sqlite").display()), None);
    };
    let name = format!("portcullis_rotation_{}", hex::encode(random::bytes::<6>()));
    let admin = Database::connect(&url).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    (format!("{}/{name}", &url[..url.rfind('/').unwrap()]), Some((admin, name)))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
