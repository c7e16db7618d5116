//! Attacks on sealed values, the RFC's vectors, and round trips.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;
use secrecy::ExposeSecret;

macro_rules! column {
    ($name:ident, $table:literal, $column:literal) => {
        struct $name;
        impl SealedField for $name {
            const TABLE: &'static str = $table;
            const COLUMN: &'static str = $column;
        }
    };
}
column!(Email, "users", "email");
column!(Phone, "users", "phone");
column!(OtherTable, "people", "email");
// Joined without framing, this reads as `Email` does.
column!(Shifted, "user", "semail");

const ROW: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const OTHER_ROW: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
const PLAIN: &str = "ada@example.org";

fn ring() -> Keyring {
    Keyring::parse(&Keyring::generate()).unwrap()
}

fn rotated(ring: &Keyring) -> Keyring {
    Keyring::parse(&ring.with_new_key()).unwrap()
}

/// What every failed opening must be: the same error, naming the column and nothing else.
fn assert_refused<F: SealedField>(ring: &Keyring, row: Uuid, bytes: &[u8]) {
    let error = ring.open::<F>(row, &Sealed::from_bytes(bytes.to_vec())).expect_err("it opened");
    assert_eq!(error, OpenError { table: F::TABLE, column: F::COLUMN });
    assert_eq!(error.to_string(), "a sealed value cannot be opened");
}

/// RFC 8452, appendix C.2 and C.3, through the very calls that seal and open use.
///
/// ASVS: 11.2.1, 11.3.2
#[test]
fn the_cipher_is_the_rfcs() {
    let mut checked = 0;
    for line in include_str!("rfc8452.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<Vec<u8>> = line.split('|').map(|field| hex::decode(field.trim()).unwrap()).collect();
        let [key, nonce, associated, plain, result] = &fields[..] else { unreachable!("{line}") };
        let key = Zeroizing::new(key.as_slice().try_into().unwrap());
        let nonce = nonce.as_slice().try_into().unwrap();
        assert_eq!(&encrypt(&key, &nonce, associated, plain), result);
        assert_eq!(*decrypt(&key, &nonce, associated, result).unwrap(), *plain);
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}

/// ASVS: 11.3.3, 11.2.5
#[test]
fn no_flipped_bit_opens() {
    let ring = rotated(&ring());
    let sealed = ring.seal::<Email>(ROW, PLAIN);
    for bit in 0..sealed.as_bytes().len() * 8 {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_refused::<Email>(&ring, ROW, &bytes);
    }
}

/// ASVS: 11.3.3, 11.2.5
#[test]
fn no_other_length_opens() {
    let ring = ring();
    let sealed = ring.seal::<Email>(ROW, PLAIN).as_bytes().to_vec();
    for length in 0..sealed.len() {
        assert_refused::<Email>(&ring, ROW, &sealed[..length]);
    }
    assert_refused::<Email>(&ring, ROW, &[&sealed[..], &[0]].concat());
    assert_refused::<Email>(&ring, ROW, &[&sealed[..], &sealed[..]].concat());
}

/// ASVS: 11.3.3
#[test]
fn a_value_moved_to_another_row_column_or_table_does_not_open() {
    let ring = ring();
    let sealed = ring.seal::<Email>(ROW, PLAIN).as_bytes().to_vec();
    assert_refused::<Email>(&ring, OTHER_ROW, &sealed);
    assert_refused::<Phone>(&ring, ROW, &sealed);
    assert_refused::<OtherTable>(&ring, ROW, &sealed);
    assert_refused::<Shifted>(&ring, ROW, &sealed);
}

/// The same with one key for every column: the associated data alone must hold.
///
/// ASVS: 11.3.3
#[test]
fn the_associated_data_bind_header_table_column_and_row_by_themselves() {
    let key = Zeroizing::new(random::bytes());
    let nonce = random::bytes();
    let header = [FORMAT, ALGORITHM, 0, 0, 0, 1];
    let data = |column: Column, header, row| column.associated_data(&header, row);
    let here = data(Column::of::<Email>(), header, ROW);
    let body = encrypt(&key, &nonce, &here, PLAIN.as_bytes());
    assert!(decrypt(&key, &nonce, &here, &body).is_some());
    for elsewhere in [
        data(Column::of::<Phone>(), header, ROW),
        data(Column::of::<OtherTable>(), header, ROW),
        data(Column::of::<Shifted>(), header, ROW),
        data(Column::of::<Email>(), header, OTHER_ROW),
        data(Column::of::<Email>(), [2, ALGORITHM, 0, 0, 0, 1], ROW),
        data(Column::of::<Email>(), [FORMAT, 2, 0, 0, 0, 1], ROW),
        data(Column::of::<Email>(), [FORMAT, ALGORITHM, 0, 0, 0, 2], ROW),
    ] {
        assert!(decrypt(&key, &nonce, &elsewhere, &body).is_none());
    }
}

/// ASVS: 11.2.2, 11.2.5
#[test]
fn unknown_format_algorithm_and_key_are_the_same_error() {
    let ring = ring();
    let sealed = ring.seal::<Email>(ROW, PLAIN).as_bytes().to_vec();
    for (index, value) in [(0, 0), (0, 2), (0, 255), (1, 0), (1, 2), (2, 1), (5, 2), (5, 0)] {
        let mut bytes = sealed.clone();
        bytes[index] = value;
        assert_refused::<Email>(&ring, ROW, &bytes);
    }
    assert_refused::<Email>(&self::ring(), ROW, &sealed);
}

#[test]
fn bytes_that_are_not_utf8_open_as_bytes_and_are_refused_as_text() {
    let ring = ring();
    let sealed = ring.seal_bytes::<Email>(ROW, &[0xff, 0xfe]);
    assert_eq!(*ring.open_bytes(ROW, &sealed).unwrap(), [0xff, 0xfe]);
    assert_refused::<Email>(&ring, ROW, sealed.as_bytes());
}

#[test]
fn the_error_names_the_column_for_the_audit_event() {
    let error = ring().open::<Phone>(ROW, &Sealed::from_bytes(vec![])).unwrap_err();
    assert_eq!(error.describe(), "users.phone");
}

/// ASVS: 11.3.4
#[test]
fn two_seals_of_one_value_share_no_nonce_and_no_ciphertext() {
    let ring = ring();
    let seen: std::collections::HashSet<Vec<u8>> =
        (0..500).map(|_| ring.seal::<Email>(ROW, PLAIN).as_bytes()[HEADER..].to_vec()).collect();
    let nonces: std::collections::HashSet<&[u8]> = seen.iter().map(|bytes| &bytes[..NONCE]).collect();
    assert_eq!((seen.len(), nonces.len()), (500, 500));
}

/// ASVS: 11.2.2
#[test]
fn rotation_opens_the_old_and_seals_under_the_new() {
    let old = ring();
    let new = rotated(&old);
    let column = Column::of::<Email>();
    let stored = old.seal::<Email>(ROW, PLAIN);
    assert_eq!(sealed_key_number(stored.as_bytes()), Some(1));
    assert_eq!(new.open(ROW, &stored).unwrap().expose_secret(), PLAIN);
    let again = new.reseal_column(column, ROW, stored.as_bytes()).unwrap().unwrap();
    assert_eq!(sealed_key_number(&again), Some(2));
    assert_eq!(new.reseal_column(column, ROW, &again), Ok(None));
    assert_eq!(*new.open_column(column, ROW, &again).unwrap(), PLAIN.as_bytes());
    assert!(new.reseal_column(column, OTHER_ROW, stored.as_bytes()).is_err());
    let retired = Keyring::parse(&new.without_key(1).unwrap()).unwrap();
    assert_refused::<Email>(&retired, ROW, stored.as_bytes());
    assert!(retired.open_column(column, ROW, &again).is_ok());
}

#[test]
fn key_numbers_are_read_only_from_headers_of_this_format() {
    for bytes in [&[][..], &[1, 1, 0, 0, 0], &[2, 1, 0, 0, 0, 1], &[1, 2, 0, 0, 0, 1]] {
        assert_eq!(sealed_key_number(bytes), None);
    }
    assert_eq!(sealed_key_number(&[1, 1, 0xff, 0xff, 0xff, 0xff, 9]), Some(u32::MAX));
}

#[test]
fn a_blind_index_is_equal_for_equal_values_of_one_column_and_key_only() {
    let one = ring();
    let two = rotated(&one);
    let index = one.blind_index::<Email>(PLAIN);
    assert_eq!(index.as_bytes().len(), 32);
    assert_eq!(index, one.blind_index::<Email>(PLAIN));
    assert_ne!(index, one.blind_index::<Email>("eve@example.org"));
    assert_ne!(index.as_bytes(), one.blind_index::<Phone>(PLAIN).as_bytes());
    assert_ne!(index, two.blind_index::<Email>(PLAIN));
    assert_eq!(Some(&index), two.blind_index_with::<Email>(1, PLAIN).as_ref());
    assert_eq!(two.blind_index_with::<Email>(3, PLAIN), None);
    assert_eq!(two.blind_indexes::<Email>(PLAIN), [two.blind_index::<Email>(PLAIN), index]);
}

proptest! {
    /// ASVS: 11.3.3
    #[test]
    fn what_is_sealed_opens_and_hides_the_plaintext(plain in ".{0,80}", row: u128) {
        let ring = ring();
        let row = Uuid::from_u128(row);
        let sealed = ring.seal::<Email>(row, &plain);
        prop_assert_eq!(sealed.as_bytes().len(), HEADER + NONCE + plain.len() + TAG);
        // Four bytes could turn up by chance; eight will not.
        let hidden = plain.as_bytes().windows(8).all(|part| !sealed.as_bytes().windows(8).any(|seen| seen == part));
        prop_assert!(hidden);
        let opened = ring.open(row, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), plain.as_str());
    }

    /// ASVS: 11.2.5
    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(bytes: Vec<u8>, tail: Vec<u8>) {
        let ring = ring();
        assert_refused::<Email>(&ring, ROW, &bytes);
        assert_refused::<Email>(&ring, ROW, &[&[1, 1, 0, 0, 0, 1], &tail[..]].concat());
    }
}
