//! Looks at everything that a server needs and says what is wrong and how to put it right.

use super::Failure;
use super::commands::say;
use crate::app::App;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::verify;
use crate::clock::Clock;
use crate::config::{Config, Mode};
use crate::db::Db;
use crate::limits::charge::EpochKey;
use migration::{Migrator, MigratorTrait};
use secrecy::ExposeSecret;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Findings(Vec<(&'static str, State, String, &'static str)>);

impl Findings {
    fn ok(&mut self, part: &'static str, what: impl Into<String>) {
        self.0.push((part, State::Ok, what.into(), ""));
    }

    fn warn(&mut self, part: &'static str, what: impl Into<String>, fix: &'static str) {
        self.0.push((part, State::Warn, what.into(), fix));
    }

    fn fail(&mut self, part: &'static str, what: impl Into<String>, fix: &'static str) {
        self.0.push((part, State::Fail, what.into(), fix));
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        for (part, state, what, fix) in &self.0 {
            if json {
                let fix = Some(fix).filter(|fix| !fix.is_empty());
                say(&json!({ "part": part, "state": state.word(), "what": what, "fix": fix }).to_string())?;
                continue;
            }
            say(&format!("{:<4}  {part}: {what}", state.word()))?;
            if !fix.is_empty() {
                say(&format!("      fix: {fix}"))?;
            }
        }
        let failed = self.0.iter().filter(|(_, state, ..)| *state == State::Fail).count();
        if failed == 0 { Ok(()) } else { Err(format!("{failed} part(s) failed").into()) }
    }
}

/// Looks at everything. The configuration itself was read by then.
pub(super) async fn run(mut config: Config, json: bool) -> Result<(), Failure> {
    let mut found = Findings::default();
    found.ok("configuration", format!("{:?} mode, listening on {}", config.mode, config.listen));
    config.database_start_timeout_seconds = config.database_start_timeout_seconds.min(5);
    files(&config, &mut found);
    tls(&config, &mut found);
    mail(&config, &mut found).await;
    match Db::connect(&config).await {
        Err(error) => found.fail(
            "database",
            error.to_string(),
            "check `database_url`, that the database runs, and that this user may read and write it",
        ),
        Ok(db) => database(&config, db, &mut found).await,
    }
    found.print(json)
}

fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o777)
}

fn files(config: &Config, found: &mut Findings) {
    match mode_of(&config.data_dir) {
        None => found.warn(
            "data folder",
            format!("{} does not exist yet", config.data_dir.display()),
            "it is made at the first start",
        ),
        Some(mode) if mode & 0o077 != 0 => found.warn(
            "data folder",
            format!("{} may be entered by others (mode {mode:o})", config.data_dir.display()),
            "chmod 700 on the data folder",
        ),
        Some(_) => found.ok("data folder", config.data_dir.display().to_string()),
    }
    let open = |name: &str| mode_of(&config.data_dir.join(name)).filter(|mode| mode & 0o077 != 0);
    if let Some(mode) = open("master.key") {
        found.fail(
            "file modes",
            format!("master.key may be read by others (mode {mode:o})"),
            "chmod 600 on it",
        );
    }
    // Within a folder of mode 700 nobody else gets at the rest.
    let entered = mode_of(&config.data_dir).is_some_and(|mode| mode & 0o077 != 0);
    for name in ["portcullis.sqlite", "audit/spool.jsonl", "audit/events.jsonl"] {
        if let Some(mode) = open(name).filter(|_| entered) {
            found.warn(
                "file modes",
                format!("{name} may be read by others (mode {mode:o})"),
                "chmod 600 on it",
            );
        }
    }
}

fn tls(config: &Config, found: &mut Findings) {
    let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else {
        if config.mode == Mode::Production && config.trusted_proxies.0.is_empty() {
            let what = "neither a certificate nor a trusted proxy: browsers would speak plain HTTP";
            found.warn("TLS", what, "set `tls_certificate` and `tls_key`, or `trusted_proxies`");
        }
        return;
    };
    for path in [certificate, key] {
        if let Err(error) = std::fs::read(path) {
            found.fail(
                "TLS",
                format!("{}: {error}", path.display()),
                "make the file readable for the server",
            );
            return;
        }
    }
    found.ok("TLS", certificate.display().to_string());
}

async fn mail(config: &Config, found: &mut Findings) {
    let Some(url) = config.smtp_url.as_ref().map(ExposeSecret::expose_secret) else {
        let what = "no mail server: mail is written to the data folder";
        if config.mode == Mode::Production {
            found.warn("mail", what, "set `smtp_url`");
        } else {
            found.ok("mail", what);
        }
        return;
    };
    let secure = url.starts_with("smtps:");
    let host = url.rsplit(['@', '/']).find(|part| !part.is_empty()).unwrap_or_default();
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:{}", if secure { 465 } else { 25 })
    };
    let reached = tokio::time::timeout(Duration::from_secs(3), tokio::net::TcpStream::connect(&host)).await;
    match reached {
        Ok(Ok(_)) => found.ok("mail", format!("{host} answers")),
        _ => found.fail("mail", format!("{host} does not answer"), "check `smtp_url` and the way there"),
    }
}

async fn database(config: &Config, db: Db, found: &mut Findings) {
    found.ok("database", format!("{:?} answers", db.backend()));
    let there = match Migrator::get_applied_migrations(db.writer()).await {
        Ok(applied) => applied.len(),
        Err(_) => 0,
    };
    let known = Migrator::migrations().len();
    match there.cmp(&known) {
        std::cmp::Ordering::Equal => found.ok("migrations", format!("all {known} applied")),
        std::cmp::Ordering::Less => {
            let what = format!("{} of {known} not applied", known - there);
            found.warn("migrations", what, "portcullis migrate up (or start the server, which does it)");
            return;
        }
        std::cmp::Ordering::Greater => {
            found.fail("migrations", "the database was migrated by a newer build", "run the newer build");
            return;
        }
    }
    match db.time().await {
        Ok(Some(theirs)) => {
            let apart = (theirs.0 - Clock::system().now().0).abs();
            if apart > 5_000 {
                let what = format!("{} s apart from the database's", apart / 1000);
                found.warn("clock", what, "synchronise both with NTP: sessions and codes depend on it");
            } else {
                found.ok("clock", "agrees with the database's");
            }
        }
        Ok(None) => found.ok("clock", "the database uses this machine's"),
        Err(error) => found.warn("clock", error.to_string(), "see the database's log"),
    }
    let keyring = match crate::keys::file::open(config) {
        Ok(keyring) => keyring,
        Err(error) => {
            found.fail("keys", error.to_string(), "portcullis keys generate makes a keyring");
            return;
        }
    };
    let numbers = keyring.numbers();
    found.ok("keys", format!("{} in the ring, current is {}", numbers.len(), keyring.current()));
    match App::assemble(config.clone(), Clock::system(), db, keyring) {
        Ok(app) => running(&app, found).await,
        Err(error) => found.fail("application", error.to_string(), "see the message"),
    }
}

async fn running(app: &App, found: &mut Findings) {
    if app.config.redis_url.is_some() {
        let _ = app.limits.admit(&[], &[EpochKey::user(Uuid::nil())]).await;
        if app.limits.degraded() {
            let what = "does not answer: limits are kept in each process";
            found.fail("Redis", what, "check `redis_url` and that Redis runs");
        } else {
            found.ok("Redis", "answers");
        }
    }
    let note = std::fs::read_to_string(app.config.data_dir.join("audit/checkpoint")).ok();
    let checkpoint = match note.map(|text| Checkpoint::open(app, &text)) {
        Some(Err(error)) => {
            found.fail("audit checkpoint", error.to_string(), "compare with the copy that is kept elsewhere");
            None
        }
        Some(Ok(checkpoint)) => Some(checkpoint),
        None => None,
    };
    match verify::tail(app, checkpoint.as_ref()).await {
        Ok(None) => found.ok("audit trail", "the ends of the chains hold"),
        Ok(Some(broken)) => found.fail(
            "audit trail",
            broken.to_string(),
            "portcullis audit verify --checkpoint FILE, with a checkpoint from elsewhere; then find out who did it",
        ),
        Err(error) => found.fail("audit trail", error.to_string(), "see the database's log"),
    }
    if app.audit.standing() != crate::audit::spool::Standing::Empty {
        found.warn(
            "audit spool",
            "events wait in audit/spool.jsonl",
            "they are replayed when the server runs",
        );
    }
}
