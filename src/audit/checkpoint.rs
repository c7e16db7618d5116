//! Signed checkpoints: what the trail held at a time, to be kept where an intruder cannot reach it.
//!
//! A checkpoint is a C2SP signed note (`tlog-checkpoint`): origin, number of events, root hash; then, as
//! extension lines, the time, a digest of all closed chains and the end of each open one.
//!
//! ```text
//! Portcullis/audit
//! 1234
//! <root: base64 of SHA-256 over the lines below>
//! time 2026-01-31T12:00:00.000Z
//! closed <id that all of them are below> <chains> <events> <digest of their ends, base64>
//! open <chain> <seq> <MAC, base64>
//!
//! — Portcullis/audit <signature>
//! ```

use super::chain::Head;
use super::{archive, heads};
use crate::app::App;
use crate::crypto::checkpoint as note;
use crate::crypto::digest::digest;
use crate::error::{Error, Result};
use crate::text::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::time::Timestamp;
use tokio::sync::Mutex;
use uuid::Uuid;

/// The ends of closed chains, in order of their ids, folded into one digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fold {
    /// How many chains.
    pub chains: u64,
    /// How many rows they have.
    pub events: u64,
    /// Digest over the digest before and the chain's end.
    pub digest: [u8; 32],
}

impl Fold {
    /// Adds the end of the next chain.
    pub fn add(&mut self, head: &Head) {
        self.chains += 1;
        self.events += u64::try_from(head.seq).unwrap_or(0);
        self.digest = digest(&[
            b"audit-fold/1",
            &self.digest,
            head.chain.as_bytes(),
            &head.seq.to_be_bytes(),
            &head.mac,
        ]);
    }
}

/// What the trail held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// When it was looked at.
    pub at: Timestamp,
    /// Chains below this id are closed.
    pub boundary: Uuid,
    /// Their ends.
    pub closed: Fold,
    /// The ends of the others, in order of their ids.
    pub open: Vec<Head>,
}

/// Why a text is not a checkpoint of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The signature is missing or made by another key.
    #[error("the checkpoint is not signed by a key of this server's keyring")]
    Signature,
    /// It is signed, but does not say what a checkpoint says.
    #[error("the text is signed but is not a checkpoint of the audit trail")]
    Form,
}

impl Checkpoint {
    /// How many events.
    #[must_use]
    pub fn events(&self) -> u64 {
        let open: i64 = self.open.iter().map(|head| head.seq).sum();
        self.closed.events + u64::try_from(open).unwrap_or(0)
    }

    /// The lines after the three that every checkpoint has.
    fn extension(&self) -> Vec<String> {
        let Fold { chains, events, digest } = &self.closed;
        let closed =
            format!("closed {} {chains} {events} {}", self.boundary.as_simple(), STANDARD.encode(digest));
        let mut lines = vec![format!("time {}", rfc3339(self.at)), closed];
        lines.extend(self.open.iter().map(|head| {
            format!("open {} {} {}", head.chain.as_simple(), head.seq, STANDARD.encode(&head.mac))
        }));
        lines
    }

    /// The hash over everything that the checkpoint says.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        digest(&[b"audit-checkpoint/1", self.extension().join("\n").as_bytes()])
    }

    fn note(&self, origin: String) -> note::Checkpoint {
        note::Checkpoint { origin, size: self.events(), head: self.root(), extension: self.extension() }
    }

    /// The signed note.
    ///
    /// # Errors
    /// None in practice: the origin is made to fit.
    pub fn sign(&self, app: &App) -> Result<String> {
        note::sign(&app.keyring, &self.note(origin(app))).map_err(Error::internal)
    }

    /// Reads a signed note of this server's.
    ///
    /// # Errors
    /// When it is not signed by this server or not a checkpoint.
    pub fn open(app: &App, text: &str) -> std::result::Result<Self, CheckpointError> {
        let origin = origin(app);
        let note = note::verify(&app.keyring, &origin, text).map_err(|_| CheckpointError::Signature)?;
        let checkpoint = Self::parse(&note.extension).ok_or(CheckpointError::Form)?;
        // Whatever was not understood would not come out again.
        if checkpoint.note(origin) == note { Ok(checkpoint) } else { Err(CheckpointError::Form) }
    }

    fn parse(extension: &[String]) -> Option<Self> {
        let mut lines = extension.iter();
        let at = lines.next()?.strip_prefix("time ")?;
        let at = Timestamp(chrono::DateTime::parse_from_rfc3339(at).ok()?.timestamp_millis());
        let mut words = lines.next()?.strip_prefix("closed ")?.split(' ');
        let boundary = Uuid::try_parse(words.next()?).ok()?;
        let closed = Fold {
            chains: words.next()?.parse().ok()?,
            events: words.next()?.parse().ok()?,
            digest: STANDARD.decode(words.next()?).ok()?.try_into().ok()?,
        };
        let open = lines
            .map(|line| {
                let mut words = line.strip_prefix("open ")?.split(' ');
                let chain = Uuid::try_parse(words.next()?).ok()?;
                let seq = words.next()?.parse().ok()?;
                let mac = STANDARD.decode(words.next()?).ok()?;
                Some(Head { chain, seq, mac })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self { at, boundary, closed, open })
    }
}

/// Who signs, as the note names it: the service's name in the characters a note allows.
fn origin(app: &App) -> String {
    let name: String = app
        .config
        .service_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    format!("{name}/audit")
}

/// Makes checkpoints; remembers the closed chains, whose ends do not change.
#[derive(Debug, Default)]
pub struct Checkpoints(Mutex<(Uuid, Fold)>);

impl Checkpoints {
    /// What the trail holds now: a statement or two for each open chain, and for each chain that closed
    /// since the last call.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn take(&self, app: &App) -> Result<Checkpoint> {
        let at = app.clock.now();
        let boundary = heads::boundary(at);
        let mut state = self.0.lock().await;
        let archived = archive::state(app.db.reader()).await?;
        if archived.through > state.0 {
            *state = (archived.through, archived.fold);
        }
        if boundary > state.0 {
            let mut fold = state.1.clone();
            for head in heads::from(app.db.reader(), state.0, Some(boundary)).await? {
                fold.add(&head);
            }
            *state = (boundary, fold);
        }
        let (boundary, closed) = state.clone();
        drop(state);
        let open = heads::from(app.db.reader(), boundary, None).await?;
        Ok(Checkpoint { at, boundary, closed, open })
    }
}

/// Writes a signed checkpoint to `audit/checkpoint` in the data folder, whole or not at all.
///
/// # Errors
/// When the database or the file system cannot.
pub async fn write(app: &App) -> Result<()> {
    let text = app.checkpoints.take(app).await?.sign(app)?;
    let folder = app.config.data_dir.join("audit");
    let write = async {
        tokio::fs::create_dir_all(&folder).await?;
        let draft = folder.join("checkpoint.new");
        tokio::fs::write(&draft, text).await?;
        tokio::fs::File::open(&draft).await?.sync_all().await?;
        tokio::fs::rename(&draft, folder.join("checkpoint")).await
    };
    write.await.map_err(|error: std::io::Error| Error::internal(error))
}
