//! Where events wait while the database is away: one file, a sealed line each, on the disk before the
//! answer leaves; put into the trail in order, each exactly once, when the database is back.
//!
//! The file is bounded (`audit_spool_max_mib`). When it is full, changes are refused until it has been
//! emptied, reads go on, and refusals are counted instead of written; the count becomes an event.

use crate::crypto::Keyring;
use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::audit_event::{Model, Status};
use entity::id::EventId;
use entity::sealed::{Sealed, SealedField};
use sea_orm::ActiveEnum;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// Marks a line of the spool.
#[derive(Debug)]
pub enum SpoolLine {}
impl SealedField for SpoolLine {
    const TABLE: &'static str = "audit_spool";
    const COLUMN: &'static str = "line";
}

/// The spool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    most: u64,
    keyring: Keyring,
    bytes: AtomicU64,
    full: AtomicBool,
    lost: AtomicU64,
}

/// How the spool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Empty.
    Empty,
    /// Events wait in it.
    Waiting,
    /// It takes no more.
    Full,
}

/// A row as it waits: what the table takes but for its place in a chain; ciphertexts stay sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: i64,
    event_type: String,
    action: Option<String>,
    status: String,
    actor: Option<Uuid>,
    session: Option<Uuid>,
    request: Option<String>,
    address: Option<String>,
    address_index: Option<String>,
    agent: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<String>,
    details: Option<String>,
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn decode(text: Option<String>) -> Option<Option<Vec<u8>>> {
    match text {
        None => Some(None),
        Some(text) => STANDARD.decode(text).ok().map(Some),
    }
}

fn line(keyring: &Keyring, row: &Model) -> String {
    let line = Line {
        at: row.at.0,
        event_type: row.event_type.clone(),
        action: row.action.clone(),
        status: row.status.to_value(),
        actor: row.actor_id.map(|id| id.uuid()),
        session: row.session_id.map(|id| id.uuid()),
        request: row.request_id.clone(),
        address: row.address.as_ref().map(|sealed| encode(sealed.as_bytes())),
        address_index: row.address_index.as_ref().map(|index| encode(index.as_bytes())),
        agent: row.user_agent.as_ref().map(|sealed| encode(sealed.as_bytes())),
        resource_type: row.resource_type.clone(),
        resource_id: row.resource_id.clone(),
        details: row.details.as_ref().map(|sealed| encode(sealed.as_bytes())),
    };
    let text = serde_json::to_vec(&line).unwrap_or_default();
    let sealed: Sealed<SpoolLine> = keyring.seal_bytes(row.id.uuid(), &text);
    format!("{} {}\n", row.id.uuid().as_simple(), encode(sealed.as_bytes()))
}

fn row(keyring: &Keyring, text: &str) -> Option<Model> {
    let (id, sealed) = text.split_once(' ')?;
    let id = Uuid::try_parse(id).ok()?;
    let sealed: Sealed<SpoolLine> = Sealed::from_bytes(STANDARD.decode(sealed).ok()?);
    let plain = keyring.open_bytes(id, &sealed).ok()?;
    let line: Line = serde_json::from_slice(&plain).ok()?;
    Some(Model {
        id: EventId(id),
        chain: Uuid::nil(),
        seq: 0,
        at: entity::time::Timestamp(line.at),
        event_type: line.event_type,
        action: line.action,
        status: Status::try_from_value(&line.status).ok()?,
        actor_id: line.actor.map(Into::into),
        session_id: line.session.map(Into::into),
        request_id: line.request,
        address: decode(line.address)?.map(Sealed::from_bytes),
        address_index: decode(line.address_index)?.map(entity::sealed::BlindIndex::from_bytes),
        user_agent: decode(line.agent)?.map(Sealed::from_bytes),
        resource_type: line.resource_type,
        resource_id: line.resource_id,
        details: decode(line.details)?.map(Sealed::from_bytes),
        mac: Vec::new(),
    })
}

impl Spool {
    /// The spool in `path`, of `most` bytes; what an earlier process left in it waits on.
    #[must_use]
    pub fn new(path: PathBuf, most: u64, keyring: Keyring) -> Self {
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        Self(Arc::new(Inner {
            path,
            most,
            keyring,
            bytes: AtomicU64::new(bytes),
            full: AtomicBool::new(bytes >= most),
            lost: AtomicU64::new(0),
        }))
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.0.full.load(Ordering::Relaxed) {
            Standing::Full
        } else if self.0.bytes.load(Ordering::Relaxed) > 0 {
            Standing::Waiting
        } else {
            Standing::Empty
        }
    }

    /// How it stands on the disk: other processes of this host, such as a command, write there as well.
    #[must_use]
    pub fn look(&self) -> Standing {
        let bytes = fs::metadata(&self.0.path).map_or(0, |found| found.len());
        self.0.bytes.store(bytes, Ordering::Relaxed);
        self.standing()
    }

    /// Puts `rows` on the disk, all or none; returns once they are there. Blocks.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the spool is full, unless all of them are refusals, which are counted;
    /// `INTERNAL` when the disk cannot.
    pub fn append(&self, rows: &[Model]) -> Result<()> {
        let text: String = rows.iter().map(|row| line(&self.0.keyring, row)).collect();
        // Once full it stays so until it is emptied: nothing slips in behind what was refused.
        let fits = !self.0.full.load(Ordering::Relaxed) && self.write(&text).map_err(Error::internal)?;
        if fits {
            return Ok(());
        }
        self.0.full.store(true, Ordering::Relaxed);
        if rows.iter().all(|row| row.status == Status::Denied) {
            self.0.lost.fetch_add(rows.len() as u64, Ordering::Relaxed);
            return Ok(());
        }
        Err(Error::Overloaded { retry_after: 5 })
    }

    /// Adds `text` if there is room.
    fn write(&self, text: &str) -> io::Result<bool> {
        let path = &self.0.path;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        // Until the file is closed: against other threads and other processes.
        file.lock()?;
        let bytes = file.metadata()?.len();
        if bytes + text.len() as u64 > self.0.most {
            return Ok(false);
        }
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line must not stand before the next one.
            let _ = file.set_len(bytes);
        }
        written?;
        if new && let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.0.bytes.store(bytes + text.len() as u64, Ordering::Relaxed);
        Ok(true)
    }

    /// The rows that wait, in order, and how many bytes they are. A line that was not finished (the process
    /// was killed, so nobody was answered) or that does not open is left out, and said. Blocks.
    ///
    /// # Errors
    /// When the disk cannot.
    pub fn read(&self) -> Result<(Vec<Model>, u64)> {
        let text = match fs::read(&self.0.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(error) => return Err(Error::internal(error)),
        };
        let mut rows = Vec::new();
        for (number, text) in String::from_utf8_lossy(&text).lines().enumerate() {
            match row(&self.0.keyring, text) {
                Some(row) => rows.push(row),
                None => tracing::error!(line = number + 1, "a line of the audit spool does not open"),
            }
        }
        Ok((rows, text.len() as u64))
    }

    /// Empties the spool once the `read` bytes of it are in the trail, unless more came meanwhile; returns
    /// whether it is empty and how many refusals were lost while it was full. Blocks.
    ///
    /// # Errors
    /// When the disk cannot.
    pub fn clear(&self, read: u64) -> Result<(bool, u64)> {
        match self.cut(read) {
            Ok(true) => {}
            Ok(false) => return Ok((false, 0)),
            Err(error) => return Err(Error::internal(error)),
        }
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.full.store(false, Ordering::Relaxed);
        Ok((true, self.0.lost.swap(0, Ordering::Relaxed)))
    }

    fn cut(&self, read: u64) -> io::Result<bool> {
        let file = match OpenOptions::new().write(true).open(&self.0.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(read == 0),
            Err(error) => return Err(error),
        };
        file.lock()?;
        if file.metadata()?.len() != read {
            return Ok(false);
        }
        file.set_len(0)?;
        file.sync_all()?;
        Ok(true)
    }
}
