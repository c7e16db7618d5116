//! The server's parts in detail, for operators: the management listener shows it.

use crate::app::App;
use crate::http::Readiness;
use serde_json::{Value, json};

/// Bytes in a page of memory, as Linux counts them on the machines we run on.
const PAGE: u64 = 4096;

/// Resident memory of this process in bytes, where the system tells.
fn memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE)
}

/// Each part with its latency, and what has degraded.
pub(super) async fn detailed(app: &App, ready: &Readiness) -> Value {
    let before = app.clock.monotonic();
    let database = app.db.ping().await.is_ok();
    let took = app.clock.monotonic().saturating_sub(before);
    let degraded = app.limits.degraded();
    json!({
        "status": if !ready.ready { "down" } else if degraded { "degraded" } else { "ok" },
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": app.clock.monotonic().as_secs(),
        "memoryBytes": memory(),
        "parts": ready.parts,
        "database": {
            "backend": format!("{:?}", app.db.backend()),
            "answers": database,
            "latencyMicros": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "statements": app.db.statements(),
        },
        "limits": { "degraded": degraded, "outages": app.limits.outages(), "roundTrips": app.limits.round_trips() },
        "hashing": { "free": app.hasher.available() },
        "keys": { "numbers": app.keyring.numbers(), "current": app.keyring.current() },
    })
}

/// Reads what is not counted as it happens into its gauges.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(super) fn gauges(app: &App) {
    metrics::gauge!("portcullis_memory_bytes").set(memory().unwrap_or(0) as f64);
    metrics::gauge!("portcullis_statements").set(app.db.statements() as f64);
    metrics::gauge!("portcullis_limit_store_degraded").set(f64::from(u8::from(app.limits.degraded())));
    metrics::gauge!("portcullis_limit_round_trips").set(app.limits.round_trips() as f64);
    metrics::gauge!("portcullis_hash_permits_free").set(app.hasher.available() as f64);
}
