//! Sends what is due, with growing pauses between attempts; runs on every replica.
//!
//! A row is claimed by moving its due time ahead in one conditional UPDATE, so that two workers do not
//! send it twice; if a worker dies with it, another finds it due a minute later.

#![allow(clippy::disallowed_methods, reason = "the worker handles everybody's mail")]

use super::Request;
use super::letter;
use super::outbox::Body;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Result};
use entity::audit_event::Status;
use entity::outbox::{Column, Entity, Model};
use entity::time::Timestamp;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::ExposeSecret;

/// Looks into an errand about an address: what makes messages out of it.
pub type Resolve = fn(App, String, Request) -> BoxFuture<'static, Result<()>>;

/// Messages taken up at once.
const BATCH: u64 = 20;
/// Seconds that a claimed message is left to its worker.
const LEASE: i64 = 60;
/// Attempts, over about two days, before a message is given up.
pub const MAX_ATTEMPTS: i32 = 50;

/// Seconds until the attempt after `attempts` failed ones: 15 s, 30 s, 1 min … 1 h.
#[must_use]
pub fn pause(attempts: i32) -> i64 {
    let doublings = attempts.clamp(1, 9) - 1;
    Ord::min(15 << doublings, 3600)
}

/// Sends every message that is due; returns how many went out or were looked into.
///
/// # Errors
/// When the database cannot. A message that cannot be sent is no error here.
pub async fn deliver_due(app: &App, resolve: Resolve) -> Result<usize> {
    let mut done = 0;
    loop {
        let due = Entity::find()
            .filter(Column::FailedAt.is_null())
            .filter(Column::DueAt.lte(app.clock.now()))
            .order_by_asc(Column::DueAt)
            .limit(BATCH)
            .all(app.db.reader())
            .await?;
        if due.is_empty() {
            return Ok(done);
        }
        for row in due {
            if claim(app, &row).await? {
                done += usize::from(deliver(app, resolve, row).await?);
            }
        }
    }
}

/// Takes the message for this worker.
async fn claim(app: &App, row: &Model) -> Result<bool> {
    let until = app.clock.now().plus_seconds(LEASE);
    let claimed = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(until))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Id.eq(row.id))
        .filter(Column::DueAt.eq(row.due_at))
        .filter(Column::Attempts.eq(row.attempts))
        .exec(app.db.writer())
        .await?;
    Ok(claimed.rows_affected == 1)
}

/// Sends a claimed message, or says when to try again.
async fn deliver(app: &App, resolve: Resolve, row: Model) -> Result<bool> {
    let attempts = row.attempts + 1;
    match attempt(app, resolve, &row).await {
        Ok(()) => {
            Entity::delete_by_id(row.id).exec(app.db.writer()).await?;
            Ok(true)
        }
        Err(failure) if failure.is_final || attempts >= MAX_ATTEMPTS => {
            give_up(app, &row, &failure).await?;
            Ok(false)
        }
        Err(failure) => {
            let again = app.clock.now().plus_seconds(pause(attempts));
            tracing::warn!(mail = %row.id, kind = row.kind, attempts, error = failure.message, "mail could not be sent; it is tried again");
            set(app, &row, Column::DueAt, again).await?;
            Ok(false)
        }
    }
}

async fn set(app: &App, row: &Model, column: Column, time: Timestamp) -> Result<()> {
    let update = Entity::update_many().col_expr(column, Expr::value(time)).filter(Column::Id.eq(row.id));
    update.exec(app.db.writer()).await?;
    Ok(())
}

/// Leaves the message where it is, for an operator to see, and says so in the trail.
async fn give_up(app: &App, row: &Model, failure: &Failure) -> Result<()> {
    tracing::error!(mail = %row.id, kind = row.kind, error = failure.message, "mail is given up");
    set(app, row, Column::FailedAt, app.clock.now()).await?;
    let event = Event::success(Kind::Degraded, "mail")
        .status(Status::Alert)
        .on("mail", row.id)
        .details(serde_json::json!({ "kind": row.kind, "attempts": row.attempts + 1 }));
    app.audit.record(&Origin::default(), vec![event]).await
}

/// Why a message did not go.
struct Failure {
    message: String,
    is_final: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self { message: cause.unwrap_or_else(|| error.to_string()), is_final: false }
    }
}

async fn attempt(app: &App, resolve: Resolve, row: &Model) -> std::result::Result<(), Failure> {
    let broken = |what: String| Failure { message: what, is_final: true };
    let open = |error: crate::crypto::OpenError| broken(error.to_string());
    let recipient = app.keyring.open(row.id.uuid(), &row.recipient).map_err(open)?;
    let body = app.keyring.open(row.id.uuid(), &row.body).map_err(open)?;
    let body: Body =
        serde_json::from_str(body.expose_secret()).map_err(|_| broken("unknown content".to_owned()))?;
    let to = recipient.expose_secret();
    match body {
        Body::Errand(request) => Ok(resolve(app.clone(), to.to_owned(), request).await?),
        Body::Letter(content) => {
            let letter = letter::write(&content, &app.config.service_name, &app.config.public_url);
            let sent = app.mail.send(row.id, row.created_at, to, letter).await;
            // A server's words may name the address, which is not for the log.
            sent.map_err(|error| Failure {
                message: error.to_string().replace(to, "…"),
                is_final: error.is_final(),
            })
        }
    }
}

/// Says where mail goes when it is not sent.
pub fn announce(app: &App) {
    if let Some(folder) = app.mail.folder() {
        tracing::warn!(folder = %folder.display(), "no `smtp_url` is set: mail is written to files and not sent");
    }
}
