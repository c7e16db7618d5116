//! What the table charges whom, and what clients are told.

use super::*;
use crate::limits::charge::{Admission, Charge, Decision, Quota, Source, Standing, Subject, Tier};
use crate::limits::cost::RateClass;
use crate::limits::headers::headers;
use crate::limits::policy::{ClientKeys, Policy};
use serde_json::json;
use std::net::IpAddr;
use uuid::Uuid;

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (at, byte) in bytes.iter().enumerate() {
        out[at % 16] ^= byte.rotate_left(u32::try_from(at / 16).unwrap());
    }
    out
}

fn client(address: &str, user: Option<u128>) -> ClientKeys {
    ClientKeys { address: address.parse().unwrap(), user: user.map(Uuid::from_u128), device_of: None }
}

fn charges(address: &str, user: Option<u128>, document: &str) -> Vec<Charge> {
    let estimate = check_with(&QueryLimits::default(), document, json!({})).unwrap();
    Policy::default().charges(&client(address, user), &estimate, hash)
}

fn names(charges: &[Charge]) -> Vec<(&'static str, Subject, u32)> {
    charges.iter().map(|one| (one.tier.as_str(), one.subject, one.amount)).collect()
}

#[test]
fn a_query_signed_out_and_in() {
    use Subject::{Address, User};
    let document = "{ me { id } posts(first: 5) { nodes { author { id } } } }";
    assert_eq!(
        names(&charges("192.0.2.1", None, document)),
        [("address", Address, 1), ("api", Address, 1), ("cost", Address, 8)]
    );
    let signed_in = charges("192.0.2.1", Some(1), document);
    assert_eq!(
        names(&signed_in),
        [("address", Address, 1), ("user", User, 1), ("api", User, 1), ("cost", User, 8)]
    );
    assert_eq!(signed_in[3].quota.limit, 10_000);
    assert_eq!(charges("192.0.2.1", None, document)[2].quota.limit, 5_000);
}

/// ASVS: 6.3.1, 2.4.1
#[test]
fn logins_count_by_execution_against_address_and_account() {
    let login = |who: &str| format!("login(input: {{identifier: \"{who}\", password: \"p\"}}) {{ status }} ");
    let document =
        format!("mutation {{ a: {0} b: {0} c: {1} }}", login(" Ann@Example.org"), login("ann@example.ORG "));
    let charges = charges("192.0.2.1", None, &document);
    let logins: Vec<_> = charges.iter().filter(|one| one.tier == Tier::Class(RateClass::Login)).collect();
    assert_eq!(
        logins.iter().map(|one| (one.subject, one.amount)).collect::<Vec<_>>(),
        [(Subject::Address, 3), (Subject::Target, 3)]
    );
    assert!(charges.iter().all(|one| !one.key.to_string().contains("ann")));
}

#[test]
fn addresses_fold() {
    let key = |address: &str| charges(address, None, "{ me { id } }")[0].key;
    assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
    assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_ne!(key("::"), key("0.0.0.0"));
}

#[test]
fn monitors_are_exempt() {
    let policy = Policy { allow: vec!["192.0.2.0/24".parse().unwrap()], ..Policy::default() };
    let estimate = Estimate { operations: 1, ..Estimate::default() };
    assert!(policy.charges(&client("::ffff:192.0.2.9", Some(1)), &estimate, hash).is_empty());
    assert!(!policy.charges(&client("192.0.3.9", None), &estimate, hash).is_empty());
    assert!(policy.is_exempt(IpAddr::from([192, 0, 2, 255])));
}

#[test]
fn a_share_is_never_nothing_nor_more() {
    assert_eq!(Quota::per_seconds(100, 60).shared_by(3).limit, 33);
    assert_eq!(Quota::per_seconds(3, 60).shared_by(8).limit, 1);
    assert_eq!(Quota::per_seconds(0, 60).shared_by(8).limit, 0);
    assert_eq!(Quota::per_seconds(5, 60).shared_by(0).limit, 5);
}

fn answer(charges: &[Charge], decision: Decision) -> Admission {
    let standing = |(at, one): (usize, &Charge)| Standing {
        remaining: one.quota.limit - u32::try_from(at).unwrap() - 1,
        reset_ms: 59_001,
    };
    Admission {
        decision,
        standings: charges.iter().enumerate().map(standing).collect(),
        epochs: Vec::new(),
        at_ms: 0,
        source: Source::Redis,
    }
}

fn header(headers: &[(&'static str, String)], name: &str) -> Option<String> {
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

#[test]
fn headers_of_what_was_admitted() {
    let charges = charges("192.0.2.1", None, "{ me { id } }");
    let told = headers(&charges, &answer(&charges, Decision::Admitted));
    assert_eq!(
        header(&told, "ratelimit-policy").unwrap(),
        "\"address\";q=600;w=60, \"api\";q=100;w=60, \"cost\";q=5000;w=60"
    );
    assert_eq!(
        header(&told, "ratelimit").unwrap(),
        "\"address\";r=599;t=60, \"api\";r=98;t=60, \"cost\";r=4997;t=60"
    );
    assert_eq!(header(&told, "x-ratelimit-limit").unwrap(), "100");
    assert_eq!(header(&told, "x-ratelimit-remaining").unwrap(), "98");
    assert_eq!(header(&told, "x-ratelimit-reset").unwrap(), "60");
    assert_eq!(header(&told, "retry-after"), None);
}

#[test]
fn headers_of_a_refusal() {
    let document = "mutation { login(input: {identifier: \"a\", password: \"p\"}) { status } }";
    let charges = charges("192.0.2.1", None, document);
    let target = charges.iter().position(|one| one.subject == Subject::Target).unwrap();
    let refused = Decision::Refused { index: target, retry_after_ms: 299_001 };
    let told = headers(&charges, &answer(&charges, refused));
    assert_eq!(header(&told, "retry-after").unwrap(), "300");
    assert_eq!(header(&told, "x-ratelimit-limit").unwrap(), "5");
    assert_eq!(header(&told, "x-ratelimit-remaining").unwrap(), "0");
    let login = charges.iter().position(|one| one.tier == Tier::Class(RateClass::Login)).unwrap();
    assert!(
        header(&told, "ratelimit").unwrap().contains(&format!("\"login\";r={}", 5 - login - 1)),
        "the address's"
    );
    // A refusal from memory speaks of nothing else.
    let remembered = Admission {
        source: Source::Remembered,
        ..answer(&charges, Decision::Refused { index: 1, retry_after_ms: 1 })
    };
    let told = headers(&charges, &remembered);
    assert!(header(&told, "ratelimit").unwrap().starts_with("\"api\""));
    assert_eq!(header(&told, "retry-after").unwrap(), "1");
    assert!(headers(&[], &answer(&[], Decision::Admitted)).is_empty());
}
