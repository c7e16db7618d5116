//! Events as JSON lines the moment they are in the trail, for a collector: to standard output or to
//! `audit/events.jsonl` in the data folder, rotated by size.
//!
//! A thread of its own writes them. A collector that lags behind does not hold up requests: what does not
//! fit in the queue is left out, and a line says how many; the trail in the database has them all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that may wait to be written.
const QUEUE: usize = 8192;
/// Files kept besides the one that is written.
const KEPT: u32 = 9;

enum Job {
    Line(String),
    Flush(SyncSender<()>),
}

/// The log. Cheap to clone; without a destination it does nothing.
#[derive(Debug, Clone, Default)]
pub struct Log(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    sender: SyncSender<Job>,
    lost: AtomicU64,
}

/// Where lines go.
enum Sink {
    Stdout,
    File { path: PathBuf, file: File, bytes: u64, most: u64 },
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// `events.jsonl` becomes `events.jsonl.1`, that `.2`, and so on; the oldest goes.
fn rotate(path: &Path) -> io::Result<()> {
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    for number in (1..KEPT).rev() {
        if numbered(number).exists() {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
    }
    fs::rename(path, numbered(1))
}

impl Sink {
    fn write(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{line}"),
            Self::File { path, file, bytes, most } => {
                let length = line.len() as u64 + 1;
                if *bytes > 0 && *bytes + length > *most {
                    file.sync_data()?;
                    rotate(path)?;
                    (*file, *bytes) = open(path)?;
                }
                *bytes += length;
                file.write_all(format!("{line}\n").as_bytes())
            }
        }
    }
}

fn work(mut sink: Sink, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Line(line) => {
                if let Err(error) = sink.write(&line) {
                    tracing::error!(%error, "the audit log cannot be written; the trail has the event");
                }
            }
            Job::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

impl Log {
    fn start(sink: Sink) -> Self {
        let (sender, jobs) = sync_channel(QUEUE);
        std::thread::spawn(move || work(sink, &jobs));
        Self(Some(Arc::new(Queue { sender, lost: AtomicU64::new(0) })))
    }

    /// A log to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::start(Sink::Stdout)
    }

    /// A log to `path`, a new file each `most` bytes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn file(path: PathBuf, most: u64) -> io::Result<Self> {
        let (file, bytes) = open(&path)?;
        Ok(Self::start(Sink::File { path, file, bytes, most }))
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands over a line; never waits.
    pub fn send(&self, line: String) {
        let Some(queue) = &self.0 else { return };
        let lost = queue.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let gap = serde_json::json!({ "eventType": "audit_log_gap", "lost": lost }).to_string();
            if queue.sender.try_send(Job::Line(gap)).is_ok() {
                queue.lost.fetch_sub(lost, Ordering::Relaxed);
            }
        }
        if queue.sender.try_send(Job::Line(line)).is_err() {
            queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was handed over has been written. Blocks.
    pub fn flush(&self) {
        let Some(queue) = &self.0 else { return };
        let (done, finished) = sync_channel(1);
        if queue.sender.send(Job::Flush(done)).is_ok() {
            let _ = finished.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit/events.jsonl");
        let log = Log::file(path.clone(), 32).unwrap();
        for number in 0..100 {
            log.send(format!("{{\"line\":{number:04}}}"));
        }
        log.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"line\":0098}\n{\"line\":0099}\n");
        let mut names: Vec<String> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 10);
        assert_eq!(names[9], "events.jsonl.9");
    }
}
