//! Where the keyring is kept, and reading and writing it there.
//!
//! `master_key` holds it in the environment; `master_key_file` names a file; without either, it is
//! `master.key` in the data folder, which a development server makes on its first start. A file must
//! be its owner's alone (OWASP ASVS 13.3.2), and is only ever replaced whole.

use crate::app::{StartError, ensure_data_dir};
use crate::config::Config;
use crate::crypto::{Keyring, random};
use secrecy::ExposeSecret;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// The file that holds the keyring; `None` when it comes from the environment.
#[must_use]
pub fn path(config: &Config) -> Option<PathBuf> {
    if config.master_key.is_some() {
        return None;
    }
    Some(config.master_key_file.clone().unwrap_or_else(|| config.data_dir.join("master.key")))
}

/// The configured keyring; makes the development one if need be.
///
/// # Errors
/// What is wrong with it or its file.
pub fn open(config: &Config) -> Result<Keyring, StartError> {
    ensure_data_dir(config)?;
    if let Some(text) = &config.master_key {
        return Ok(Keyring::parse(text.expose_secret())?);
    }
    let path = path(config).unwrap_or_default();
    if config.master_key_file.is_none() && !path.exists() {
        write(&path, &Keyring::generate())?;
        tracing::warn!(path = %path.display(), "made a development master key; keep it, without it sealed data cannot be read");
    }
    read(&path)
}

/// The keyring in the file `path`.
///
/// # Errors
/// When others may read the file, it cannot be read, or it is no keyring.
pub fn read(path: &Path) -> Result<Keyring, StartError> {
    let wrap = |source| StartError::Folder { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(wrap)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StartError::KeyFileMode { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(wrap)?);
    Ok(Keyring::parse(&text)?)
}

/// Puts `text` in the file `path` in one step: whoever reads it sees the old ring or the new one,
/// whatever happens meanwhile.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), StartError> {
    let wrap = |source| StartError::Folder { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".master.key.{}", hex::encode(random::bytes::<8>())));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(wrap)
}

/// What tells one content of the file from another: its time, length and inode.
#[must_use]
pub fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// ASVS: 13.3.2
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        write(&path, &Keyring::generate()).unwrap();
        assert!(read(&path).is_ok());
        for mode in [0o604, 0o640, 0o644, 0o601, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(StartError::KeyFileMode { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        write(&path, &Keyring::generate()).unwrap();
        let before = stamp(&path).unwrap();
        let ring = read(&path).unwrap();
        write(&path, &ring.with_new_key()).unwrap();
        assert_eq!(read(&path).unwrap().numbers(), [1, 2]);
        assert_ne!(stamp(&path).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write(&dir.path().join("absent/ring"), "x").is_err());
    }

    #[test]
    fn a_truncated_or_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        for text in ["", "current=1\n", "1:AAAA\n"] {
            write(&path, text).unwrap();
            assert!(matches!(read(&path), Err(StartError::Keyring(_))), "{text:?}");
        }
    }
}
