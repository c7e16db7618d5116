//! Opening a sealed column for an answer.

use super::context::RequestContext;
use crate::audit::{Event, Kind};
use crate::error::{Error, Result};
use entity::audit_event::Status;
use entity::sealed::{Sealed, SealedField};
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Opens `sealed` of the row `row`. A ciphertext that does not open fails this field alone and raises an
/// alert that names the place, never the content.
///
/// # Errors
/// `INTERNAL` when it does not open.
pub async fn open<F: SealedField>(
    request: &RequestContext,
    row: Uuid,
    sealed: Option<&Sealed<F>>,
) -> Result<Option<String>> {
    let Some(sealed) = sealed else { return Ok(None) };
    match request.app.keyring.open(row, sealed) {
        Ok(plain) => Ok(Some(plain.expose_secret().to_owned())),
        Err(error) => {
            let event = Event::success(Kind::SealBroken, format!("{}.{}", F::TABLE, F::COLUMN))
                .status(Status::Alert)
                .on(F::TABLE, row.as_simple());
            request.app.audit.record(&request.origin, vec![event]).await?;
            Err(Error::internal(error))
        }
    }
}
