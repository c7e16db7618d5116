//! The words of a message, in plain text and HTML made from the same sentences.
//!
//! Whatever comes from outside (a user name, a token) is put in as text: escaped in HTML, free of control
//! characters in both. A token travels in the link's fragment, which browsers send to nobody.

use super::content::{Content, MfaChange};
use std::fmt::Write;

/// A message, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// The whole in plain text.
    pub text: String,
    /// The whole in HTML.
    pub html: String,
}

/// The sentences, before they are set.
struct Draft {
    subject: &'static str,
    paragraphs: Vec<String>,
    /// Label, path and token.
    link: Option<(&'static str, &'static str, String)>,
}

const NOT_YOU: &str =
    "If it was not you, somebody else knows your password: reset it at once and look through your sessions.";
const IGNORE: &str = "If it was not you, ignore this message: nothing changes without the link.";

fn draft(content: &Content, service: &str) -> Draft {
    let (subject, greeted, paragraphs, link): (_, _, Vec<String>, _) = match content {
        Content::VerifyAddress { username, token } => (
            "Confirm your e-mail address",
            username,
            vec![
                format!(
                    "You have an account at {service} now. Confirm that this address is yours; the link holds for an hour."
                ),
                IGNORE.to_owned(),
            ],
            Some(("Confirm the address", "verify-email", token.clone())),
        ),
        Content::AddressTaken { username } => (
            "You already have an account",
            username,
            vec![
                format!(
                    "Somebody, perhaps you, asked {service} for an account with this address. You have one already: sign in, or reset your password if you have forgotten it."
                ),
                "If it was not you, there is nothing to do: nobody was told that you have an account."
                    .to_owned(),
            ],
            None,
        ),
        Content::NameTaken { wished } => (
            "Choose another user name",
            wished,
            vec![
                format!(
                    "You asked {service} for an account under the name {wished}, which is taken. Register again with another name."
                ),
                "If it was not you, ignore this message.".to_owned(),
            ],
            None,
        ),
        Content::ResetPassword { username, token } => (
            "Reset your password",
            username,
            vec![
                format!(
                    "Somebody, perhaps you, asked {service} for a new password. The link holds for ten minutes and works once; it ends all your sessions."
                ),
                IGNORE.to_owned(),
            ],
            Some(("Choose a new password", "reset-password", token.clone())),
        ),
        Content::ConfirmAddress { username, token } => (
            "Confirm your new e-mail address",
            username,
            vec![
                format!("Your account at {service} is to move to this address. The link holds for an hour."),
                IGNORE.to_owned(),
            ],
            Some(("Confirm the address", "verify-email", token.clone())),
        ),
        Content::AddressChangeAsked { username } => (
            "Your e-mail address is about to change",
            username,
            vec![
                format!(
                    "Somebody who is signed in to your account at {service} asked to move it to another address. It moves once that address is confirmed."
                ),
                NOT_YOU.to_owned(),
            ],
            None,
        ),
        Content::AddressChanged { username } => (
            "Your e-mail address has changed",
            username,
            vec![
                format!(
                    "Your account at {service} has moved to another address; this one is no longer used."
                ),
                "If it was not you, tell the people who run the service at once.".to_owned(),
            ],
            None,
        ),
        Content::PasswordChanged { username } => (
            "Your password has changed",
            username,
            vec![
                format!(
                    "The password of your account at {service} has changed, and your other sessions have ended."
                ),
                NOT_YOU.to_owned(),
            ],
            None,
        ),
        Content::PasswordDisabled { username } => (
            "Your password has to be reset",
            username,
            vec![format!(
                "The password of your account at {service} no longer signs you in. Ask for a new one at the sign-in page."
            )],
            None,
        ),
        Content::MfaChanged { username, change } => (
            "Your second factor has changed",
            username,
            vec![
                format!(
                    "At {service}, {}",
                    match change {
                        MfaChange::Enrolled => "a second factor was added to your account.",
                        MfaChange::Disabled => "the second factor of your account was removed.",
                        MfaChange::Reset => "an administrator removed the second factor of your account.",
                        MfaChange::NewBackupCodes =>
                            "your backup codes were replaced; the old ones are void.",
                        MfaChange::BackupCodeUsed => "a backup code was used to sign in to your account.",
                    }
                ),
                NOT_YOU.to_owned(),
            ],
            None,
        ),
        Content::NewDevice { username, at_ms, address } => (
            "A new device signed in",
            username,
            vec![
                format!(
                    "Somebody signed in to your account at {service} from a device that had not done so before, on {}{}.",
                    chrono::DateTime::from_timestamp_millis(*at_ms)
                        .unwrap_or_default()
                        .format("%Y-%m-%d at %H:%M UTC"),
                    address
                        .as_ref()
                        .map(|address| format!(", from the address {address}"))
                        .unwrap_or_default()
                ),
                NOT_YOU.to_owned(),
            ],
            None,
        ),
    };
    let mut all = vec![format!("Hello {greeted},")];
    all.extend(paragraphs);
    Draft { subject, paragraphs: all, link }
}

/// `text` without control characters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !crate::text::is_invisible(*c)).collect()
}

/// `text` as HTML text or attribute value.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Writes `content` on behalf of `service`, with links to `public_url`.
#[must_use]
pub fn write(content: &Content, service: &str, public_url: &str) -> Letter {
    let draft = draft(content, service);
    let mut text = String::new();
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><body style=\"font-family:sans-serif;max-width:36em\">",
    );
    for paragraph in &draft.paragraphs {
        let _ = write!(text, "{}\n\n", plain(paragraph));
        let _ = write!(html, "<p>{}</p>", escape(paragraph));
    }
    if let Some((label, path, token)) = draft.link {
        let url = format!("{}/{path}#token={token}", public_url.trim_end_matches('/'));
        let (shown, url_html, token_html) = (plain(&url), escape(&url), escape(&token));
        let _ = write!(
            text,
            "{label}: {shown}\n\nOr give this code where you are asked for it:\n{}\n\n",
            plain(&token)
        );
        let _ = write!(
            html,
            "<p><a href=\"{url_html}\">{label}</a></p><p>Or give this code where you are asked for it:<br><code>{token_html}</code></p>"
        );
    }
    let _ = writeln!(text, "{}", plain(service));
    let _ = write!(html, "<p>{}</p></body></html>", escape(service));
    let subject = format!("{}: {}", plain(service), draft.subject);
    Letter { subject, text, html }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// ASVS: 1.2.1, 1.3.11
    #[test]
    fn names_are_text_in_every_form() {
        let content = Content::VerifyAddress {
            username: "<img src=x onerror=alert(1)>\r\nBcc: a@b.c\u{202e}".to_owned(),
            token: "pce_\"><script>".to_owned(),
        };
        let letter = write(&content, "A & B\r\nX: y", "https://app.example/");
        assert!(!letter.html.contains("<img") && !letter.html.contains("<script"));
        assert!(letter.html.contains("&lt;img src=x onerror=alert(1)&gt;Bcc: a@b.c,"));
        assert!(letter.html.contains("href=\"https://app.example/verify-email#token=pce_&quot;&gt;"));
        assert_eq!(letter.subject, "A & BX: y: Confirm your e-mail address");
        assert!(!letter.text.contains('\r') && !letter.text.contains('\u{202e}'));
    }

    /// ASVS: 14.2.1
    #[test]
    fn a_token_is_in_the_fragment_and_not_sent_to_any_server() {
        let content = Content::ResetPassword { username: "ada".to_owned(), token: "pce_t".to_owned() };
        let letter = write(&content, "Portcullis", "https://app.example");
        assert!(letter.text.contains("https://app.example/reset-password#token=pce_t"));
        assert!(!letter.text.contains('?') || !letter.text.contains("?token"));
        assert!(!letter.subject.contains("pce_"));
    }
}
