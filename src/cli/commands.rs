//! The small commands.

use super::{Failure, ListFormat, Migrate};
use crate::app;
use crate::audit::Origin;
use crate::config::{Config, SETTINGS, reference};
use crate::db::Db;
use clap::CommandFactory;
use migration::{Migrator, MigratorTrait};
use std::io::Write;

/// Writes `line` to standard output.
pub(super) fn say(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(Into::into)
}

/// Writes `line` to standard error; there is nowhere else to complain if that fails.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "portcullis: {line}");
}

/// Who acts when somebody with access to the machine does.
pub(super) fn operator() -> Origin {
    Origin { user_agent: Some("cli".to_owned()), ..Origin::default() }
}

/// Prints completions for `shell`.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "portcullis", &mut script);
    std::io::stdout().lock().write_all(&script).map_err(Into::into)
}

/// Prints the schema.
pub(super) fn schema() -> Result<(), Failure> {
    let (_, sdl) = crate::schema::build()?;
    say(sdl.trim_end())
}

/// Prints the table of settings.
pub(super) fn list_settings(format: Option<ListFormat>) -> Result<(), Failure> {
    match format {
        Some(ListFormat::Markdown) => return say(reference::markdown().trim_end()),
        Some(ListFormat::Env) => return say(reference::env_example().trim_end()),
        None => {}
    }
    for setting in SETTINGS {
        let secret = if setting.secret { " (secret; also as _FILE)" } else { "" };
        say(&format!(
            "{}{secret}\n    {} [default: {}]",
            setting.variable(),
            setting.doc.trim(),
            setting.default
        ))?;
    }
    Ok(())
}

/// Says that the configuration is good; whatever is wrong was said before.
pub(super) fn config_is_good(config: &Config) -> Result<(), Failure> {
    say(&format!("the configuration is good ({:?} mode, listening on {})", config.mode, config.listen))
}

/// Moves the tables.
pub(super) async fn migrate(config: &Config, step: Migrate) -> Result<(), Failure> {
    app::ensure_data_dir(config)?;
    let db = Db::connect(config).await?;
    match step {
        Migrate::Up => Migrator::up(db.writer(), None).await?,
        Migrate::Down => Migrator::down(db.writer(), Some(1)).await?,
        Migrate::Status => {}
    }
    let applied = Migrator::get_applied_migrations(db.writer()).await?;
    let applied: Vec<&str> = applied.iter().map(|migration| migration.name()).collect();
    for migration in Migrator::migrations() {
        let mark = if applied.contains(&migration.name()) { "applied" } else { "pending" };
        say(&format!("{mark}  {}", migration.name()))?;
    }
    Ok(())
}

/// One round of retention.
pub(super) async fn retention(config: Config) -> Result<(), Failure> {
    let app = app::App::start(config, crate::clock::Clock::system()).await?;
    match crate::retention::round(&app).await? {
        Some(removed) => say(&format!(
            "removed {} expired row(s), archived and removed {} audit event(s)",
            removed.expired, removed.audit
        )),
        None => Err("another process is at it".into()),
    }
}
