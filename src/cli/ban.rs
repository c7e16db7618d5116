//! The ban list, from the machine itself.

use super::Failure;
use super::commands::{operator, say};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::defense::bans::{self, NewBan};
use crate::page::Page;
use crate::text::rfc3339;
use clap::Subcommand;
use entity::ban::Model;
use entity::id::BanId;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Ban {
    /// List the bans in force, newest first.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Refuse all requests from an address or network; running servers follow within a second.
    Add {
        /// An address or a network (CIDR).
        address: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// For how many minutes [default: until it is lifted].
        #[arg(long, value_name = "MINUTES")]
        minutes: Option<u32>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lift a ban.
    Lift {
        /// The ban's id (`ban_…`).
        id: BanId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

fn line(ban: &Model, json: bool) -> String {
    let expires = ban.expires_at.map(rfc3339);
    if json {
        return json!({
            "id": ban.id.to_string(), "address": ban.address, "reason": ban.reason,
            "createdAt": rfc3339(ban.created_at), "expiresAt": expires,
        })
        .to_string();
    }
    let expires = expires.map_or_else(|| "until lifted".to_owned(), |at| format!("until {at}"));
    format!("{}  {}  {expires}  {}", ban.id, ban.address, ban.reason)
}

/// Runs `action`.
pub(super) async fn run(config: Config, action: Ban) -> Result<(), Failure> {
    let app = App::start(config, Clock::system()).await?;
    match action {
        Ban::List { json } => {
            let mut after = None;
            loop {
                let page = Page { first: 100, after };
                let rows = bans::list(&app, page).await?;
                for ban in rows.iter().take(100) {
                    say(&line(ban, json))?;
                }
                if rows.len() <= 100 {
                    return Ok(());
                }
                after = rows.get(99).map(|ban| ban.id.uuid());
            }
        }
        Ban::Add { address, reason, minutes, json } => {
            let expires_at = minutes.map(|minutes| app.clock.now().plus_seconds(i64::from(minutes) * 60));
            let new = NewBan { address, reason, expires_at };
            let ban = bans::add(&app, &operator(), None, new).await.map_err(super::explain)?;
            say(&line(&ban, json))
        }
        Ban::Lift { id, json } => {
            bans::lift(&app, &operator(), id).await.map_err(super::explain)?;
            if json {
                say(&json!({ "lifted": id.to_string() }).to_string())
            } else {
                say(&format!("lifted {id}"))
            }
        }
    }
}
