//! A limit, what it says when it is passed, and shadow mode.
//!
//! Every limit of a document or a request is a [`Limit`]: a largest allowed value and a mode. In
//! [`Mode::Enforce`] the first value past it refuses the request; in [`Mode::Report`] the
//! [`Violation`] is put on a list for logs and metrics and the request goes on.

use std::fmt;

/// The codes a refused document answers with, as `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationCode {
    /// Too much nesting of brackets, selections, fragments or introspection lists.
    QueryTooDeep,
    /// Too many fields after expansion, too many repetitions, a fragment cycle, or too high a cost.
    QueryTooComplex,
    /// Too many aliases.
    QueryTooManyAliases,
    /// Too many fields at the root, each of which is an execution.
    QueryTooManyRootFields,
    /// Too many directives.
    QueryTooManyDirectives,
    /// Too many bytes, tokens, values or definitions.
    QueryTooLarge,
    /// Too many operations in one request.
    BatchTooLarge,
}

impl ViolationCode {
    /// The code as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueryTooDeep => "QUERY_TOO_DEEP",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::QueryTooManyAliases => "QUERY_TOO_MANY_ALIASES",
            Self::QueryTooManyRootFields => "QUERY_TOO_MANY_ROOT_FIELDS",
            Self::QueryTooManyDirectives => "QUERY_TOO_MANY_DIRECTIVES",
            Self::QueryTooLarge => "QUERY_TOO_LARGE",
            Self::BatchTooLarge => "BATCH_TOO_LARGE",
        }
    }
}

/// One limit passed. Its `Display` may be read by clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The code of the answer.
    pub code: ViolationCode,
    /// The limit's name, as in the configuration.
    pub limit: &'static str,
    /// The largest allowed value.
    pub allowed: u64,
    /// The value found. Where counting stops early this is the first value past the limit.
    pub found: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is at least {}; the limit is {}",
            self.limit.replace('_', " "),
            self.found,
            self.allowed
        )
    }
}

impl std::error::Error for Violation {}

/// Whether a limit refuses or only reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Past the limit the request is refused.
    #[default]
    Enforce,
    /// Past the limit the violation is collected and the request goes on (shadow mode).
    Report,
}

/// A largest allowed value and what to do past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The largest allowed value.
    pub max: u64,
    /// Refuse or report.
    pub mode: Mode,
}

impl Limit {
    /// An enforced limit.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        Self { max, mode: Mode::Enforce }
    }

    /// The same limit in shadow mode.
    #[must_use]
    pub const fn reported(self) -> Self {
        Self { max: self.max, mode: Mode::Report }
    }

    /// The value past which counting may stop at once: the limit itself when it is enforced.
    pub(super) const fn stop(self) -> u64 {
        match self.mode {
            Mode::Enforce => self.max,
            Mode::Report => u64::MAX,
        }
    }

    /// Compares `found` with the limit.
    ///
    /// # Errors
    /// A [`Violation`] when `found` is past an enforced limit; a reported one goes to `shadow`.
    pub fn check(
        self,
        code: ViolationCode,
        limit: &'static str,
        found: u64,
        shadow: &mut Vec<Violation>,
    ) -> Result<(), Violation> {
        if found <= self.max {
            return Ok(());
        }
        let violation = Violation { code, limit, allowed: self.max, found };
        match self.mode {
            Mode::Enforce => Err(violation),
            Mode::Report => {
                shadow.push(violation);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn at_the_limit_passes_and_one_past_it_does_not() {
        let mut shadow = Vec::new();
        let limit = Limit::new(3);
        assert!(limit.check(ViolationCode::QueryTooDeep, "depth", 3, &mut shadow).is_ok());
        let refused = limit.check(ViolationCode::QueryTooDeep, "root_fields", 4, &mut shadow).unwrap_err();
        assert_eq!(refused.to_string(), "root fields is at least 4; the limit is 3");
        assert!(shadow.is_empty());
        assert!(limit.reported().check(ViolationCode::QueryTooDeep, "depth", 4, &mut shadow).is_ok());
        assert_eq!(shadow.len(), 1);
    }
}
