//! A database for one test: a file in its data folder, or a PostgreSQL database that is dropped at the end.

use migration::{Migrator, MigratorTrait};
use portcullis::crypto::random;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use std::path::Path;
use std::time::Duration;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server; its address is in `TEST_DATABASE_URL`.
    Postgres,
}

/// A database of a test's own.
#[derive(Debug)]
pub struct TestDatabase {
    /// For `PORTCULLIS_DATABASE_URL`.
    pub url: String,
    /// The PostgreSQL database to drop.
    name: Option<String>,
}

/// Where the tests' PostgreSQL is. Without one the test fails: nothing is skipped.
pub fn postgres_url() -> String {
    std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "TEST_DATABASE_URL is not set, so there is no PostgreSQL to test against: run `make test` \
             (or scripts/services cargo nextest run …), which starts one"
        )
    })
}

/// `url` with another database.
fn on(url: &str, database: &str) -> String {
    let end = url.rfind('/').unwrap();
    format!("{}/{database}", &url[..end])
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).connect_timeout(Duration::from_secs(10));
    Database::connect(options).await.expect("TEST_DATABASE_URL is reachable")
}

/// Names a state of the tables: another build may have others under the same names.
fn template_name() -> String {
    let executable = std::env::current_exe().unwrap();
    let changed = std::fs::metadata(executable).unwrap().modified().unwrap();
    let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("portcullis_template_{}_{changed}", Migrator::migrations().len())
}

/// Makes the template unless it is there: a copy is faster than the migrations.
async fn template(url: &str) -> String {
    let name = template_name();
    let admin = connect(url).await;
    // One process at a time; the lock ends with the connection.
    admin.execute_unprepared("SELECT pg_advisory_lock(7065)").await.unwrap();
    let sql = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    let there = admin.query_one_raw(Statement::from_string(admin.get_database_backend(), sql)).await.unwrap();
    if there.is_none() {
        let draft = format!("{name}_draft");
        admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await.unwrap();
        admin.execute_unprepared(&format!("CREATE DATABASE {draft}")).await.unwrap();
        let db = connect(&on(url, &draft)).await;
        Migrator::up(&db, None).await.unwrap();
        db.close().await.unwrap();
        admin.execute_unprepared(&format!("ALTER DATABASE {draft} RENAME TO {name}")).await.unwrap();
    }
    admin.close().await.unwrap();
    name
}

impl TestDatabase {
    /// A new one with all tables, empty. `folder` is where a file goes.
    pub async fn new(kind: Kind, folder: &Path) -> Self {
        if kind == Kind::Sqlite {
            return Self {
                url: format!("sqlite://{}", folder.join("portcullis.sqlite").display()),
                name: None,
            };
        }
        let url = postgres_url();
        let template = template(&url).await;
        let name = format!("portcullis_{}", hex::encode(random::bytes::<12>()));
        let admin = connect(&url).await;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        Self { url: on(&url, &name), name: Some(name) }
    }
}

impl Drop for TestDatabase {
    /// Drops it also when the test failed; from a thread of its own, since the runtime may be ending.
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&postgres_url()).await;
                admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
                admin.close().await.unwrap();
            });
        });
        if dropping.join().is_err() {
            eprintln!("a test's database could not be dropped");
        }
    }
}
