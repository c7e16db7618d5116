//! What runs beside the requests: each job at its interval, until the server stops.

use crate::accounts::{attempts, letters, tickets};
use crate::app::App;
use crate::audit::checkpoint;
use crate::bus::Message;
use crate::defense::{bans, rules};
use crate::keys;
use crate::mail::worker;
use crate::retention;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Starts the jobs on the application's task tracker; they end when `stop` is cancelled.
pub fn start(app: &App, stop: &CancellationToken) {
    follow(app, stop);
    watch(app, stop);
    every(app, stop, Duration::from_secs(5), "rollup", |app| async move {
        app.rollup.step(&app, 20).await.map(|_| ())
    });
    every(
        app,
        stop,
        Duration::from_secs(1),
        "limit store",
        |app| async move { rules::limit_store(&app).await },
    );
    app.tasks.spawn(keys::watch::watch(app.clone(), stop.clone().cancelled_owned()));
    app.tasks.spawn(retention::worker(app.clone(), stop.clone().cancelled_owned()));
    every(app, stop, Duration::from_secs(1), "ban list", |app| async move { bans::refresh(&app).await });
    every(app, stop, Duration::from_secs(1), "audit spool", |app| async move { app.audit.replay().await });
    every(
        app,
        stop,
        Duration::from_secs(60),
        "checkpoint",
        |app| async move { checkpoint::write(&app).await },
    );
    every(app, stop, Duration::from_secs(60), "audit integrity", |app| async move {
        app.integrity.check(&app).await.map(|_| ())
    });
    worker::announce(app);
    every(app, stop, Duration::from_secs(1), "mail", |app| async move {
        worker::deliver_due(&app, letters::resolve).await.map(|_| ())
    });
    every(app, stop, Duration::from_secs(3600), "expired tickets and attempts", |app| async move {
        tickets::purge(&app).await?;
        attempts::purge(&app).await.map(|_| ())
    });
}

/// Runs `job` now and then at each `interval`; a failure is logged and the job goes on.
fn every<F>(
    app: &App,
    stop: &CancellationToken,
    interval: Duration,
    name: &'static str,
    job: impl Fn(App) -> F + Send + 'static,
) where
    F: Future<Output = crate::error::Result<()>> + Send,
{
    let (worker, stop) = (app.clone(), stop.clone());
    app.tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = job(worker.clone()).await {
                tracing::warn!(%error, job = name, "a background job failed; it will be tried again");
            }
        }
    });
}

/// Does at once what another replica's message asks for; the jobs above make good what gets lost.
fn follow(app: &App, stop: &CancellationToken) {
    let (worker, stop) = (app.clone(), stop.clone());
    let mut messages = app.bus.subscribe();
    app.tasks.spawn(async move {
        while let Some(message) = stop.run_until_cancelled(messages.recv()).await {
            match message {
                Ok(Message::BansChanged) => {
                    if let Err(error) = bans::refresh(&worker).await {
                        tracing::warn!(%error, "the ban list could not be reloaded");
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    });
}

/// Has the rules look at each failure, refusal and alert once it is recorded.
fn watch(app: &App, stop: &CancellationToken) {
    let (worker, stop) = (app.clone(), stop.clone());
    app.tasks.spawn(async move {
        while let Some(Some(row)) = stop.run_until_cancelled(worker.watch.next()).await {
            if let Err(error) = rules::look(&worker, &row).await {
                tracing::warn!(%error, "a rule could not look at an event");
            }
        }
    });
}
