//! Signed checkpoints of the audit trail, in the C2SP forms `tlog-checkpoint` and `signed-note`.
//!
//! ```text
//! example.org/audit
//! 1042
//! BASE64 of the 32-byte head
//!
//! — example.org/audit BASE64 of (4-byte key hash, Ed25519 signature)
//! ```
//!
//! A checkpoint kept off the host proves a later truncation: the trail must still hold that many events and
//! reach that head on the way. Whoever keeps them needs only the text of [`verifier_key`].

use super::keyring::{Keyring, Purpose};
use super::signing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use sha2::{Digest, Sha256};

/// Marks an Ed25519 key and its signatures (signed-note).
const ED25519: u8 = 1;
/// What a signature line starts with: an em dash and a space.
const DASH: &str = "\u{2014} ";
/// Longer notes are refused unread (bytes).
const MAX_LENGTH: usize = 1 << 20;

/// The state of the audit trail at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the trail; also the name of its key. Not empty, no white space, no `+`.
    pub origin: String,
    /// Number of events.
    pub size: u64,
    /// Hash of the trail's end or ends.
    pub head: [u8; 32],
    /// Extension lines: what else is signed. None is empty or has a line break.
    pub extension: Vec<String>,
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The origin cannot be written in a note.
    #[error("a checkpoint's origin must not be empty and has neither white space nor `+`")]
    Origin,
    /// The verifier key is not `NAME+HASH+BASE64` of an Ed25519 key.
    #[error("not a verifier key")]
    Key,
    /// The text is not a checkpoint in the one form that is written here.
    #[error("not a checkpoint")]
    Form,
    /// No signature by a known key of this origin, or a false one.
    #[error("the checkpoint is not signed by a known key")]
    Signature,
}

/// Signs a checkpoint under the current key.
///
/// # Errors
/// [`CheckpointError::Origin`]; [`CheckpointError::Form`] for an extension line that is none.
pub fn sign(keyring: &Keyring, checkpoint: &Checkpoint) -> Result<String, CheckpointError> {
    let name = valid_name(&checkpoint.origin)?;
    let mut text = format!("{name}\n{}\n{}\n", checkpoint.size, STANDARD.encode(checkpoint.head));
    for line in &checkpoint.extension {
        if line.is_empty() || line.contains('\n') {
            return Err(CheckpointError::Form);
        }
        text.push_str(line);
        text.push('\n');
    }
    let pair = signing::current_pair(&keyring.ring(), Purpose::CheckpointSigning);
    let hash = key_hash(name, pair.verifying_key().as_bytes());
    let signature = [&hash[..], &pair.sign(text.as_bytes()).to_bytes()].concat();
    Ok(format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signature)))
}

/// The checkpoint in `note`, signed for `origin` under any key of the ring.
///
/// # Errors
/// [`CheckpointError::Form`] or [`CheckpointError::Signature`].
pub fn verify(keyring: &Keyring, origin: &str, note: &str) -> Result<Checkpoint, CheckpointError> {
    let ring = keyring.ring();
    let pairs = ring.numbers().filter_map(|number| signing::pair(&ring, number, Purpose::CheckpointSigning));
    let keys: Vec<VerifyingKey> = pairs.map(|pair| pair.verifying_key()).collect();
    check(origin, &keys, note)
}

/// The checkpoint in `note`, signed by the key that `verifier` names. Needs no secret.
///
/// # Errors
/// [`CheckpointError`].
pub fn verify_with(verifier: &str, note: &str) -> Result<Checkpoint, CheckpointError> {
    let mut parts = verifier.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(CheckpointError::Key);
    };
    valid_name(name).map_err(|_| CheckpointError::Key)?;
    let bytes = STANDARD.decode(key).map_err(|_| CheckpointError::Key)?;
    let [ED25519, public @ ..] = &bytes[..] else { return Err(CheckpointError::Key) };
    let public = public.try_into().map_err(|_| CheckpointError::Key)?;
    if hash != hex::encode(key_hash(name, public)) {
        return Err(CheckpointError::Key);
    }
    let key = VerifyingKey::from_bytes(public).map_err(|_| CheckpointError::Key)?;
    check(name, &[key], note)
}

/// The public key of `number` for `origin` in signed-note's form `NAME+HASH+BASE64`; `None` when the ring
/// has no such key.
///
/// # Errors
/// [`CheckpointError::Origin`].
pub fn verifier_key(keyring: &Keyring, number: u32, origin: &str) -> Result<Option<String>, CheckpointError> {
    let name = valid_name(origin)?;
    let pair = signing::pair(&keyring.ring(), number, Purpose::CheckpointSigning);
    Ok(pair.map(|pair| {
        let public = pair.verifying_key().to_bytes();
        let hash = hex::encode(key_hash(name, &public));
        format!("{name}+{hash}+{}", STANDARD.encode([&[ED25519], &public[..]].concat()))
    }))
}

/// The first four bytes of SHA-256(name, newline, signature type, public key) (signed-note).
fn key_hash(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let digest =
        Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(public).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn valid_name(name: &str) -> Result<&str, CheckpointError> {
    let bad = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    if bad { Err(CheckpointError::Origin) } else { Ok(name) }
}

/// Signatures by unknown keys are ignored; one by a known key must be right, and one there must be.
fn check(origin: &str, keys: &[VerifyingKey], note: &str) -> Result<Checkpoint, CheckpointError> {
    if note.len() > MAX_LENGTH {
        return Err(CheckpointError::Form);
    }
    let (text, signatures) = note.rsplit_once("\n\n").ok_or(CheckpointError::Form)?;
    let text = format!("{text}\n");
    let lines = signatures.strip_suffix('\n').ok_or(CheckpointError::Form)?;
    let mut signed = false;
    for line in lines.split('\n') {
        let (name, signature) =
            line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or(CheckpointError::Form)?;
        valid_name(name).map_err(|_| CheckpointError::Form)?;
        let bytes = STANDARD.decode(signature).map_err(|_| CheckpointError::Form)?;
        let (hash, signature) = bytes.split_first_chunk::<4>().ok_or(CheckpointError::Form)?;
        let known = keys.iter().find(|key| key_hash(origin, key.as_bytes()) == *hash);
        let Some(key) = known.filter(|_| name == origin) else { continue };
        let signature = Signature::from_slice(signature).map_err(|_| CheckpointError::Signature)?;
        key.verify_strict(text.as_bytes(), &signature).map_err(|_| CheckpointError::Signature)?;
        signed = true;
    }
    if !signed {
        return Err(CheckpointError::Signature);
    }
    parse(&text).filter(|checkpoint| checkpoint.origin == origin).ok_or(CheckpointError::Form)
}

/// Three lines in their one spelling, and extension lines.
fn parse(text: &str) -> Option<Checkpoint> {
    let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
    let [origin, size, head, ref extension @ ..] = lines[..] else { return None };
    if extension.iter().any(|line| line.is_empty()) {
        return None;
    }
    let extension = extension.iter().map(|line| (*line).to_owned()).collect();
    let number: u64 = size.parse().ok()?;
    let head = STANDARD.decode(head).ok()?.try_into().ok()?;
    (number.to_string() == size).then(|| Checkpoint {
        origin: origin.to_owned(),
        size: number,
        head,
        extension,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "example.org/audit";

    fn ring() -> Keyring {
        Keyring::parse(&Keyring::generate()).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: ORIGIN.to_owned(), size: 1042, head: [7; 32], extension: Vec::new() }
    }

    /// The forms of C2SP signed-note and tlog-checkpoint, line by line.
    #[test]
    fn the_note_has_the_standard_form() {
        let ring = ring();
        let note = sign(&ring, &checkpoint()).unwrap();
        let lines: Vec<&str> = note.split('\n').collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[..4], [ORIGIN, "1042", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", ""]);
        assert_eq!(lines[5], "", "it ends with a newline");
        let line = lines[4].strip_prefix("\u{2014} example.org/audit ").unwrap();
        assert_eq!(STANDARD.decode(line).unwrap().len(), 4 + 64);
        let verifier = verifier_key(&ring, 1, ORIGIN).unwrap().unwrap();
        let parts: Vec<&str> = verifier.splitn(3, '+').collect();
        assert_eq!((parts[0], parts[1].len()), (ORIGIN, 8));
        let key = STANDARD.decode(parts[2]).unwrap();
        assert_eq!((key.len(), key[0]), (33, 1), "type 1 is Ed25519");
        assert_eq!(hex::encode(&STANDARD.decode(line).unwrap()[..4]), parts[1]);
        // The hash is over name, newline, type and key, computed here in one piece.
        let digest = Sha256::digest([ORIGIN.as_bytes(), b"\n", &key].concat());
        assert_eq!(hex::encode(&digest[..4]), parts[1]);
    }

    /// A verifier key made by another implementation: the example in the manual of Go's `note` package.
    #[test]
    fn the_key_hash_is_the_standards() {
        let note = sign(&ring(), &checkpoint()).unwrap();
        let example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        // The key is read, so its hash was right; the note is another's.
        assert_eq!(verify_with(example, &note), Err(CheckpointError::Signature));
        let wrong = example.replace("c74f20a3", "c74f20a4");
        assert_eq!(verify_with(&wrong, &note), Err(CheckpointError::Key));
    }

    /// The note to that key, from the same manual: a signature of another implementation verifies here.
    #[test]
    fn a_foreign_signature_is_accepted() {
        let example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        // Signed, but no checkpoint: the signature was checked first.
        assert_eq!(verify_with(example, note), Err(CheckpointError::Form));
        let altered = note.replace("don't", "do");
        assert_eq!(verify_with(example, &altered), Err(CheckpointError::Signature));
    }

    /// ASVS: 16.4.2
    #[test]
    fn a_signed_checkpoint_verifies_with_ring_and_public_key() {
        let old = ring();
        let note = sign(&old, &checkpoint()).unwrap();
        assert_eq!(verify(&old, ORIGIN, &note), Ok(checkpoint()));
        let public = verifier_key(&old, 1, ORIGIN).unwrap().unwrap();
        assert_eq!(verify_with(&public, &note), Ok(checkpoint()));
        let new = Keyring::parse(&old.with_new_key()).unwrap();
        assert_eq!(verify(&new, ORIGIN, &note), Ok(checkpoint()), "after a rotation");
        assert_eq!(verify(&self::ring(), ORIGIN, &note), Err(CheckpointError::Signature));
        assert_eq!(verify(&old, "example.org/other", &note), Err(CheckpointError::Signature));
        assert_eq!(verifier_key(&old, 2, ORIGIN), Ok(None));
    }

    /// ASVS: 16.4.2, 11.4.3
    #[test]
    fn altered_checkpoints_are_refused() {
        let ring = ring();
        let note = sign(&ring, &checkpoint()).unwrap();
        for (index, character) in note.char_indices() {
            let other = if character == 'A' { "B" } else { "A" };
            let altered = [&note[..index], other, &note[index + character.len_utf8()..]].concat();
            assert!(verify(&ring, ORIGIN, &altered).is_err(), "{index}");
            assert!(verify(&ring, ORIGIN, &note[..index]).is_err(), "cut at {index}");
        }
        for altered in [
            note.replace("1042", "1041"),
            note.replace("1042", "01042"),
            note.replace("\n\n", "\nextension\n\n"),
            note.replace("\n\n", "\n\n\n"),
            format!("{note}\n"),
            note.replace('\n', "\r\n"),
            note.replace('\u{2014}', "-"),
        ] {
            assert!(verify(&ring, ORIGIN, &altered).is_err(), "{altered}");
        }
    }

    #[test]
    fn other_signatures_are_ignored_and_a_false_one_by_a_known_key_is_not() {
        let ring = ring();
        let note = sign(&ring, &checkpoint()).unwrap();
        let foreign = sign(&self::ring(), &checkpoint()).unwrap();
        let line = |note: &str| note.rsplit_once("\n\n").unwrap().1.to_owned();
        let both = format!("{note}{}", line(&foreign));
        assert_eq!(verify(&ring, ORIGIN, &both), Ok(checkpoint()));
        let other = sign(&ring, &Checkpoint { size: 1, ..checkpoint() }).unwrap();
        let false_one = format!("{note}{}", line(&other));
        assert_eq!(verify(&ring, ORIGIN, &false_one), Err(CheckpointError::Signature));
    }

    #[test]
    fn origins_that_break_the_form_are_refused() {
        for origin in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\0b"] {
            let checkpoint = Checkpoint { origin: origin.to_owned(), ..checkpoint() };
            assert_eq!(sign(&ring(), &checkpoint), Err(CheckpointError::Origin), "{origin:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn round_trip(size: u64, head: [u8; 32], extension in proptest::collection::vec("[^\n]{1,20}", 0..4)) {
            let ring = ring();
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, head, extension };
            prop_assert_eq!(verify(&ring, ORIGIN, &sign(&ring, &checkpoint).unwrap()), Ok(checkpoint));
        }

        #[test]
        fn any_text_is_refused_without_panic(note: String, verifier: String) {
            prop_assert!(verify(&ring(), ORIGIN, &note).is_err());
            prop_assert!(verify_with(&verifier, &note).is_err());
        }
    }
}
