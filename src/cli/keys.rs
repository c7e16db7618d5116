//! Keys: making, listing, rotating and retiring them. Only numbers and fingerprints are ever shown.

use super::Failure;
use super::commands::{complain, say};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::keys::lease::Lease;
use crate::keys::rotate::{Progress, RotateError};
use crate::keys::{canary, file, retire, rotate, status};
use clap::Subcommand;
use std::io::{IsTerminal, Write};
use std::time::Duration;

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Keys {
    /// Print a new keyring; keep it in a file that only the server may read.
    Generate,
    /// List the keys of the ring: number, fingerprint, since when, whether current.
    List,
    /// Count the rows under each key, column by column.
    Status,
    /// Seal every row under the current key again, while the servers run. May be interrupted and
    /// started again at any time. Ends with 0 when no row is left under an older key.
    Rotate {
        /// First add a new key to the keyring's file and make it the current one.
        #[arg(long)]
        new: bool,
        /// Wait while another process rotates, instead of saying so and ending with 1.
        #[arg(long)]
        wait: bool,
    },
    /// Take a key out of the ring for good. Refused while anything stored needs it.
    Retire {
        /// The key's number.
        number: u32,
        /// Make the passwords that still need it unusable; their owners have to reset them.
        #[arg(long)]
        drop_passwords: bool,
    },
}

/// Prints a new keyring.
pub(super) fn generate() -> Result<(), Failure> {
    say(Keyring::generate().trim_end())
}

/// Runs `action`.
pub(super) async fn run(config: Config, action: Keys) -> Result<(), Failure> {
    let app = App::start(config, Clock::system()).await?;
    let origin = Origin { user_agent: Some("cli".to_owned()), ..Origin::default() };
    match action {
        Keys::Generate => generate(),
        Keys::List => list(&app).await,
        Keys::Status => show_status(&app).await,
        Keys::Rotate { new, wait } => rotate_all(&app, &origin, new, wait).await,
        Keys::Retire { number, drop_passwords } => {
            if drop_passwords && number != app.keyring.current() {
                let dropped = retire::drop_passwords(&app, &origin, number).await?;
                say(&format!("{dropped} password(s) made unusable"))?;
            }
            retire::retire(&app, &origin, number).await?;
            say(&format!("key {number} is out of the ring; keep it as long as backups need it"))
        }
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let canaries = canary::all(&app.db).await?;
    for number in app.keyring.numbers() {
        let canary = canaries.iter().find(|canary| canary.number == i64::from(number));
        let what = match canary {
            _ if number == app.keyring.current() => "current",
            Some(_) => "opens and verifies what was made under it",
            None => "not in use yet",
        };
        let since = canary.map_or_else(String::new, |canary| {
            format!("  since {}", crate::text::rfc3339(canary.first_used_at))
        });
        let print = app.keyring.fingerprint(number).unwrap_or_default();
        say(&format!("{number:>10}  {print}  {what}{since}"))?;
    }
    Ok(())
}

async fn show_status(app: &App) -> Result<(), Failure> {
    say(&format!("{:<28} {:>10} {:>12}", "column", "key", "rows"))?;
    for usage in status::usage(app).await? {
        let key = usage.key.map_or_else(|| "unreadable".to_owned(), |key| key.to_string());
        let note = match (usage.what.as_str(), usage.key == Some(app.keyring.current())) {
            (_, true) => "",
            ("users.password_hash", _) if usage.rows > 0 => "  moves at the next sign-in",
            _ if usage.kept && usage.rows > 0 => "  kept until retention archives the rows",
            _ if usage.rows > 0 => "  to be rotated",
            _ => "",
        };
        say(&format!("{:<28} {key:>10} {:>12}{note}", usage.what, usage.rows))?;
    }
    Ok(())
}

async fn rotate_all(app: &App, origin: &Origin, new: bool, wait: bool) -> Result<(), Failure> {
    let lease = loop {
        match rotate::lease(app).await {
            Ok(lease) => break lease,
            Err(error @ RotateError::Held { .. }) if wait => {
                complain(&format!("{error}; waiting"));
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let outcome = with_lease(app, origin, new, &lease).await;
    lease.release().await?;
    let done = outcome?;
    say(&format!(
        "every row is under key {}: {} sealed again, {} index(es) exchanged",
        app.keyring.current(),
        done.resealed,
        done.switched
    ))
}

async fn with_lease(app: &App, origin: &Origin, new: bool, lease: &Lease) -> Result<rotate::Done, Failure> {
    stage(app, origin, new, lease).await?;
    let mut bar = Bar::default();
    let outcome = rotate::run(app, origin, lease, |progress| bar.show(progress)).await;
    bar.end();
    Ok(outcome?)
}

/// Adds a key and makes it current, in two steps: every server has to be able to open what the others
/// seal before any of them seals under it.
async fn stage(app: &App, origin: &Origin, new: bool, lease: &Lease) -> Result<(), Failure> {
    let ring = &app.keyring;
    let newest = ring.numbers().last().copied().unwrap_or_default();
    let staged = newest > ring.current();
    if !new && !staged {
        return Ok(());
    }
    let Some(path) = file::path(&app.config) else {
        return Err("the keyring comes from PORTCULLIS_MASTER_KEY: add the key there (`portcullis keys generate` makes one), give it to every server, then run `portcullis keys rotate`".into());
    };
    let settle = Duration::from_secs(app.config.key_settle_seconds);
    if !staged {
        // Written as text twice so that the new key exists in the file before it is current.
        let with_new = Keyring::parse(&ring.with_new_key())?;
        let text = with_new.with_current(ring.current()).ok_or("the keyring changed meanwhile")?;
        file::write(&path, &text)?;
        ring.replace(&file::read(&path)?);
        let number = ring.numbers().last().copied().unwrap_or_default();
        app.audit.record(origin, vec![Event::success(Kind::KeyChange, "keys add").on("key", number)]).await?;
        complain(&format!("added key {number}; giving the servers {} s to take it up", settle.as_secs()));
        pause(lease, settle).await?;
    }
    let newest = ring.numbers().last().copied().unwrap_or_default();
    let text = ring.with_current(newest).ok_or("the keyring changed meanwhile")?;
    let next = Keyring::parse(&text)?;
    canary::admit(&app.db, &next, app.clock.now()).await?;
    file::write(&path, &text)?;
    ring.replace(&next);
    app.audit.record(origin, vec![Event::success(Kind::KeyChange, "keys use").on("key", newest)]).await?;
    complain(&format!("key {newest} is current; giving the servers {} s to take it up", settle.as_secs()));
    pause(lease, settle).await
}

/// Waits, holding on to the lease.
async fn pause(lease: &Lease, mut left: Duration) -> Result<(), Failure> {
    while !left.is_zero() {
        let step = left.min(Duration::from_secs(5));
        tokio::time::sleep(step).await;
        left -= step;
        if !lease.renew(0, 0).await? {
            return Err(RotateError::Lost.into());
        }
    }
    Ok(())
}

/// A progress bar on standard error; without a terminal, a line for every tenth.
#[derive(Default)]
struct Bar {
    tenths: Option<u64>,
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        let mut out = std::io::stderr().lock();
        let Progress { what, done, total } = progress;
        let tenths = (done * 10).checked_div(total).unwrap_or(10);
        if out.is_terminal() {
            let full = usize::try_from((done * 40).checked_div(total).unwrap_or(40)).unwrap_or(40);
            let _ =
                write!(out, "\r[{}{}] {done}/{total} {what:<16}", "#".repeat(full), ".".repeat(40 - full));
            let _ = out.flush();
        } else if self.tenths != Some(tenths) {
            let _ = writeln!(out, "portcullis: {done} of {total} rows ({what})");
        }
        self.tenths = Some(tenths);
    }

    fn end(&self) {
        if self.tenths.is_some() && std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr().lock());
        }
    }
}
