//! One page of a list that grows: how many rows, after which one.

use crate::error::{Error, Result};
use uuid::Uuid;

/// Rows in a page when the client does not say.
pub const DEFAULT: u32 = 20;
/// Rows in a page at most.
pub const MAX: u32 = 100;

/// A checked request for a page; keyset, so a page at depth costs what the first one costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    /// How many rows, 1 to [`MAX`].
    pub first: u32,
    /// After the row with this id.
    pub after: Option<Uuid>,
}

impl Page {
    /// Checks what a client asked for.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for anything but 1 to [`MAX`].
    pub fn new(first: Option<i32>, after: Option<Uuid>) -> Result<Self> {
        let first = match first {
            None => DEFAULT,
            Some(first) => u32::try_from(first)
                .ok()
                .filter(|first| (1..=MAX).contains(first))
                .ok_or_else(|| Error::field("first", format!("must be from 1 to {MAX}")))?,
        };
        Ok(Self { first, after })
    }

    /// Rows to fetch: one more than asked for tells whether there is a next page.
    #[must_use]
    pub fn limit(self) -> u64 {
        u64::from(self.first) + 1
    }
}
