//! Rules for text that people write: bounded, normalised where it names something, no control characters.

use chrono::{DateTime, SecondsFormat, Utc};
use entity::time::Timestamp;
use unicode_normalization::UnicodeNormalization;

/// Whether `c` reorders or hides text: bidirectional controls, zero-width characters, byte-order mark.
#[must_use]
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{00ad}' | '\u{061c}'
        | '\u{180e}' | '\u{e0000}'..='\u{e007f}' | '\u{fff9}'..='\u{fffb}')
}

/// One line: no control character, no bidirectional override, at most `max` characters, NFC.
///
/// # Errors
/// What is wrong, as a phrase.
pub fn line(text: &str, min: usize, max: usize) -> Result<String, String> {
    let text: String = text.trim().nfc().collect();
    let length = text.chars().count();
    if length < min || length > max {
        return Err(format!("must have from {min} to {max} characters, has {length}"));
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    {
        return Err("must not contain control or text-direction characters".to_owned());
    }
    Ok(text)
}

/// Free text, kept exactly as given: line breaks and tabs allowed, no other control character.
///
/// # Errors
/// What is wrong, as a phrase.
pub fn body(text: &str, max: usize) -> Result<String, String> {
    let length = text.chars().count();
    if length > max {
        return Err(format!("must have at most {max} characters, has {length}"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err("must not contain control characters other than line breaks and tabs".to_owned());
    }
    Ok(text.to_owned())
}

/// The form that decides whether two names are the same: compatibility-composed and case-folded.
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// RFC 3339, UTC, milliseconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(time.0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// ASVS: 1.3.3, 2.2.1
    #[test]
    fn a_line_is_bounded_and_free_of_controls() {
        assert_eq!(line("  Ada ", 1, 3).unwrap(), "Ada");
        assert!(line("Ada!", 1, 3).is_err());
        assert!(line("", 1, 3).is_err());
        assert_eq!(line("e\u{301}", 1, 1).unwrap(), "é");
        for bad in ["a\0b", "a\nb", "a\rb", "a\u{1b}[31m", "a\u{202e}b", "a\u{7f}"] {
            assert!(line(bad, 1, 20).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_body_keeps_its_text_exactly() {
        let text = " a\r\n\tb <script>alert(1)</script> ";
        assert_eq!(body(text, 100).unwrap(), text);
        assert!(body("a\0", 100).is_err());
        assert!(body("aaa", 3).is_ok());
        assert!(body("aaaa", 3).is_err());
    }

    #[test]
    fn folding_makes_spellings_one() {
        assert_eq!(fold("ÅDA"), fold("a\u{30a}da"));
        assert_eq!(fold("Ａda"), "ada");
    }
}
