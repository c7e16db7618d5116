//! Ids from clients: of the right kind, or refused before any query runs.

use crate::error::{Error, Result};
use async_graphql::ID;
use std::str::FromStr;

/// Parses the argument `field`.
///
/// # Errors
/// `BAD_USER_INPUT` naming the expected kind.
pub fn parse<T: FromStr<Err = entity::id::IdError>>(field: &'static str, id: &ID) -> Result<T> {
    id.parse().map_err(|error: entity::id::IdError| Error::field(field, error.to_string()))
}
