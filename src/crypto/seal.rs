//! Sealing a column's value, opening it again, and the blind index that finds it.
//!
//! A sealed value is, in this order:
//!
//! ```text
//! format 1 byte | algorithm 1 byte | key number u32 big endian | nonce 12 bytes | ciphertext | tag 16 bytes
//! ```
//!
//! The cipher is AES-256-GCM-SIV (RFC 8452) under the column's subkey of the numbered master key. The
//! associated data are the header's first six bytes, the table, the column and the row's id, each framed
//! by its length: a value moved to another row, column or table does not open. What a sealed value tells
//! without the key is its length and its key number.
//!
//! A blind index is HMAC-SHA-256 of the normalised value under a subkey of its own. Equal values of one
//! column have equal indexes; nothing else can be learned from one.

use super::keyring::{Key, Keyring, Purpose, frame, hmac};
use super::random;
use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use entity::sealed::{BlindIndex, Sealed, SealedField};
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// The layout described above.
const FORMAT: u8 = 1;
/// AES-256-GCM-SIV.
const ALGORITHM: u8 = 1;
const HEADER: usize = 6;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Why a value did not open. One error for every cause, so that nobody learns which check failed:
/// a wrong or missing key, a changed bit, another row, a newer format, text that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened")]
pub struct OpenError {
    table: &'static str,
    column: &'static str,
}

impl OpenError {
    /// `table.column`, for the audit event; not for the client.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}

/// A column by its names; what [`SealedField`] says in types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// The table's name.
    pub table: &'static str,
    /// The column's name.
    pub column: &'static str,
}

impl Column {
    /// The column that `F` names.
    #[must_use]
    pub const fn of<F: SealedField>() -> Self {
        Self { table: F::TABLE, column: F::COLUMN }
    }

    fn seal_purpose(self) -> Purpose {
        Purpose::Seal { table: self.table, column: self.column }
    }

    fn associated_data(self, header: &[u8; HEADER], row: Uuid) -> Vec<u8> {
        frame(&[header, self.table.as_bytes(), self.column.as_bytes(), row.as_bytes()])
    }
}

impl Keyring {
    /// Seals text for one row of column `F`, under the current key.
    #[must_use]
    pub fn seal<F: SealedField>(&self, row: Uuid, plain: &str) -> Sealed<F> {
        self.seal_bytes(row, plain.as_bytes())
    }

    /// Seals bytes for one row of column `F`, under the current key.
    #[must_use]
    pub fn seal_bytes<F: SealedField>(&self, row: Uuid, plain: &[u8]) -> Sealed<F> {
        Sealed::from_bytes(self.seal_column(Column::of::<F>(), row, plain))
    }

    /// Opens text sealed for this row of column `F`.
    ///
    /// # Errors
    /// [`OpenError`], whatever the cause.
    pub fn open<F: SealedField>(&self, row: Uuid, sealed: &Sealed<F>) -> Result<SecretString, OpenError> {
        let mut bytes = self.open_bytes(row, sealed)?;
        String::from_utf8(std::mem::take(&mut *bytes)).map(SecretString::from).map_err(|error| {
            error.into_bytes().zeroize();
            OpenError { table: F::TABLE, column: F::COLUMN }
        })
    }

    /// Opens bytes sealed for this row of column `F`.
    ///
    /// # Errors
    /// [`OpenError`], whatever the cause.
    pub fn open_bytes<F: SealedField>(
        &self,
        row: Uuid,
        sealed: &Sealed<F>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open_column(Column::of::<F>(), row, sealed.as_bytes())
    }

    /// Seals a stored value again under the current key; `None` when it is there already.
    ///
    /// # Errors
    /// [`OpenError`] when the stored value does not open.
    pub fn reseal_column(
        &self,
        column: Column,
        row: Uuid,
        stored: &[u8],
    ) -> Result<Option<Vec<u8>>, OpenError> {
        if sealed_key_number(stored) == Some(self.current()) {
            return Ok(None);
        }
        let plain = self.open_column(column, row, stored)?;
        Ok(Some(self.seal_column(column, row, &plain)))
    }

    /// [`Keyring::seal_bytes`] for a column known by name only.
    #[must_use]
    pub fn seal_column(&self, column: Column, row: Uuid, plain: &[u8]) -> Vec<u8> {
        let ring = self.ring();
        let mut header = [FORMAT, ALGORITHM, 0, 0, 0, 0];
        header[2..].copy_from_slice(&ring.current().to_be_bytes());
        let nonce = random::bytes();
        let key = ring.current_subkey(column.seal_purpose());
        let body = encrypt(&key, &nonce, &column.associated_data(&header, row), plain);
        [&header[..], &nonce, &body].concat()
    }

    /// [`Keyring::open_bytes`] for a column known by name only.
    ///
    /// # Errors
    /// [`OpenError`], whatever the cause.
    pub fn open_column(
        &self,
        column: Column,
        row: Uuid,
        stored: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let open = || {
            let (header, rest) = stored.split_first_chunk::<HEADER>()?;
            let (nonce, body) = rest.split_first_chunk::<NONCE>()?;
            let key = self.ring().subkey(sealed_key_number(stored)?, column.seal_purpose())?;
            decrypt(&key, nonce, &column.associated_data(header, row), body)
        };
        open().ok_or(OpenError { table: column.table, column: column.column })
    }

    /// The blind index of a normalised value of column `F`, under the current key.
    ///
    /// The caller normalises (case, Unicode form, spaces): equal means equal in bytes here.
    #[must_use]
    pub fn blind_index<F: SealedField>(&self, normalised: &str) -> BlindIndex<F> {
        let key = self.ring().current_subkey(index_purpose::<F>());
        BlindIndex::from_bytes(hmac(&key, &[normalised.as_bytes()]).to_vec())
    }

    /// [`Keyring::blind_index`] for a column known by name only.
    #[must_use]
    pub fn index_column(&self, column: Column, normalised: &str) -> Vec<u8> {
        let purpose = Purpose::Index { table: column.table, column: column.column };
        hmac(&self.ring().current_subkey(purpose), &[normalised.as_bytes()]).to_vec()
    }

    /// The blind index under key `number`; `None` when the ring has no such key.
    #[must_use]
    pub fn blind_index_with<F: SealedField>(&self, number: u32, normalised: &str) -> Option<BlindIndex<F>> {
        let key = self.ring().subkey(number, index_purpose::<F>())?;
        Some(BlindIndex::from_bytes(hmac(&key, &[normalised.as_bytes()]).to_vec()))
    }

    /// The blind indexes under every key of the ring, the current key's first: for lookups while a
    /// rotation is under way and rows of both keys exist.
    #[must_use]
    pub fn blind_indexes<F: SealedField>(&self, normalised: &str) -> Vec<BlindIndex<F>> {
        let ring = self.ring();
        let mut numbers: Vec<u32> = ring.numbers().collect();
        numbers.sort_by_key(|number| *number != ring.current());
        let keys = numbers.into_iter().filter_map(|number| ring.subkey(number, index_purpose::<F>()));
        keys.map(|key| BlindIndex::from_bytes(hmac(&key, &[normalised.as_bytes()]).to_vec())).collect()
    }
}

fn index_purpose<F: SealedField>() -> Purpose {
    Purpose::Index { table: F::TABLE, column: F::COLUMN }
}

/// The key number in a sealed value's header; `None` for what this build cannot read.
#[must_use]
pub fn sealed_key_number(stored: &[u8]) -> Option<u32> {
    match stored.split_first_chunk::<HEADER>()?.0 {
        [FORMAT, ALGORITHM, number @ ..] => Some(u32::from_be_bytes(*number)),
        _ => None,
    }
}

/// AES-256-GCM-SIV: ciphertext and tag.
fn encrypt(key: &Key, nonce: &[u8; NONCE], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = Aes256GcmSiv::new((&**key).into());
    // The plaintext is copied once, into the buffer that becomes the ciphertext.
    let mut out = Vec::with_capacity(plain.len() + TAG);
    out.extend_from_slice(plain);
    let nonce: &Nonce = nonce.into();
    let Ok(tag) = cipher.encrypt_inout_detached(nonce, associated, InOutBuf::from(&mut out[..])) else {
        unreachable!("a column's value is shorter than the cipher's bound of 64 GiB")
    };
    out.extend_from_slice(&tag);
    out
}

/// AES-256-GCM-SIV: the plaintext, if ciphertext and tag are whole.
fn decrypt(key: &Key, nonce: &[u8; NONCE], associated: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (ciphertext, tag) = body.split_last_chunk::<TAG>()?;
    let cipher = Aes256GcmSiv::new((&**key).into());
    // Of exactly the right size: a buffer that grew or shrank would leave plaintext behind.
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    let (nonce, tag): (&Nonce, &Tag) = (nonce.into(), tag.into());
    cipher.decrypt_inout_detached(nonce, associated, InOutBuf::from(&mut plain[..]), tag).ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests;
