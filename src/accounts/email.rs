//! E-mail addresses: parsed once, compared without regard to case or Unicode form.

use std::fmt;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// A valid address (RFC 5321 lengths, dot-atom local part, host name as domain). `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    shown: String,
    normalised: String,
}

impl EmailAddress {
    /// As given (NFC).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form that is unique and looked up.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

/// The form of any submitted text that is compared with stored addresses.
#[must_use]
pub fn normalise(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

fn is_local(local: &str) -> bool {
    let atom = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    (1..=64).contains(&local.len()) && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric()))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label)
        || domain.eq_ignore_ascii_case("localhost")
}

impl FromStr for EmailAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown: String = text.trim().nfc().collect();
        let valid = shown.len() <= 254
            && shown.rsplit_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
        if !valid {
            return Err("must be an e-mail address such as name@example.org");
        }
        let normalised = normalise(&shown);
        Ok(Self { shown, normalised })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ordinary_addresses_are_accepted() {
        for good in [
            "ada@example.org",
            "a.b+c@sub.example.co.uk",
            "Ünïcode@example.org",
            "o'brien@example.org",
            "root@localhost",
        ] {
            assert!(good.parse::<EmailAddress>().is_ok(), "{good}");
        }
        assert!(
            format!("{}@{}.{}.org", "a".repeat(64), "b".repeat(63), "c".repeat(63))
                .parse::<EmailAddress>()
                .is_ok()
        );
    }

    /// ASVS: 1.3.11, 2.2.1
    #[test]
    fn what_could_become_a_header_or_another_address_is_refused() {
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@@example.org",
            "a b@example.org",
            "ada@example.org\r\nBcc: x@y.z",
            "ada\r\n@example.org",
            "ada@exa mple.org",
            "a..b@example.org",
            ".a@example.org",
            "ada@-x.org",
            "ada@x-.org",
            "ada@x..org",
            "ada@org",
            "\"a b\"@example.org",
            "ada@[127.0.0.1]",
            "ada\0@example.org",
            "<ada@example.org>",
            "ada\u{202e}@example.org",
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad:?}");
        }
        assert!(format!("{}@example.org", "a".repeat(65)).parse::<EmailAddress>().is_err());
    }

    #[test]
    fn case_and_unicode_form_do_not_make_another_address() {
        let a: EmailAddress = "Ådá@Example.ORG".parse().unwrap();
        let b: EmailAddress = "a\u{30a}da\u{301}@example.org".parse().unwrap();
        assert_eq!(a.normalised(), b.normalised());
    }
}
