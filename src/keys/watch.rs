//! Taking up a changed keyring without a restart: on SIGHUP, when the file changes, and when the
//! database turns out to be ahead.

use super::{canary, file, lease};
use crate::app::{App, StartError};
use crate::audit::{Event, Kind, Origin};
use entity::audit_event::Status;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the file is looked at.
pub const EVERY: Duration = Duration::from_secs(2);

/// Reads the ring from its file and, if it goes with the database, puts it in the place of the old one.
/// `false` when it is the same ring, or not from a file.
///
/// # Errors
/// Why it was refused; the old ring stays in use.
pub async fn reload(app: &App) -> Result<bool, StartError> {
    let Some(path) = file::path(&app.config) else { return Ok(false) };
    let ring = file::read(&path)?;
    let known = |ring: &crate::crypto::Keyring| {
        let prints: Vec<_> = ring.numbers().into_iter().map(|n| (n, ring.fingerprint(n))).collect();
        (prints, ring.current())
    };
    if known(&ring) == known(&app.keyring) {
        return Ok(false);
    }
    canary::admit(&app.db, &ring, app.clock.now()).await?;
    app.keyring.replace(&ring);
    app.identities.clear();
    tracing::info!(keys = ?app.keyring, "took up the changed keyring");
    Ok(true)
}

/// Watches until `stop` resolves. Whatever goes wrong is logged and audited; the server goes on with the
/// ring it has.
pub async fn watch(app: App, stop: impl Future<Output = ()>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let path = file::path(&app.config);
    let stamp = || path.as_deref().and_then(file::stamp);
    let mut seen = stamp();
    let mut every = tokio::time::interval(EVERY);
    tokio::pin!(stop);
    loop {
        let forced = tokio::select! {
            () = &mut stop => return,
            _ = hangup.recv() => true,
            () = app.reload_keys.notified() => true,
            _ = every.tick() => false,
        };
        let now = stamp();
        if forced || now != seen {
            let outcome = reload(&app).await;
            if !matches!(outcome, Err(StartError::Database(_))) {
                seen = now;
            }
            if let Err(error) = outcome {
                tracing::error!(%error, "the changed keyring is refused; the old one stays in use");
                let event = Event::success(Kind::KeyChange, "keys reload").status(Status::Alert);
                if let Err(error) = app.audit.record(&Origin::default(), vec![event]).await {
                    tracing::error!(%error, "the refusal could not be recorded");
                }
            }
        }
        if let Err(error) = publish(&app).await {
            tracing::debug!(%error, "the rotation's progress could not be read");
        }
    }
}

/// Shows a rotation's progress, whichever process runs it, in the metrics of this one.
async fn publish(app: &App) -> crate::error::Result<()> {
    let lease = lease::find(&app.db, super::rotate::LEASE).await?;
    let running = lease.as_ref().filter(|lease| lease.expires_at > app.clock.now());
    metrics::gauge!("portcullis_key_rotation_running").set(if running.is_some() { 1.0 } else { 0.0 });
    if let Some(lease) = lease {
        let number = |n: i64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        metrics::gauge!("portcullis_key_rotation_rows_done").set(number(lease.done));
        metrics::gauge!("portcullis_key_rotation_rows_total").set(number(lease.total));
    }
    Ok(())
}
