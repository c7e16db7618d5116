//! The trail's integrity while the server runs: bounded work for each request, the rest in turn.
//!
//! A rolling pass goes over the whole trail again and again, a slice for each request (and each minute in
//! the background). A small trail is verified whole each time; of a large one the answer says how far
//! the pass has come, and a break that was found stays found.

use super::verify::{Broken, Pass};
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::Result;
use entity::audit_event::Status;
use tokio::sync::Mutex;

/// Batches that one request may verify: 20 000 rows.
const STEPS: u32 = 20;

/// What is known of the trail.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whether nothing wrong was found.
    pub intact: bool,
    /// Events in the trail.
    pub events: u64,
    /// Events that the pass at hand has verified; as many as there are when it is complete.
    pub verified: u64,
    /// Hash over the ends of all chains, as in a checkpoint; hexadecimal.
    pub head: String,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// The rolling pass.
#[derive(Debug, Default)]
pub struct Integrity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pass: Pass,
    /// What an earlier pass found.
    broken: Option<Broken>,
    /// What has been recorded as an incident already.
    told: Option<Broken>,
}

impl Integrity {
    /// Goes on with the pass for a bounded number of rows and says what is known.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn check(&self, app: &App) -> Result<Report> {
        let mut state = self.0.lock().await;
        if state.pass.done || state.pass.broken.is_some() {
            state.pass = Pass::new();
        }
        let mut steps = 0;
        while steps < STEPS && state.pass.step(app).await? {
            steps += 1;
        }
        if state.pass.done || state.pass.broken.is_some() {
            // A whole pass replaces what an earlier one found.
            state.broken = state.pass.broken.clone();
        }
        let checkpoint = app.checkpoints.take(app).await?;
        let report = Report {
            intact: state.broken.is_none(),
            events: checkpoint.events(),
            verified: state.pass.events,
            head: hex::encode(checkpoint.root()),
            broken: state.broken.clone(),
        };
        if state.broken != state.told {
            state.told = state.broken.clone();
            if let Some(broken) = &state.broken {
                tell(app, broken).await?;
            }
        }
        Ok(report)
    }
}

/// Records the break, once, where everybody who watches the trail sees it.
async fn tell(app: &App, broken: &Broken) -> Result<()> {
    tracing::error!(%broken, "the audit trail does not verify");
    let event = Event::success(Kind::AuditBroken, "audit verify")
        .status(Status::Alert)
        .on("audit", broken.chain.as_simple())
        .details(serde_json::json!({ "seq": broken.seq, "what": broken.what }));
    app.audit.record(&Origin::default(), vec![event]).await
}
