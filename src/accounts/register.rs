//! Making accounts.

use super::email::EmailAddress;
use super::username::Username;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::crypto::{random, strength};
use crate::error::{Problems, Result};
use crate::keys::index;
use crate::mail;
use crate::text;
use entity::audit_event::Status;
use entity::id::UserId;
use entity::user::{ActiveModel, Entity, Role};
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};
use secrecy::SecretString;

/// What a person gives to register, unchecked.
#[derive(Debug)]
pub struct Registration {
    /// The wished name.
    pub username: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: SecretString,
    /// Their name, if they like.
    pub full_name: Option<String>,
}

/// A checked registration.
#[derive(Debug)]
struct Checked {
    username: Username,
    email: EmailAddress,
    password: SecretString,
    full_name: Option<String>,
}

/// Checks every field before refusing.
fn check(app: &App, registration: Registration) -> Result<Checked> {
    let mut problems = Problems::default();
    let username = problems.take("username", registration.username.parse::<Username>());
    let email = problems.take("email", registration.email.parse::<EmailAddress>());
    let full_name = match registration.full_name {
        Some(name) if !name.trim().is_empty() => {
            problems.take("fullName", text::line(&name, 1, 100)).map(Some)
        }
        _ => Some(None),
    };
    let context = strength::Context {
        username: username.as_ref().map_or("", Username::as_str),
        email: email.as_ref().map_or("", EmailAddress::as_str),
        service: &app.config.service_name,
        mfa: false,
    };
    if let Err(reasons) = strength::assess(&registration.password, &context) {
        for reason in reasons {
            problems.add("password", reason.to_string());
        }
    }
    match (username, email, full_name) {
        (Some(username), Some(email), Some(full_name)) => {
            problems.finish()?;
            Ok(Checked { username, email, password: registration.password, full_name })
        }
        _ => Err(problems.into_error()),
    }
}

/// Makes an account, unless its name or address is taken; which of the two the caller does not learn
/// from the answer, nor from the work done.
///
/// # Errors
/// `BAD_USER_INPUT` with every field's problems; `OVERLOADED` when the hash has to wait too long.
pub async fn register(app: &App, origin: &Origin, registration: Registration) -> Result<()> {
    insert(app, origin, registration, Role::User, "register").await.map(|_| ())
}

/// Makes an administrator, from the command line. `None` when the name or address is taken.
///
/// # Errors
/// As [`register`].
pub async fn create_admin(app: &App, origin: &Origin, registration: Registration) -> Result<Option<UserId>> {
    insert(app, origin, registration, Role::Admin, "admin create").await
}

async fn insert(
    app: &App,
    origin: &Origin,
    registration: Registration,
    role: Role,
    action: &str,
) -> Result<Option<UserId>> {
    let checked = check(app, registration)?;
    let password_hash = app.hasher.hash(checked.password).await?;
    let now = app.clock.now();
    let id = random::uuid_v7(now);
    let by_operator = role == Role::Admin;
    let tx = app.audit.begin().await?;
    let indexes = index::for_writing(app, tx.connection(), checked.email.normalised()).await?;
    let row = ActiveModel {
        id: Set(UserId(id)),
        username: Set(checked.username.as_str().to_owned()),
        username_key: Set(checked.username.key().to_owned()),
        email: Set(app.keyring.seal(id, checked.email.as_str())),
        email_index: Set(indexes.index),
        email_index_next: Set(Some(indexes.next)),
        email_verified_at: Set(by_operator.then_some(now)),
        full_name: Set(checked.full_name.map(|name| app.keyring.seal(id, &name))),
        phone: Set(None),
        password_hash: Set(password_hash),
        password_needs_mfa: Set(false),
        role: Set(role),
        is_active: Set(true),
        mfa_enrolled_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let inserted = Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.connection())
        .await?;
    if !by_operator {
        // The same errand whatever came of it: the worker finds out whom to write what.
        let request = mail::Request::Registered { user: id, username: checked.username.as_str().to_owned() };
        mail::ask(app, tx.connection(), checked.email.as_str(), request).await?;
    }
    let event = Event::success(Kind::UserCreated, action);
    if inserted == 0 {
        let event = event.status(Status::Failure).details(serde_json::json!({ "reason": "taken" }));
        tx.commit(origin, event).await?;
        return Ok(None);
    }
    let id = UserId(id);
    tx.commit(origin, event.by(origin.actor.unwrap_or(id)).on("user", id)).await?;
    Ok(Some(id))
}
