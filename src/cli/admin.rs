//! Administrators, managed from the machine itself. Audited as the action says.

use super::{Failure, commands::say};
use crate::accounts::register::{self, Registration};
use crate::app::App;
use crate::audit::Origin;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use clap::Subcommand;
use secrecy::SecretString;
use std::io::Read;

#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Make an administrator. The password is asked for, or read from standard input.
    Create {
        /// Their user name.
        #[arg(long)]
        username: String,
        /// Their e-mail address.
        #[arg(long)]
        email: String,
        /// Read the password from standard input (one line) instead of asking.
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Runs `action`.
pub(super) async fn run(config: Config, action: Admin) -> Result<(), Failure> {
    let Admin::Create { username, email, password_stdin } = action;
    let password = if password_stdin { from_stdin()? } else { from_prompt()? };
    let app = App::start(config, Clock::system()).await?;
    let registration = Registration { username, email, password, full_name: None };
    let origin = Origin { user_agent: Some("cli".to_owned()), ..Origin::default() };
    match register::create_admin(&app, &origin, registration).await {
        Ok(Some(id)) => say(&format!("made the administrator {id}")),
        Ok(None) => Err("that user name or e-mail address is taken".into()),
        Err(Error::BadUserInput(fields)) => {
            let lines: Vec<String> = fields
                .into_iter()
                .flat_map(|(field, reasons)| {
                    reasons.into_iter().map(move |reason| format!("{field}: {reason}"))
                })
                .collect();
            Err(lines.join("\n            ").into())
        }
        Err(error) => Err(error.into()),
    }
}

/// One line of standard input, 4 KiB at most.
fn from_stdin() -> Result<SecretString, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(4096).read_to_string(&mut text)?;
    Ok(SecretString::from(text.trim_end_matches(['\n', '\r'])))
}

/// Asked for twice, not shown.
fn from_prompt() -> Result<SecretString, Failure> {
    let first = rpassword::prompt_password("Password: ")?;
    let second = rpassword::prompt_password("Again: ")?;
    if first == second { Ok(SecretString::from(first)) } else { Err("the two passwords differ".into()) }
}
