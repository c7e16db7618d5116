//! Second factors: an authenticator app (TOTP) and backup codes.
//!
//! - [`code`]: checking a code and using it up, once.
//! - [`enroll`]: adding an app; nothing is on until a first code proves that it has the secret.
//! - [`login`]: the second step of signing in.
//! - [`step_up`]: proving again who one is.
//! - [`manage`]: removing the factor, replacing backup codes, the administrator's reset.
//! - [`graphql`]: the guarded fields.
//!
//! Every change ends the person's other sessions, is told to them by mail and is in the trail.

pub mod code;
pub mod enroll;
pub mod graphql;
pub mod login;
pub mod manage;
pub mod step_up;

use crate::accounts::find;
use crate::app::App;
use crate::audit::Tx;
use crate::error::Result;
use crate::mail::{self, Content, MfaChange};
use crate::sessions::end;
use entity::id::SessionId;
use entity::user::Model;
use secrecy::ExposeSecret;

/// What every change to a second factor brings along: other sessions end, the person is told.
async fn settle(
    app: &App,
    tx: &mut Tx,
    user: &Model,
    keep: Option<SessionId>,
    change: MfaChange,
) -> Result<u64> {
    tx.touch(user.id);
    let content = Content::MfaChanged { username: user.username.clone(), change };
    mail::post(app, tx.connection(), find::address(app, user)?.expose_secret(), content).await?;
    end::all_of(tx.connection(), user.id, keep).await
}
