//! User names: public, unique without regard to case or Unicode form.

use crate::text;
use std::fmt;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// A valid user name: 3 to 32 letters, digits, `_`, `-` or `.`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

impl Username {
    /// As its owner spells it (NFC).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form that is unique.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for Username {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown: String = text.nfc().collect();
        if !(3..=32).contains(&shown.chars().count()) {
            return Err("must have from 3 to 32 characters");
        }
        if !shown.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err("may contain letters, digits, `_`, `-` and `.`");
        }
        if !shown.starts_with(char::is_alphanumeric) {
            return Err("must begin with a letter or digit");
        }
        let key = text::fold(&shown);
        Ok(Self { shown, key })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_length_has_its_limits() {
        assert!("ab".parse::<Username>().is_err());
        assert!("abc".parse::<Username>().is_ok());
        assert!("a".repeat(32).parse::<Username>().is_ok());
        assert!("a".repeat(33).parse::<Username>().is_err());
    }

    /// ASVS: 1.3.3, 2.2.1
    #[test]
    fn what_could_deceive_is_refused() {
        for bad in [
            "ad a",
            "ada@example.org",
            "ada\n",
            "ada\u{202e}",
            "ada\u{200b}",
            "ada\0",
            "<ada>",
            ".ada",
            "ada/b",
            "ada'--",
        ] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn case_and_unicode_form_do_not_make_another_name() {
        let a: Username = "Åda".parse().unwrap();
        let b: Username = "A\u{30a}DA".parse().unwrap();
        assert_eq!(a.key(), b.key());
        assert_eq!(a.as_str(), "Åda");
    }
}
