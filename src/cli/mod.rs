//! The commands. `portcullis help` lists them; each says what it does, what it needs and how it ends.

mod admin;
mod audit;
mod ban;
mod commands;
mod doctor;
mod health;
mod keys;
mod serve;

use crate::config::{Config, Sources};
use crate::error::Error;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A secure GraphQL backend.
///
/// Settings come from portcullis.toml and PORTCULLIS_* variables (see docs/configuration.md); without
/// any, a development server runs on SQLite in ./data.
#[derive(Debug, Parser)]
#[command(name = "portcullis", disable_version_flag = true)]
pub struct Cli {
    /// Configuration file [default: portcullis.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default). Ends with 0 on Ctrl-C or SIGTERM, after finishing what is under way.
    Serve,
    /// Ask the running server on this machine whether it lives; for container health checks.
    Health,
    /// Bring the database's tables up to date, back, or show where they stand.
    Migrate {
        #[command(subcommand)]
        step: Migrate,
    },
    /// Manage administrators from the machine itself.
    Admin {
        #[command(subcommand)]
        action: admin::Admin,
    },
    /// Verify and export the audit trail.
    Audit {
        #[command(subcommand)]
        action: audit::Audit,
    },
    /// Manage the ban list.
    Ban {
        #[command(subcommand)]
        action: ban::Ban,
    },
    /// Look at everything that a server needs: configuration, database, migrations, Redis, keys, TLS, mail,
    /// clock, file modes, audit trail. Ends with 0 unless something fails.
    Doctor {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print shell completions, such as `portcullis completions bash > /etc/bash_completion.d/portcullis`.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the GraphQL schema (SDL).
    Schema,
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Remove what has run out, now: a round of what the server does in the background. As the tables'
    /// owner, where the service's role may not remove audit events.
    Retention,
    /// Make, list, rotate and retire keys.
    Keys {
        #[command(subcommand)]
        action: keys::Keys,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Migrate {
    /// Apply what is missing.
    Up,
    /// Undo the last step. Its tables are dropped with all they hold.
    Down,
    /// List the steps and whether each is applied.
    Status,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ConfigAction {
    /// Check every setting and say what is wrong, all at once. Ends with 0 if nothing is.
    Check,
    /// List every setting with its default and meaning.
    List {
        /// As the page docs/configuration.md, or as .env.example.
        #[arg(long, value_enum)]
        format: Option<ListFormat>,
    },
}

/// How to list settings.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ListFormat {
    Markdown,
    Env,
}

/// Runs the command line and returns the process's exit code: 0, or 1 with the reason on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Whatever stops a command; its `Display` is for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An error of the domain, in words for the terminal: each field with what is wrong.
fn explain(error: Error) -> Failure {
    let Error::BadUserInput(fields) = error else {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return format!("{error}{cause}").into();
    };
    let lines: Vec<String> = fields
        .into_iter()
        .flat_map(|(field, reasons)| reasons.into_iter().map(move |reason| format!("{field}: {reason}")))
        .collect();
    lines.join("\n            ").into()
}

fn run(cli: Cli) -> Result<(), Failure> {
    let command = cli.command.unwrap_or(Command::Serve);
    match command {
        Command::Schema => return commands::schema(),
        Command::Completions { shell } => return commands::completions(shell),
        Command::Config { action: ConfigAction::List { format } } => return commands::list_settings(format),
        Command::Keys { action: keys::Keys::Generate } => return keys::generate(),
        _ => {}
    }
    let config = Config::load(Sources::from_process(cli.config.as_deref()))?;
    crate::telemetry::start(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        match command {
            Command::Serve => serve::serve(config).await,
            Command::Health => health::check(&config),
            Command::Migrate { step } => commands::migrate(&config, step).await,
            Command::Admin { action } => admin::run(config, action).await,
            Command::Config { .. } => commands::config_is_good(&config),
            Command::Doctor { json } => doctor::run(config, json).await,
            Command::Audit { action } => audit::run(config, action).await,
            Command::Ban { action } => ban::run(config, action).await,
            Command::Retention => commands::retention(config).await,
            Command::Keys { action } => keys::run(config, action).await,
            Command::Schema | Command::Completions { .. } => Ok(()),
        }
    })
}
