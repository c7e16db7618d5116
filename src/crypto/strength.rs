//! How strong a new password is, and why it is refused.
//!
//! NIST SP 800-63B-4 and ASVS 6.2: length, no common or guessable password, none built from words an
//! attacker knows from the account; no rules on kinds of characters. Lengths are counted in Unicode
//! characters after NFC. Guessability is estimated by zxcvbn, whose dictionaries hold the common passwords,
//! names and words: 10^8 guesses are asked for (its score 3), or 10^6 (score 2) beside a second factor.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zxcvbn::Score;

/// Fewest characters where the password is the only factor.
pub const MIN_LENGTH: usize = 15;
/// Fewest characters where a second factor is enrolled.
pub const MIN_LENGTH_WITH_MFA: usize = 8;
/// Most characters. Every one of them counts; the bound keeps the work of a request bounded.
pub const MAX_LENGTH: usize = 256;
/// Context words shorter than this are ignored: they turn up in honest passwords.
const MIN_WORD: usize = 4;

/// What an attacker knows about the account.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The account's user name.
    pub username: &'a str,
    /// The account's e-mail address.
    pub email: &'a str,
    /// The service's name, as shown to people.
    pub service: &'a str,
    /// Whether a second factor is enrolled.
    pub mfa: bool,
}

/// Refuses a weak password with every reason, in sentences for the person who chose it.
///
/// # Errors
/// At least one reason. The reasons never contain the password.
pub fn assess(password: &SecretString, context: &Context<'_>) -> Result<(), Vec<&'static str>> {
    let mut reasons = Vec::new();
    let plain = password.expose_secret();
    let length = plain.nfc().take(MAX_LENGTH + 1).count();
    if context.mfa && length < MIN_LENGTH_WITH_MFA {
        reasons.push("The password must have at least 8 characters.");
    } else if !context.mfa && length < MIN_LENGTH {
        reasons.push("The password must have at least 15 characters, or 8 with a second factor enrolled.");
    }
    if length > MAX_LENGTH {
        // Nothing else is computed for a password of unbounded length.
        return Err(vec!["The password must have at most 256 characters."]);
    }

    let (local, domain) = context.email.rsplit_once('@').unwrap_or((context.email, ""));
    let name = domain.rsplit_once('.').map_or(domain, |(name, _)| name);
    let folded = fold(plain);
    let squeezed = squeeze(&folded);
    let contains = |word: &str| {
        let word = fold(word);
        let bare = squeeze(&word);
        long_enough(&word) && folded.contains(word.as_str())
            || long_enough(&bare) && squeezed.contains(bare.as_str())
    };
    if contains(context.username) {
        reasons.push("The password must not contain your user name.");
    }
    if [context.email, local, domain, name].into_iter().any(contains) {
        reasons.push("The password must not contain your e-mail address or a part of it.");
    }
    if contains(context.service) {
        reasons.push("The password must not contain the name of this service.");
    }

    let inputs = [context.username, context.email, local, domain, name, context.service];
    // zxcvbn counts 10 guesses for a character it knows nothing about: eight random ones reach score two.
    let enough = if context.mfa { Score::Two } else { Score::Three };
    if zxcvbn::zxcvbn(plain, &inputs).score() < enough {
        reasons.push(
            "The password is too easy to guess: choose several uncommon words or a generated password.",
        );
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Case-folded NFKC, so that look-alike spellings of a known word compare equal.
fn fold(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfkc().flat_map(char::to_lowercase).collect())
}

/// Without spaces and punctuation: `ada.lovelace` is found in `Ada Lovelace`.
fn squeeze(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|c| c.is_alphanumeric()).collect())
}

fn long_enough(word: &str) -> bool {
    word.chars().nth(MIN_WORD - 1).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "violet-anchor 7 gravel moth";
    const CONTEXT: Context<'static> = Context {
        username: "ada.lovelace",
        email: "countess@analytical-engine.example",
        service: "Portcullis",
        mfa: false,
    };

    fn reasons(password: &str, mfa: bool) -> String {
        let context = Context { mfa, ..CONTEXT };
        assess(&SecretString::from(password), &context).err().unwrap_or_default().join(" ")
    }

    /// ASVS: 6.2.1, 6.2.9
    #[test]
    fn length_at_the_bounds() {
        let random = "xQ7vR2mK9pLw4ZtY";
        assert_eq!(reasons(&random[..15], false), "");
        assert!(reasons(&random[..14], false).contains("at least 15"));
        assert_eq!(reasons("xQ7v!2mK", true), "");
        assert!(reasons("xQ7v!2m", true).contains("at least 8"));
        let long: String = GOOD.chars().chain("qwzxk".chars().cycle()).take(256).collect();
        assert_eq!(reasons(&long, false), "");
        assert!(reasons(&format!("{long}z"), false).contains("at most 256"));
        assert!(reasons(&"x".repeat(1_000_000), false).contains("at most 256"));
        let emoji = "🔑🦊🌵🚲🎺🧂🪁🐙🍉🧊🪐🎲🦜🍄🧵";
        assert_eq!(emoji.chars().count(), 15);
        assert_eq!(reasons(emoji, false), "");
        assert!(reasons("", false).contains("at least 15"));
    }

    /// ASVS: 6.2.5
    #[test]
    fn no_kinds_of_characters_are_demanded() {
        assert_eq!(reasons("gravel moth violet anchor seven", false), "");
        assert_eq!(reasons("8261904735518246097", false), "");
        assert_eq!(reasons(GOOD, false), "");
    }

    /// ASVS: 6.2.4, 6.2.12
    #[test]
    fn common_and_guessable_passwords_are_refused() {
        for weak in [
            "password",
            "Password1!",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "abcdefghijklmnop",
            "qwertyuiopasdfgh",
            "1234567890123456",
            "letmeinletmeinletmein",
        ] {
            assert!(reasons(weak, true).contains("too easy to guess"), "{weak}");
            assert!(reasons(weak, false).contains("too easy to guess"), "{weak}");
        }
    }

    /// ASVS: 6.2.11
    #[test]
    fn context_words_are_refused_in_any_case_and_spelling() {
        for (password, what) in [
            ("violet ADA.Lovelace gravel moth", "user name"),
            ("violet adalovelace gravel moth", "user name"),
            ("violet a d a l o v e l a c e gravel", "user name"),
            ("violet ａｄａ.lovelace gravel moth", "user name"),
            ("gravel moth Countess violet 77", "e-mail"),
            ("gravel Analytical Engine violet 77", "e-mail"),
            ("gravel moth pOrTcUlLiS violet 77", "name of this service"),
        ] {
            assert!(reasons(password, false).contains(what), "{password}");
        }
        let short = Context { username: "mot", email: "a@b.example", service: "gra", mfa: false };
        assert_eq!(assess(&SecretString::from(GOOD), &short), Ok(()), "short words are let be");
        let bare = Context { username: "", email: "", service: "", mfa: false };
        assert_eq!(assess(&SecretString::from(GOOD), &bare), Ok(()));
    }

    #[test]
    fn all_reasons_are_given_at_once() {
        let given = assess(&SecretString::from("portcullis"), &CONTEXT).unwrap_err();
        assert_eq!(given.len(), 3, "{given:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_judged_without_panic(password: String, username: String, email: String) {
            let context = Context { username: &username, email: &email, service: "", mfa: true };
            let _ = assess(&SecretString::from(password), &context);
        }
    }
}
