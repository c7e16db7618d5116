//! The audit trail, from the machine itself.

use super::Failure;
use super::commands::{operator, say};
use crate::app::App;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::verify::Pass;
use crate::audit::{Event, Kind, export, heads};
use crate::clock::Clock;
use crate::config::Config;
use clap::{Subcommand, ValueEnum};
use entity::time::Timestamp;
use serde_json::json;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Verify every row of every chain. Ends with 0 if the trail is intact.
    Verify {
        /// Also hold the trail against this signed checkpoint: finds a cut-off end and an old backup.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write events, oldest first, to standard output or a file.
    Export {
        /// Not before: a time (RFC 3339) or how long ago, such as `7d`, `12h` or `30m`.
        #[arg(long)]
        since: String,
        /// Before this time (RFC 3339).
        #[arg(long)]
        until: Option<String>,
        /// The form.
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// A new file, instead of standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print a signed checkpoint of the trail as it is now.
    Checkpoint,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated, with a line of names; formulas are neutralised.
    Csv,
}

/// Runs `action`.
pub(super) async fn run(config: Config, action: Audit) -> Result<(), Failure> {
    let app = App::start(config, Clock::system()).await?;
    match action {
        Audit::Verify { checkpoint, json } => verify(&app, checkpoint, json).await,
        Audit::Export { since, until, format, output } => {
            let since = moment(&app, &since)?;
            let until = until.map(|text| moment(&app, &text)).transpose()?;
            write_events(&app, since, until, format, output).await
        }
        Audit::Checkpoint => {
            let text = app.checkpoints.take(&app).await?.sign(&app)?;
            std::io::stdout().lock().write_all(text.as_bytes()).map_err(Into::into)
        }
    }
}

async fn verify(app: &App, checkpoint: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let mut pass = match checkpoint {
        None => Pass::new(),
        Some(path) => {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let checkpoint =
                Checkpoint::open(app, &text).map_err(|error| format!("{}: {error}", path.display()))?;
            Pass::against(checkpoint)
        }
    };
    let ends = heads::from(app.db.reader(), Uuid::nil(), None).await?;
    let total: i64 = ends.iter().map(|head| head.seq).sum();
    let mut bar = Bar::new(u64::try_from(total).unwrap_or(0));
    while pass.step(app).await? {
        bar.show(pass.events);
    }
    bar.end();
    if json {
        let broken = pass.broken.as_ref().map(|broken| {
            json!({ "chain": broken.chain.as_simple().to_string(), "seq": broken.seq, "what": broken.what })
        });
        let report = json!({
            "intact": pass.broken.is_none(), "events": pass.events, "chains": pass.chains, "firstBroken": broken,
        });
        say(&report.to_string())?;
    }
    match pass.broken {
        Some(broken) => Err(format!("the audit trail is broken: {broken}").into()),
        None if json => Ok(()),
        None => say(&format!("the audit trail is intact: {} events in {} chains", pass.events, pass.chains)),
    }
}

/// A progress bar on standard error, where somebody looks at it.
struct Bar {
    total: u64,
    shown: Option<u64>,
}

impl Bar {
    fn new(total: u64) -> Self {
        Self { total: total.max(1), shown: std::io::stderr().is_terminal().then_some(u64::MAX) }
    }

    fn show(&mut self, done: u64) {
        let percent = (done * 100 / self.total).min(100);
        if self.shown.is_some_and(|shown| shown != percent) {
            self.shown = Some(percent);
            let filled = usize::try_from(percent / 4).unwrap_or(0);
            let _ = write!(std::io::stderr(), "\r[{:<25}] {percent:3} %  {done} events", "#".repeat(filled));
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r{:60}\r", "");
        }
    }
}

/// A time, or how long ago.
fn moment(app: &App, text: &str) -> Result<Timestamp, Failure> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp(time.timestamp_millis()));
    }
    let seconds = text.char_indices().last().and_then(|(at, unit)| {
        let number: i64 = text[..at].parse().ok().filter(|number| *number >= 0)?;
        let unit = match unit {
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        number.checked_mul(unit)
    });
    let seconds = seconds.ok_or_else(|| {
        format!("`{text}` is neither a time such as 2026-01-31T12:00:00Z nor an age such as 7d, 12h or 30m")
    })?;
    Ok(app.clock.now().plus_seconds(-seconds))
}

async fn write_events(
    app: &App,
    since: Timestamp,
    until: Option<Timestamp>,
    format: Format,
    output: Option<PathBuf>,
) -> Result<(), Failure> {
    let event = Event::success(Kind::Read, "audit export")
        .on("audit", "trail")
        .details(json!({ "since": since.0, "until": until.map(|until| until.0) }));
    app.audit.record(&operator(), vec![event]).await?;
    let sink: Box<dyn Write + Send> = match output {
        None => Box::new(std::io::stdout()),
        Some(path) => {
            use std::os::unix::fs::OpenOptionsExt;
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            Box::new(file.map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let mut sink = BufWriter::new(sink);
    if matches!(format, Format::Csv) {
        write!(sink, "{}\r\n", export::COLUMNS.join(","))?;
    }
    let mut after = None;
    loop {
        let rows = export::page(app, since, until, after).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        for row in &rows {
            match format {
                Format::Jsonl => writeln!(sink, "{}", export::json_line(&app.keyring, row))?,
                Format::Csv => write!(sink, "{}\r\n", export::csv_line(&app.keyring, row))?,
            }
        }
    }
    sink.flush().map_err(Into::into)
}
