//! Derivation, MACs, and exchanging keys.
#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn ring() -> Keyring {
    Keyring::parse(&Keyring::generate()).unwrap()
}

#[test]
fn every_purpose_key_and_column_gives_another_subkey() {
    let ring = Keyring::parse(&ring().with_new_key()).unwrap();
    let mut seen = std::collections::HashSet::new();
    let purposes = [
        Purpose::Seal { table: "users", column: "email" },
        Purpose::Seal { table: "users", column: "phone" },
        Purpose::Seal { table: "user", column: "semail" },
        Purpose::Index { table: "users", column: "email" },
        Purpose::Csrf,
        Purpose::Cursor,
        Purpose::Pepper,
        Purpose::AuditChain,
        Purpose::Device,
        Purpose::JwtSigning,
        Purpose::CheckpointSigning,
        Purpose::DocumentSigning,
        Purpose::LimitKey,
        Purpose::Fingerprint,
    ];
    for purpose in purposes {
        for number in [1, 2] {
            assert!(seen.insert(*ring.ring().subkey(number, purpose).unwrap()), "{purpose:?} {number}");
        }
    }
    assert_eq!(ring.ring().subkey(3, Purpose::Csrf), None);
}

/// The derivation is part of the stored format: a change here makes every database unreadable.
#[test]
fn the_derivation_stays_what_it_is() {
    let mut master = Zeroizing::new([0_u8; 32]);
    for (value, byte) in (0_u8..).zip(master.iter_mut()) {
        *byte = value;
    }
    let key = derive(&master, Purpose::Seal { table: "users", column: "email" });
    assert_eq!(hex::encode(&key[..]), "235a9ebc61855e2106fc45b7fdad9783c87dccf02d7e3a9893893490c589a4a0");
}

/// The padded key gives what the plain call with a 32-byte key gives.
#[test]
fn the_mac_is_hmac_sha256_over_the_framed_parts() {
    let key = Zeroizing::new([0x0b; 32]);
    let mut plain = <Hmac<Sha256> as KeyInit>::new_from_slice(&key[..]).unwrap();
    plain.update(&frame(&[b"Hi", b"There"]));
    let expected: [u8; 32] = plain.finalize().into_bytes().into();
    assert_eq!(hmac(&key, &[b"Hi", b"There"]), expected);
}

#[test]
fn parts_are_framed() {
    let ring = ring();
    assert_ne!(ring.mac(Purpose::Csrf, &[b"ab", b"c"]), ring.mac(Purpose::Csrf, &[b"a", b"bc"]));
    assert_ne!(ring.mac(Purpose::Csrf, &[b"ab"]), ring.mac(Purpose::Csrf, &[b"ab", b""]));
    assert_ne!(ring.mac(Purpose::Csrf, &[b"ab"]), ring.mac(Purpose::Cursor, &[b"ab"]));
}

/// ASVS: 11.2.4
#[test]
fn a_mac_verifies_under_any_key_of_the_ring_and_no_other() {
    let old = ring();
    let tag = old.mac(Purpose::Csrf, &[b"x"]);
    let new = Keyring::parse(&old.with_new_key()).unwrap();
    assert_ne!(new.mac(Purpose::Csrf, &[b"x"]), tag);
    assert!(new.verify_mac(Purpose::Csrf, &[b"x"], &tag));
    assert!(!new.verify_mac(Purpose::Csrf, &[b"y"], &tag));
    assert!(!new.verify_mac(Purpose::Cursor, &[b"x"], &tag));
    assert!(!ring().verify_mac(Purpose::Csrf, &[b"x"], &tag));
    for bit in 0..256 {
        let mut bad = tag;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!new.verify_mac(Purpose::Csrf, &[b"x"], &bad));
    }
    let mut short = [0; 16];
    short.copy_from_slice(&tag[..16]);
    assert!(new.verify_mac16(Purpose::Csrf, &[b"x"], &short));
    let retired = Keyring::parse(&new.without_key(1).unwrap()).unwrap();
    assert!(!retired.verify_mac(Purpose::Csrf, &[b"x"], &tag));
}

#[test]
fn clones_see_a_replaced_ring() {
    let ring = ring();
    let clone = ring.clone();
    let tag = clone.mac(Purpose::Csrf, &[]);
    ring.replace(&Keyring::parse(&ring.with_new_key()).unwrap());
    assert_eq!((clone.numbers(), clone.current()), (vec![1, 2], 2));
    assert!(clone.verify_mac(Purpose::Csrf, &[], &tag));
}

#[test]
fn rotation_texts_keep_and_drop_the_right_keys() {
    let one = ring();
    let two = Keyring::parse(&one.with_new_key()).unwrap();
    assert_eq!((two.numbers(), two.current()), (vec![1, 2], 2));
    assert_eq!(one.fingerprint(1), two.fingerprint(1));
    assert_ne!(two.fingerprint(1), two.fingerprint(2));
    assert_eq!(two.without_key(2), None, "the current key");
    assert_eq!(two.without_key(9), None, "no such key");
    let prepared = Keyring::parse(&two.with_current(1).unwrap()).unwrap();
    assert_eq!((prepared.numbers(), prepared.current()), (vec![1, 2], 1));
    let only = Keyring::parse(&two.without_key(1).unwrap()).unwrap();
    assert_eq!((only.numbers(), only.current()), (vec![2], 2));
}

#[test]
fn debug_shows_numbers_only() {
    let text = Keyring::generate();
    let shown = format!("{:?}", Keyring::parse(&text).unwrap());
    assert_eq!(shown, "Keyring(numbers: [1], current: 1)");
}

proptest! {
    #[test]
    fn framing_is_injective(a: Vec<Vec<u8>>, b: Vec<Vec<u8>>) {
        let of = |list: &[Vec<u8>]| frame(&list.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(a == b, of(&a) == of(&b));
    }
}
