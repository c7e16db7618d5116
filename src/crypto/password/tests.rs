//! Attacks on stored hashes, exactness of the comparison, and the parameters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

const MATCH: Verdict = Verdict::Match { needs_rehash: false };
const OUTDATED: Verdict = Verdict::Match { needs_rehash: true };

fn ring() -> Keyring {
    Keyring::parse(&Keyring::generate()).unwrap()
}

fn cheap(keyring: &Keyring) -> PasswordHasher {
    PasswordHasher::new(HashParams::insecure(), keyring.clone()).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// ASVS: 11.4.2
#[test]
fn a_hash_is_a_phc_string_of_argon2id_at_the_floor() {
    let hasher = PasswordHasher::new(HashParams::FLOOR, ring()).unwrap();
    let stored = hasher.dummy_hash();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAAAQ$"), "{stored}");
    let parsed = Stored::parse(stored).unwrap();
    assert_eq!((parsed.salt.len(), parsed.hash.len(), parsed.key), (16, 32, 1));
}

/// ASVS: 11.4.2, 13.2.3
#[test]
fn parameters_below_the_floor_are_refused() {
    assert_eq!(HashParams::new(19_456, 2, 1), Ok(HashParams::FLOOR));
    assert!(HashParams::new(1 << 20, 32, 16).is_ok());
    for (m, t, p) in [
        (19_455, 2, 1),
        (19_456, 1, 1),
        (19_456, 2, 0),
        (8, 1, 1),
        ((1 << 20) + 1, 2, 1),
        (19_456, 33, 1),
        (19_456, 2, 17),
    ] {
        assert!(matches!(HashParams::new(m, t, p), Err(HashError::Cost(_))), "{m} {t} {p}");
    }
}

/// ASVS: 6.2.8, 6.2.9
#[test]
fn every_character_counts() {
    let hasher = cheap(&ring());
    let long = format!("{}x", "correct horse battery staple ".repeat(10));
    for password in
        ["correct horse battery", &long, "пароль пароль пароль", "🔑🔑🔑🔑🔑🔑🔑🔑", "a\0b and more of it"]
    {
        let stored = hasher.hash(&secret(password)).unwrap();
        assert_eq!(hasher.verify(&secret(password), &stored), MATCH);
        let shorter: String = password.chars().take(password.chars().count() - 1).collect();
        for wrong in [
            format!("{password} "),
            format!(" {password}"),
            format!("{password}\0"),
            shorter,
            password.to_uppercase() + "!",
            password.split('\0').next().unwrap().to_owned() + "?",
            String::new(),
        ] {
            assert_eq!(hasher.verify(&secret(&wrong), &stored), Verdict::Mismatch, "{wrong:?}");
        }
    }
    // bcrypt would stop at byte 72.
    let stored = hasher.hash(&secret(&format!("{}a", "p".repeat(72)))).unwrap();
    assert_eq!(hasher.verify(&secret(&format!("{}b", "p".repeat(72))), &stored), Verdict::Mismatch);
}

/// ASVS: 6.2.8
#[test]
fn nfc_is_the_one_transformation() {
    let hasher = cheap(&ring());
    let stored = hasher.hash(&secret("cafe\u{301} au lait le matin")).unwrap();
    assert_eq!(hasher.verify(&secret("caf\u{e9} au lait le matin"), &stored), MATCH);
    assert_eq!(hasher.verify(&secret("cafe au lait le matin"), &stored), Verdict::Mismatch);
    // Compatibility forms (NFKC) stay distinct.
    let stored = hasher.hash(&secret("ﬁfteen characters")).unwrap();
    assert_eq!(hasher.verify(&secret("fifteen characters"), &stored), Verdict::Mismatch);
}

/// A stolen table without the keyring: the right password does not verify under another pepper, nor none.
///
/// ASVS: 11.4.2
#[test]
fn without_the_pepper_the_right_password_does_not_verify() {
    let (ring, password) = (ring(), secret("correct horse battery"));
    let stored = cheap(&ring).hash(&password).unwrap();
    assert_eq!(cheap(&self::ring()).verify(&password, &stored), Verdict::Mismatch);
    let parsed = Stored::parse(&stored).unwrap();
    let plain = compute(&parsed.cost.for_argon2(None).unwrap(), &[], &normalise(&password), &parsed.salt);
    assert_ne!(*plain.unwrap(), parsed.hash);
}

/// ASVS: 11.2.2
#[test]
fn a_rotated_pepper_still_verifies_and_asks_for_a_new_hash() {
    let (old, password) = (ring(), secret("correct horse battery"));
    let stored = cheap(&old).hash(&password).unwrap();
    let new = Keyring::parse(&old.with_new_key()).unwrap();
    let hasher = cheap(&new);
    assert_eq!(hasher.verify(&password, &stored), OUTDATED);
    let again = hasher.hash(&password).unwrap();
    assert_eq!((pepper_key_number(&stored), pepper_key_number(&again)), (Some(1), Some(2)));
    assert_eq!(hasher.verify(&password, &again), MATCH);
    let retired = cheap(&Keyring::parse(&new.without_key(1).unwrap()).unwrap());
    assert_eq!(retired.verify(&password, &stored), Verdict::Mismatch);
    assert_eq!(retired.verify(&password, &again), MATCH);
}

#[test]
fn other_parameters_ask_for_a_new_hash() {
    let (ring, password) = (ring(), secret("correct horse battery"));
    let stored = cheap(&ring).hash(&password).unwrap();
    let dearer = PasswordHasher::new(HashParams { m_kib: 16, t: 1, p: 1 }, ring.clone()).unwrap();
    assert_eq!(dearer.verify(&password, &stored), OUTDATED);
    assert_eq!(dearer.verify(&secret("wrong"), &stored), Verdict::Mismatch);
    let cheaper = cheap(&ring);
    assert_eq!(cheaper.verify(&password, &dearer.hash(&password).unwrap()), OUTDATED);
}

/// Old hashes are topped up to the current cost: their answer comes no sooner than an unknown user's.
///
/// ASVS: 6.3.8
#[test]
fn the_missing_work_of_an_older_hash_is_made_up() {
    let cost = |m_kib, t| HashParams { m_kib, t, p: 1 };
    let now = cost(65_536, 3);
    for old in [cost(19_456, 2), cost(65_536, 1), cost(65_536, 2), cost(8, 1), cost(65_000, 3)] {
        let extra = now.top_up(old).unwrap();
        assert!(extra.m_kib <= now.m_kib && extra.for_argon2(None).is_ok());
        let total = old.work() + extra.work();
        assert!(now.work() - total <= u64::from(extra.t), "{old:?} {extra:?}");
    }
    assert_eq!(now.top_up(now), None);
    assert_eq!(now.top_up(cost(262_144, 3)), None);
    assert_eq!(cost(16, 1).top_up(cost(15, 1)), None, "less than Argon2's least");
}

/// ASVS: 6.3.8
#[test]
fn the_dummy_is_like_any_other_hash_and_matches_nothing() {
    let hasher = cheap(&ring());
    let real = hasher.hash(&secret("correct horse battery")).unwrap();
    assert_eq!(real.len(), hasher.dummy_hash().len());
    for guess in ["", "password", hasher.dummy_hash()] {
        assert_eq!(hasher.verify(&secret(guess), hasher.dummy_hash()), Verdict::Mismatch);
    }
}

/// ASVS: 11.2.5
#[test]
fn strings_that_are_no_hash_of_ours_never_match() {
    let hasher = cheap(&ring());
    let password = secret("correct horse battery");
    let good = hasher.hash(&password).unwrap();
    for bad in [
        String::new(),
        "correct horse battery".to_owned(),
        good.replace("argon2id", "argon2i"),
        good.replace("v=19", "v=16"),
        good.replace("$v=19", ""),
        good.replace(",keyid=AAAAAQ", ""),
        good.replace("AAAAAQ", "AAAAAg"),
        good.replace("AAAAAQ", "AQ"),
        good.replace("AAAAAQ", "AAAAAQ,data=AAAA"),
        good.replace("m=8", "m=1048577"),
        good.replace("m=8", "m=4294967295"),
        good.replace("t=1", "t=33"),
        good.replace("p=1", "p=17"),
        good.replace("m=8", "m=0"),
        good.rsplit_once('$').unwrap().0.to_owned(),
        format!("{}$", good.rsplit_once('$').unwrap().0),
        good[..good.len() - 4].to_owned(),
        "$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZQ7Q8v0z1n8m2J8kS0d2d1mXH8o5vW".to_owned(),
    ] {
        assert_eq!(hasher.verify(&password, &bad), Verdict::Mismatch, "{bad}");
    }
    assert_eq!(hasher.verify(&password, &good), MATCH);
}

/// ASVS: 16.2.5
#[test]
fn debug_shows_the_cost_only() {
    assert_eq!(
        format!("{:?}", cheap(&ring())),
        "PasswordHasher { params: HashParams { m_kib: 8, t: 1, p: 1 }, .. }"
    );
}

proptest! {
    #[test]
    fn a_password_verifies_and_another_does_not(password in ".{1,40}", other in ".{1,40}") {
        let hasher = cheap(&ring());
        let stored = hasher.hash(&secret(&password)).unwrap();
        prop_assert_eq!(hasher.verify(&secret(&password), &stored), MATCH);
        let same = normalise(&secret(&password)) == normalise(&secret(&other));
        prop_assert_eq!(hasher.verify(&secret(&other), &stored) == MATCH, same);
    }

    #[test]
    fn normalising_never_outgrows_its_buffer(password: String) {
        prop_assert!(normalise(&secret(&password)).len() <= password.len() * 3);
    }

    #[test]
    fn arbitrary_stored_text_never_matches(stored in "\\$argon2id\\$v=19\\$.{0,60}|.*") {
        let ring = Keyring::parse(&Keyring::generate()).unwrap();
        prop_assert_eq!(cheap(&ring).verify(&secret("x"), &stored), Verdict::Mismatch);
    }
}
