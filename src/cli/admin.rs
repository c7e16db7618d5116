//! Administrators and accounts, managed from the machine itself. Audited with the agent `cli`.

use super::commands::{operator, say};
use super::{Failure, explain};
use crate::accounts::attempts;
use crate::accounts::find::{self, Filter};
use crate::accounts::register::{self, Registration};
use crate::admin::{self, By};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::page::Page;
use crate::text::rfc3339;
use clap::Subcommand;
use entity::id::UserId;
use entity::user::{Model, Role};
use secrecy::SecretString;
use serde_json::json;
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
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the administrators.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Lift the lock that failed sign-ins put on an account.
    Unlock {
        /// User name, e-mail address or id (`usr_…`).
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End all sessions of an account.
    RevokeSessions {
        /// User name, e-mail address or id (`usr_…`).
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `action`.
pub(super) async fn run(config: Config, action: Admin) -> Result<(), Failure> {
    match action {
        Admin::Create { username, email, password_stdin, json } => {
            let password = if password_stdin { from_stdin()? } else { from_prompt()? };
            let app = App::start(config, Clock::system()).await?;
            let registration = Registration { username, email, password, full_name: None };
            match register::create_admin(&app, &operator(), registration).await.map_err(explain)? {
                Some(id) if json => say(&json!({ "id": id.to_string() }).to_string()),
                Some(id) => say(&format!("made the administrator {id}")),
                None => Err("that user name or e-mail address is taken".into()),
            }
        }
        Admin::List { json } => {
            let app = App::start(config, Clock::system()).await?;
            list(&app, json).await
        }
        Admin::Unlock { user, json } => {
            let app = App::start(config, Clock::system()).await?;
            let user = named(&app, &user).await?;
            admin::unlock(&app, &operator(), By::Operator, user.id).await.map_err(explain)?;
            done(&user, json, "unlocked", true)
        }
        Admin::RevokeSessions { user, json } => {
            let app = App::start(config, Clock::system()).await?;
            let user = named(&app, &user).await?;
            let (user, ended) =
                admin::revoke_sessions(&app, &operator(), By::Operator, user.id).await.map_err(explain)?;
            done(&user, json, "sessions ended", ended)
        }
    }
}

fn done(user: &Model, json: bool, what: &str, value: impl Into<serde_json::Value>) -> Result<(), Failure> {
    let value = value.into();
    if json {
        return say(&json!({ "id": user.id.to_string(), "username": user.username, what: value }).to_string());
    }
    say(&format!("{} ({}): {what}: {value}", user.username, user.id))
}

async fn list(app: &App, json: bool) -> Result<(), Failure> {
    let filter = Filter { role: Some(Role::Admin), ..Filter::default() };
    let mut after = None;
    loop {
        let rows = find::list(app, &filter, Page { first: 100, after }).await?;
        for user in rows.iter().take(100) {
            let (active, mfa) = (user.is_active, user.mfa_enrolled_at.is_some());
            let locked = attempts::standing(app, app.db.reader(), user.id).await?.1.map(rfc3339);
            if json {
                say(&json!({
                    "id": user.id.to_string(), "username": user.username, "isActive": active,
                    "mfaEnabled": mfa, "lockedUntil": locked, "createdAt": rfc3339(user.created_at),
                })
                .to_string())?;
                continue;
            }
            let active = if active { "active" } else { "deactivated" };
            let mfa = if mfa { "second factor" } else { "no second factor" };
            let locked = locked.map_or_else(String::new, |until| format!(", locked until {until}"));
            say(&format!("{}  {}  {active}, {mfa}{locked}", user.id, user.username))?;
        }
        if rows.len() <= 100 {
            return Ok(());
        }
        after = rows.get(99).map(|user| user.id.uuid());
    }
}

/// The account that the person at the terminal names.
async fn named(app: &App, text: &str) -> Result<Model, Failure> {
    let found = match text.parse::<UserId>() {
        Ok(id) => find::by_id(app, id).await?,
        Err(_) => find::by_identifier(app, text).await?,
    };
    found.ok_or_else(|| format!("there is no account `{text}`").into())
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
