//! How mail leaves: SMTP over TLS, or in development as `.eml` files in the data folder.

use super::letter::Letter;
use crate::config::Config;
use entity::id::MailId;
use entity::time::Timestamp;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;
use std::error::Error as StdError;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Why mail cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The sender is not an address.
    #[error("`mail_from` (PORTCULLIS_MAIL_FROM) must be `Name <address>`: {0}")]
    From(lettre::address::AddressError),
    /// The SMTP address is not one.
    #[error("`smtp_url` (PORTCULLIS_SMTP_URL) is not usable: {0}")]
    Url(lettre::transport::smtp::Error),
    /// Mail would travel in the clear.
    #[error(
        "`smtp_url` (PORTCULLIS_SMTP_URL) must begin with smtps://, or end with ?tls=required: without TLS only loopback is allowed"
    )]
    Clear,
    /// The message cannot be put together; it never will.
    #[error("the message is not valid: {0}")]
    Message(Box<dyn StdError + Send + Sync>),
    /// The server did not take it.
    #[error("the server did not take the message: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The file was not written.
    #[error("the message could not be written to {path}: {source}")]
    File {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl MailError {
    /// Whether another attempt cannot go better.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Message(_))
    }
}

#[derive(Debug)]
enum Way {
    Folder(PathBuf),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// Sends messages.
#[derive(Debug)]
pub struct Transport {
    from: Mailbox,
    way: Way,
}

/// Tells other mailers not to answer (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Whether `url` names this machine by a loopback address or as `localhost`.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host
        .strip_prefix('[')
        .and_then(|v6| v6.split(']').next())
        .unwrap_or_else(|| host.rsplit_once(':').map_or(host, |(host, _)| host));
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether mail to `url` is encrypted or does not leave the machine (OWASP ASVS 12.3.1).
fn is_protected(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    url.starts_with("smtps://") || query.split('&').any(|pair| pair == "tls=required") || is_loopback(url)
}

impl Transport {
    /// The way that the configuration says.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(config: &Config) -> Result<Self, MailError> {
        let from = config.mail_from.parse().map_err(MailError::From)?;
        let way = match config.smtp_url.as_ref().map(ExposeSecret::expose_secret) {
            None => Way::Folder(config.data_dir.join("mail")),
            Some(url) if !is_protected(url) => return Err(MailError::Clear),
            Some(url) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(MailError::Url)?;
                Way::Smtp(builder.timeout(Some(Duration::from_secs(20))).build())
            }
        };
        Ok(Self { from, way })
    }

    /// The folder, when mail is written there.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.way {
            Way::Folder(path) => Some(path),
            Way::Smtp(_) => None,
        }
    }

    /// Puts `letter` together. Every header is typed and encoded: no text can begin another.
    fn message(&self, id: MailId, at: Timestamp, to: &str, letter: Letter) -> Result<Message, MailError> {
        let wrong = |error: Box<dyn StdError + Send + Sync>| MailError::Message(error);
        let to: Address = to.parse().map_err(|error: lettre::address::AddressError| wrong(error.into()))?;
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .date(date)
            .message_id(Some(format!("<{}@{}>", id.uuid().as_simple(), self.from.email.domain())))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
            .map_err(|error| wrong(error.into()))
    }

    /// Sends `letter`; the id makes a repetition recognisable.
    ///
    /// # Errors
    /// [`MailError::is_final`] tells whether it makes sense to try again.
    pub async fn send(&self, id: MailId, at: Timestamp, to: &str, letter: Letter) -> Result<(), MailError> {
        let message = self.message(id, at, to, letter)?;
        match &self.way {
            Way::Smtp(smtp) => {
                smtp.send(message).await?;
            }
            Way::Folder(folder) => {
                let path = folder.join(format!("{}.eml", id.uuid().as_simple()));
                let (file, folder) = (path.clone(), folder.clone());
                let written =
                    tokio::task::spawn_blocking(move || write(&folder, &file, &message.formatted()));
                let written = written.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                written.map_err(|source| MailError::File { path: path.clone(), source })?;
                tracing::info!(path = %path.display(), "mail is not sent but written to a file");
            }
        }
        Ok(())
    }
}

/// Writes a file that only its owner may read: it holds tokens.
fn write(folder: &Path, file: &Path, content: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    std::io::Write::write_all(&mut file, content)
}

#[cfg(test)]
mod tests;
