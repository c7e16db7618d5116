//! A server in this process, on a free port.

use super::database::{Kind, TestDatabase};
use portcullis::app::App;
use portcullis::clock::Clock;
use portcullis::config::{Config, Sources};
use portcullis::engine::Engine;
use portcullis::http::{self, Door};
use portcullis::server::Server;
use sea_orm::{ConnectionTrait, Statement};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// When every test begins: 2026-01-01T00:00:00Z, in milliseconds. It stays so until the test moves it.
pub const START: i64 = 1_767_225_600_000;

/// The settings of a test's server, unless it says otherwise: cheap hashes, and limits that no honest
/// test meets.
pub fn settings() -> Vec<(&'static str, String)> {
    let mut settings: Vec<(&'static str, String)> = [
        ("PORTCULLIS_LISTEN", "127.0.0.1:0"),
        ("PORTCULLIS_LOG_FILTER", "warn"),
        ("PORTCULLIS_PASSWORD_MEMORY_KIB", "8"),
        ("PORTCULLIS_PASSWORD_ITERATIONS", "1"),
        ("PORTCULLIS_DATABASE_CONNECTIONS", "4"),
        ("PORTCULLIS_SHUTDOWN_TIMEOUT_MS", "2000"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    for name in [
        "PORTCULLIS_SHIELD_PER_SECOND",
        "PORTCULLIS_SHIELD_BURST",
        "PORTCULLIS_LIMIT_LOGIN",
        "PORTCULLIS_LIMIT_REGISTER",
        "PORTCULLIS_LIMIT_API",
        "PORTCULLIS_LIMIT_USER",
        "PORTCULLIS_LIMIT_ADMIN",
        "PORTCULLIS_LIMIT_ADDRESS",
        "PORTCULLIS_LIMIT_COST",
        "PORTCULLIS_LIMIT_COST_ANONYMOUS",
    ] {
        settings.push((name, "1000000".to_owned()));
    }
    settings
}

/// A running server. Cheap to clone; it stops, and its database goes, with the last clone.
#[derive(Debug, Clone)]
pub struct TestServer(Arc<Parts>);

/// What a test may look at.
#[derive(Debug)]
pub struct Parts {
    /// The application behind the door.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Which database it runs on.
    pub kind: Kind,
    /// The engine, for what needs no transport.
    pub engine: Engine,
    pub(super) http: reqwest::Client,
    stop: CancellationToken,
    /// Tasks that run as long as the server does.
    lasting: usize,
    folder: TempDir,
    #[allow(dead_code, reason = "dropped last")]
    database: TestDatabase,
}

impl Deref for TestServer {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestServer {
    /// A server with the tests' settings.
    pub async fn start(kind: Kind) -> Self {
        Self::with(kind, &[]).await
    }

    /// A server with `overrides` on top of the tests' settings.
    pub async fn with(kind: Kind, overrides: &[(&'static str, &str)]) -> Self {
        let folder = TempDir::with_prefix("portcullis-test-").unwrap();
        let database = TestDatabase::new(kind, folder.path()).await;
        let mut settings = settings();
        for (name, value) in overrides {
            settings.retain(|(other, _)| other != name);
            settings.push((name, (*value).to_owned()));
        }
        let mut sources = Sources::default()
            .with("PORTCULLIS_DATA_DIR", &folder.path().display().to_string())
            .with("PORTCULLIS_DATABASE_URL", &database.url);
        for (name, value) in &settings {
            sources = sources.with(name, value);
        }
        let config = Config::load(sources).unwrap_or_else(|error| panic!("{error}"));
        let app = App::start(config, Clock::test(START)).await.unwrap_or_else(|error| panic!("{error}"));
        let engine = Engine::new(app.clone()).unwrap();
        let listener = TcpListener::bind(app.config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Arc::new(Server::new(engine.clone()));
        let door = Door::new(Arc::clone(&app.config), app.clock.clone(), backend);
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(door, listener, stop.clone().cancelled_owned()));
        let http = reqwest::Client::builder().no_proxy().user_agent("portcullis-tests/1").build().unwrap();
        Self(Arc::new(Parts {
            lasting: app.tasks.len(),
            app,
            address,
            kind,
            engine,
            http,
            stop,
            folder,
            database,
        }))
    }

    /// The address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Statements sent so far; take the difference of two readings.
    pub fn statements(&self) -> u64 {
        self.app.db.statements()
    }

    /// Runs `work` and counts the statements that were sent meanwhile.
    pub async fn counting<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let before = self.statements();
        let result = work.await;
        (result, self.statements() - before)
    }

    /// Runs one statement behind the server's back.
    pub async fn sql(&self, text: &str) -> u64 {
        self.app
            .db
            .writer()
            .execute_unprepared(text)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .rows_affected()
    }

    /// The one number that `text` selects.
    pub async fn number(&self, text: &str) -> i64 {
        let statement = Statement::from_string(self.app.db.backend(), text.to_owned());
        let row = self.app.db.writer().query_one_raw(statement).await.unwrap().expect("a row");
        row.try_get_by_index::<i64>(0).unwrap()
    }

    /// Audit events of `kind` (OWASP vocabulary) with `status` so far.
    pub async fn events(&self, kind: &str, status: &str) -> i64 {
        self.number(&format!(
            "SELECT COUNT(*) FROM audit_events WHERE event_type = '{kind}' AND status = '{status}'"
        ))
        .await
    }

    /// All audit events so far.
    pub async fn all_events(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM audit_events").await
    }

    /// Every row of `table` as one text: strings as they are, bytes both as text and in hexadecimal.
    pub async fn dump(&self, table: &str) -> String {
        let statement = Statement::from_string(self.app.db.backend(), format!("SELECT * FROM {table}"));
        let rows = self.app.db.writer().query_all_raw(statement).await.unwrap();
        assert!(!rows.is_empty(), "{table} has rows");
        let mut text = String::new();
        for row in rows {
            for column in row.column_names() {
                if let Ok(value) = row.try_get::<String>("", &column) {
                    text.push_str(&value);
                } else if let Ok(value) = row.try_get::<Vec<u8>>("", &column) {
                    text.push_str(&String::from_utf8_lossy(&value));
                    text.push_str(&hex::encode(value));
                }
                text.push('\n');
            }
        }
        text
    }
}

/// Waits until what requests left to do in the background is done.
pub async fn settled(server: &TestServer) {
    let done = async {
        while server.app.tasks.len() > server.lasting {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("background work ends");
}
