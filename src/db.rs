//! The database: one pool of readers, one of writers, the same semantics on SQLite and PostgreSQL.
//!
//! SQLite has one writer at a time, so its writing pool has one connection and waits its turn in
//! process; readers run beside it (WAL). On PostgreSQL both are the same pool.

use crate::config::Config;
use crate::error::{Error, Result};
use entity::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One attempt to connect at start may take so long.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Handles to the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    readers: DatabaseConnection,
    writers: DatabaseConnection,
    statements: Arc<AtomicU64>,
}

/// Where the database is, from the configuration.
fn address(config: &Config) -> String {
    config.database_url.as_ref().map_or_else(
        || format!("sqlite://{}", config.data_dir.join("portcullis.sqlite").display()),
        |url| url.expose_secret().to_owned(),
    )
}

impl Db {
    /// Connects, trying again with growing pauses while PostgreSQL is not there yet.
    ///
    /// # Errors
    /// The last attempt's error once `database_start_timeout_seconds` have passed; at once for a
    /// SQLite file that cannot be opened.
    pub async fn connect(config: &Config) -> std::result::Result<Self, DbErr> {
        let url = address(config);
        let statements = Arc::new(AtomicU64::new(0));
        if url.starts_with("sqlite:") {
            let mut writers = Database::connect(options(config, &url, 1)).await?;
            let mut readers = Database::connect(options(config, &url, config.database_connections)).await?;
            count(&mut writers, &statements);
            count(&mut readers, &statements);
            return Ok(Self { readers, writers, statements });
        }
        wait_for(&url, Duration::from_secs(config.database_start_timeout_seconds)).await?;
        let mut pool = Database::connect(options(config, &url, config.database_connections)).await?;
        count(&mut pool, &statements);
        Ok(Self { readers: pool.clone(), writers: pool, statements })
    }

    /// For statements that change nothing.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.readers
    }

    /// For migrations and single maintenance statements.
    #[must_use]
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writers
    }

    /// Which database it is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.writers.get_database_backend()
    }

    /// Begins a transaction that may write; on SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// When no connection is to be had or the database refuses.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        self.begin_to_write().await.map_err(Error::from)
    }

    async fn begin_to_write(&self) -> std::result::Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writers.begin_with_options(options).await
    }

    /// Finds out whether the migrated database can be written to.
    ///
    /// # Errors
    /// It is locked, or may only be read.
    pub async fn check_writable(&self) -> std::result::Result<(), DbErr> {
        // Changes no row; but a file that may only be read refuses it, which BEGIN IMMEDIATE does not show.
        let nothing =
            Query::update().table("sessions").value("mfa", false).and_where(Expr::val(1).eq(0)).to_owned();
        let txn = self.begin_to_write().await?;
        txn.execute(&nothing).await?;
        txn.rollback().await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<()> {
        self.readers.ping().await.map_err(Error::from)
    }

    /// The database server's clock; `None` where it is this machine's own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn time(&self) -> Result<Option<Timestamp>> {
        if self.backend() == DbBackend::Sqlite {
            return Ok(None);
        }
        let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";
        let row = self.readers.query_one_raw(Statement::from_sql_and_values(self.backend(), sql, [])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.map(Timestamp))
    }

    /// How many statements have been sent so far (`BEGIN` and `COMMIT` aside), for tests and metrics.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

/// Waits until PostgreSQL takes a connection, for `patience` at most. One that refuses the user or does
/// not have the database is not waited for.
async fn wait_for(url: &str, patience: Duration) -> std::result::Result<(), DbErr> {
    let mut pause = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    loop {
        let attempt = async { PgConnection::connect(url).await?.close().await };
        let error = match tokio::time::timeout(ATTEMPT, attempt).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => {
                waited += ATTEMPT;
                sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
            }
        };
        let answered = error.as_database_error().is_some_and(|error| !error.is_transient_in_connect_phase());
        if answered || waited >= patience {
            return Err(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        }
        let retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(0);
        tracing::warn!(%error, retry_in_ms, "the database does not answer yet");
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(Duration::from_secs(3));
    }
}

fn options(config: &Config, url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    let timeout = Duration::from_millis(config.database_statement_timeout_ms);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(5))
        .max_lifetime(Duration::from_secs(1800))
        .test_before_acquire(false)
        .sqlx_logging(false);
    if url.starts_with("sqlite:") {
        options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
        options.map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                // Shorter than `acquire_timeout`, so that a locked file is called that.
                .busy_timeout(Duration::from_secs(2))
                .pragma("trusted_schema", "OFF")
        });
    } else {
        options.statement_timeout(timeout);
    }
    options
}

fn count(connection: &mut DatabaseConnection, statements: &Arc<AtomicU64>) {
    let statements = Arc::clone(statements);
    connection.set_metric_callback(move |info| {
        statements.fetch_add(1, Ordering::Relaxed);
        tracing::trace!(sql = %info.statement.sql, failed = info.failed, "statement");
    });
}
