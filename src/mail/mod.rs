//! Mail: written into the outbox in the transaction of its cause, sent by a worker.
//!
//! - [`content`]: what there is to say, as data.
//! - [`letter`]: the words, in text and HTML.
//! - [`outbox`]: waiting messages, sealed.
//! - [`transport`]: SMTP over TLS, or a folder in development.
//! - [`worker`]: sends what is due; an outage only delays it.

pub mod content;
pub mod letter;
pub mod outbox;
pub mod transport;
pub mod worker;

pub use content::{Content, MfaChange, Request};
pub use outbox::{ask, forget, post};
pub use transport::{MailError, Transport};
