//! Attacks on access tokens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_764_000_000_000);
const LIFETIME: i64 = 900;

fn ring() -> Keyring {
    Keyring::parse(&Keyring::generate()).unwrap()
}

fn signer(ring: &Keyring) -> JwtSigner {
    JwtSigner::new(ring.clone(), "https://id.example", "https://api.example", LIFETIME)
}

fn issue(signer: &JwtSigner) -> String {
    signer.issue("usr_1", "ses_1", "USER", NOW).0
}

fn claims(signer: &JwtSigner) -> AccessClaims {
    signer.verify(&issue(signer), NOW).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

/// A token with any header and claims, signed with the server's own current key.
fn sign_with(ring: &Keyring, header: &Value, claims: &Value) -> String {
    use ed25519_dalek::Signer;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let pair = signing::current_pair(&ring.ring(), Purpose::JwtSigning);
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn good_header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "pc1" })
}

fn good_claims(signer: &JwtSigner) -> Value {
    serde_json::to_value(claims(signer)).unwrap()
}

#[test]
fn an_issued_token_says_what_it_should() {
    let signer = signer(&ring());
    let (token, ends) = signer.issue("usr_1", "ses_1", "USER", NOW);
    assert_eq!(ends, later(LIFETIME));
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header, good_header());
    let claims = signer.verify(&token, NOW).unwrap();
    assert_eq!((claims.sub.as_str(), claims.sid.as_str(), claims.role.as_str()), ("usr_1", "ses_1", "USER"));
    assert_eq!((claims.iat, claims.exp), (NOW.0 / 1000, NOW.0 / 1000 + LIFETIME));
    assert_ne!(claims.jti, self::claims(&signer).jti);
}

/// The published key verifies a token by itself, with another library.
///
/// ASVS: 9.1.1, 11.6.1
#[test]
fn the_published_key_verifies_the_token() {
    let signer = signer(&ring());
    let token = issue(&signer);
    let keys = signer.jwks();
    let x = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(key.verify_strict(message.as_bytes(), &signature).is_ok());
    assert!(!keys.to_string().contains("\"d\""), "no private part");
}

/// ASVS: 9.1.2
#[test]
fn alg_none_is_refused() {
    let ring = ring();
    let signer = signer(&ring);
    let payload = issue(&signer).split('.').nth(1).unwrap().to_owned();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "typ": "at+jwt", "kid": "pc1" }).to_string());
        for token in [format!("{header}.{payload}."), format!("{header}.{payload}")] {
            assert_eq!(signer.verify(&token, NOW), Err(JwtError::Invalid), "{alg}");
        }
    }
}

/// The public key as an HMAC secret: the classic confusion of algorithms.
///
/// ASVS: 9.1.2
#[test]
fn hs256_signed_with_the_public_key_is_refused() {
    let ring = ring();
    let signer = signer(&ring);
    let public = signing::current_pair(&ring.ring(), Purpose::JwtSigning).verifying_key().to_bytes();
    let text = signer.jwks().to_string();
    let x = URL_SAFE_NO_PAD.encode(public);
    for secret in [&public[..], x.as_bytes(), text.as_bytes()] {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let mut header = Header::new(alg);
            header.typ = Some(TYPE.to_owned());
            header.kid = Some("pc1".to_owned());
            let forged = jsonwebtoken::encode(&header, &claims(&signer), &EncodingKey::from_secret(secret));
            assert_eq!(signer.verify(&forged.unwrap(), NOW), Err(JwtError::Invalid));
        }
    }
}

/// ASVS: 9.1.1
#[test]
fn another_key_and_any_changed_character_are_refused() {
    let ring = ring();
    let signer = signer(&ring);
    let forged = issue(&self::signer(&self::ring()));
    assert_eq!(signer.verify(&forged, NOW), Err(JwtError::Invalid));
    let token = issue(&signer);
    for index in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(signer.verify(&altered, NOW), Err(JwtError::Invalid), "{index}");
    }
    let other_payload = issue(&signer);
    let parts: Vec<&str> = token.split('.').collect();
    let swapped = format!("{}.{}.{}", parts[0], other_payload.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(signer.verify(&swapped, NOW), Err(JwtError::Invalid));
}

/// ASVS: 9.2.1
#[test]
fn time_bounds_hold_to_the_second() {
    let ring = ring();
    let signer = signer(&ring);
    let token = issue(&signer);
    assert!(signer.verify(&token, later(LIFETIME - 1)).is_ok());
    assert_eq!(signer.verify(&token, later(LIFETIME)), Err(JwtError::Expired));
    assert!(signer.verify(&token, later(-LEEWAY)).is_ok(), "a replica's clock is five seconds behind");
    assert_eq!(signer.verify(&token, later(-LEEWAY - 1)), Err(JwtError::Invalid));
    let mut claims = good_claims(&signer);
    claims["nbf"] = json!(NOW.0 / 1000 + LEEWAY);
    assert!(signer.verify(&sign_with(&ring, &good_header(), &claims), NOW).is_ok());
    claims["nbf"] = json!(NOW.0 / 1000 + LEEWAY + 1);
    assert_eq!(signer.verify(&sign_with(&ring, &good_header(), &claims), NOW), Err(JwtError::Invalid));
}

/// All signed with our own key: the claims alone must be enough to refuse them.
///
/// ASVS: 9.2.1, 9.2.3, 9.2.4
#[test]
fn wrong_missing_and_ill_typed_claims_are_refused() {
    let ring = ring();
    let signer = signer(&ring);
    let good = good_claims(&signer);
    assert!(signer.verify(&sign_with(&ring, &good_header(), &good), NOW).is_ok());
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(["https://id.example", "https://evil.example"])),
        ("aud", json!("https://other.example")),
        ("aud", json!(["https://api.example"])),
        ("aud", json!("")),
        ("exp", json!("1764000900")),
        ("exp", json!(1_764_000_900.5)),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("exp", json!(u64::MAX)),
        ("iat", json!(NOW.0 / 1000 + LIFETIME)),
        ("nbf", json!("never")),
        ("sub", json!(1)),
        ("role", json!(["ADMIN"])),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        let token = sign_with(&ring, &good_header(), &claims);
        assert!(signer.verify(&token, NOW).is_err(), "{name} = {value}");
    }
    for name in ["iss", "aud", "sub", "sid", "role", "exp", "iat", "jti"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        let token = sign_with(&ring, &good_header(), &claims);
        assert_eq!(signer.verify(&token, NOW), Err(JwtError::Invalid), "without {name}");
    }
}

/// ASVS: 9.1.3, 9.2.2
#[test]
fn wrong_headers_are_refused() {
    let ring = ring();
    let signer = signer(&ring);
    let claims = good_claims(&signer);
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("rt+jwt")),
        ("typ", Value::Null),
        ("alg", json!("ES256")),
        ("alg", json!("Ed25519ph")),
        ("crit", json!(["exp"])),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!("1")),
        ("kid", json!("pc")),
        ("kid", json!("pc01")),
        ("kid", json!("pc+1")),
        ("kid", json!("pc2")),
        ("kid", json!("PC1")),
        ("kid", json!("shared")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("pc1' OR '1'='1")),
        ("kid", json!(1)),
    ] {
        let mut header = good_header();
        header[name] = value.clone();
        let token = sign_with(&ring, &header, &claims);
        assert_eq!(signer.verify(&token, NOW), Err(JwtError::Invalid), "{name} = {value}");
    }
}

/// The attacker brings the key along, in every place the standard offers.
///
/// ASVS: 9.1.3
#[test]
fn keys_named_by_the_token_are_never_used() {
    let (ours, theirs) = (ring(), ring());
    let signer = signer(&ours);
    let claims = good_claims(&signer);
    let jwk = self::signer(&theirs).jwks()["keys"][0].clone();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = good_header();
        header[name] = value;
        assert_eq!(
            signer.verify(&sign_with(&theirs, &header, &claims), NOW),
            Err(JwtError::Invalid),
            "{name}"
        );
    }
}

/// ASVS: 11.2.2
#[test]
fn tokens_outlive_a_rotation_and_end_with_their_key() {
    let old = ring();
    let token = issue(&signer(&old));
    let new = Keyring::parse(&old.with_new_key()).unwrap();
    let signer = signer(&new);
    assert!(signer.verify(&token, NOW).is_ok());
    let kids: Vec<Value> =
        signer.jwks()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(kids, [json!("pc2"), json!("pc1")]);
    assert!(signer.verify(&issue(&signer), NOW).is_ok());
    new.replace(&Keyring::parse(&new.without_key(1).unwrap()).unwrap());
    assert_eq!(signer.verify(&token, NOW), Err(JwtError::Invalid));
}

/// ASVS: 9.1.2, 13.2.3
#[test]
fn the_shared_secret_is_another_world() {
    let ring = ring();
    let secret = SecretString::from("0123456789abcdef0123456789abcdef");
    let shared = signer(&ring).with_shared_secret(&secret).unwrap();
    let token = issue(&shared);
    assert!(shared.verify(&token, NOW).is_ok());
    assert_eq!(shared.jwks(), json!({ "keys": [] }));
    assert_eq!(signer(&ring).verify(&token, NOW), Err(JwtError::Invalid));
    assert_eq!(shared.verify(&issue(&signer(&ring)), NOW), Err(JwtError::Invalid));
    let other = SecretString::from("0123456789abcdef0123456789abcdeF");
    let other = signer(&ring).with_shared_secret(&other).unwrap();
    assert_eq!(other.verify(&token, NOW), Err(JwtError::Invalid));
    let short = SecretString::from("0123456789abcdef0123456789abcde");
    assert_eq!(signer(&ring).with_shared_secret(&short).unwrap_err(), JwtError::WeakSecret);
    assert!(!format!("{shared:?}").contains("0123456789"));
}

#[test]
fn oversized_tokens_are_refused_unread() {
    let ring = ring();
    let signer = signer(&ring);
    let mut claims = good_claims(&signer);
    claims["pad"] = json!("x".repeat(4096));
    assert_eq!(signer.verify(&sign_with(&ring, &good_header(), &claims), NOW), Err(JwtError::Invalid));
}

proptest! {
    #[test]
    fn any_text_is_refused_without_panic(token in "[A-Za-z0-9_=-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}|.*", now: i64) {
        prop_assert_eq!(signer(&ring()).verify(&token, Timestamp(now)), Err(JwtError::Invalid));
    }
}
