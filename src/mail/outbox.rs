//! Messages that wait. They are written on the connection of the transaction that causes them: if it is
//! rolled back there is no message, and if it commits the message is not lost.

use super::content::{Content, Request};
use crate::accounts::email::normalise;
use crate::app::App;
use crate::crypto::random;
use crate::error::{Error, Result};
use entity::id::MailId;
use entity::outbox::{ActiveModel, Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

/// Rows that are opened at once to find a recipient's.
const FORGET_BATCH: u64 = 200;

/// What the body of a row holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Body {
    /// To be written and sent.
    Letter(Content),
    /// To be looked into.
    Errand(Request),
}

async fn put(app: &App, db: &impl ConnectionTrait, to: &str, kind: &str, body: &Body) -> Result<()> {
    let now = app.clock.now();
    let id = random::uuid_v7(now);
    let body = serde_json::to_string(body).map_err(Error::internal)?;
    let row = ActiveModel {
        id: Set(MailId(id)),
        kind: Set(kind.to_owned()),
        recipient: Set(app.keyring.seal(id, to)),
        body: Set(app.keyring.seal(id, &body)),
        attempts: Set(0),
        created_at: Set(now),
        due_at: Set(now),
        failed_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Puts a message to the address `to` into the outbox.
///
/// # Errors
/// When the database cannot.
pub async fn post(app: &App, db: &impl ConnectionTrait, to: &str, content: Content) -> Result<()> {
    let kind = content.name();
    put(app, db, to, kind, &Body::Letter(content)).await
}

/// Puts an errand about the address `to` into the outbox.
///
/// # Errors
/// When the database cannot.
pub async fn ask(app: &App, db: &impl ConnectionTrait, to: &str, request: Request) -> Result<()> {
    put(app, db, to, "errand", &Body::Errand(request)).await
}

/// Removes what waits for the address `to`, or has failed to reach it. The outbox says no more of a
/// recipient than the key can tell, so every row is opened.
///
/// # Errors
/// When the database cannot.
pub async fn forget(app: &App, db: &impl ConnectionTrait, to: &str) -> Result<()> {
    let mut after = MailId(uuid::Uuid::nil());
    loop {
        #[expect(clippy::disallowed_methods, reason = "compares recipients, shows nothing")]
        let rows = Entity::find()
            .filter(Column::Id.gt(after))
            .order_by_asc(Column::Id)
            .limit(FORGET_BATCH)
            .all(db)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let theirs = rows.iter().filter(|row| {
            let recipient = app.keyring.open(row.id.uuid(), &row.recipient);
            recipient.is_ok_and(|recipient| normalise(recipient.expose_secret()) == normalise(to))
        });
        let theirs: Vec<MailId> = theirs.map(|row| row.id).collect();
        if !theirs.is_empty() {
            #[expect(clippy::disallowed_methods, reason = "to the one recipient")]
            Entity::delete_many().filter(Column::Id.is_in(theirs)).exec(db).await?;
        }
    }
}
