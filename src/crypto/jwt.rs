//! Signed access tokens for other services: JWTs (RFC 7519, profile RFC 9068) of a few minutes' life.
//!
//! By default they are signed with Ed25519 under a key derived from the keyring; `kid` is `pc` and the key's
//! number, and [`JwtSigner::jwks`] publishes the public keys of the whole ring, so that a rotation breaks
//! nobody. HS256 with a shared secret is there for consumers that can do nothing else.
//!
//! Verification believes nothing the token says about itself: the algorithm is the configured one, the key
//! is ours by number, and `jku`, `x5u`, `x5c` and `jwk` are never followed (ASVS 9.1.1–9.1.3). Time is
//! passed in.

use super::keyring::{Keyring, Purpose};
use super::{random, signing};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use entity::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The header's `typ` (RFC 9068, section 2.1): an access token, and nothing else.
const TYPE: &str = "at+jwt";
/// `kid` of a token signed with the shared secret.
const SHARED_KID: &str = "shared";
/// Seconds by which `nbf` and `iat` may lie ahead: replicas' clocks differ. `exp` has no leeway.
const LEEWAY: i64 = 5;
/// Longer texts are refused unread (bytes).
const MAX_LENGTH: usize = 4096;
/// What precedes the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The user's id, in wire form.
    pub sub: String,
    /// The session's id, in wire form: a revoked session's token is worth nothing here.
    pub sid: String,
    /// The user's role when it was issued.
    pub role: String,
    /// Invalid from this time on: seconds since the Unix epoch.
    pub exp: i64,
    /// Issued at: seconds since the Unix epoch.
    pub iat: i64,
    /// Invalid before this time: seconds since the Unix epoch. Ours carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The token's own id.
    pub jti: String,
}

/// Why a token or a signer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Ours and whole, but its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Anything else; which check failed is not said.
    #[error("the access token is not valid")]
    Invalid,
    /// The shared secret for HS256 is shorter than the hash (RFC 7518, section 3.2).
    #[error("the shared secret for HS256 needs at least 32 bytes")]
    WeakSecret,
}

/// Signs and verifies access tokens of one issuer for one audience.
#[derive(Clone)]
pub struct JwtSigner {
    keyring: Keyring,
    shared: Option<SecretString>,
    issuer: String,
    audience: String,
    lifetime: i64,
}

impl JwtSigner {
    /// A signer with Ed25519 keys from the ring. Tokens live `lifetime` seconds.
    #[must_use]
    pub fn new(keyring: Keyring, issuer: &str, audience: &str, lifetime: i64) -> Self {
        Self { keyring, shared: None, issuer: issuer.to_owned(), audience: audience.to_owned(), lifetime }
    }

    /// The same signer with HS256 under `secret` in place of Ed25519.
    ///
    /// # Errors
    /// [`JwtError::WeakSecret`] below 32 bytes.
    pub fn with_shared_secret(mut self, secret: &SecretString) -> Result<Self, JwtError> {
        if secret.expose_secret().len() < 32 {
            return Err(JwtError::WeakSecret);
        }
        self.shared = Some(secret.clone());
        Ok(self)
    }

    /// A token for this user, session and role, and the time it ends.
    #[must_use]
    pub fn issue(&self, user: &str, session: &str, role: &str, now: Timestamp) -> (String, Timestamp) {
        let iat = seconds(now);
        let exp = iat.saturating_add(self.lifetime);
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user.to_owned(),
            sid: session.to_owned(),
            role: role.to_owned(),
            exp,
            iat,
            nbf: None,
            jti: Uuid::from_bytes(random::bytes()).simple().to_string(),
        };
        (self.sign(&claims), Timestamp(exp.saturating_mul(1000)))
    }

    /// The claims of a token that this signer's issuer made for this audience and that holds at `now`.
    ///
    /// # Errors
    /// [`JwtError::Expired`] for a token that was good, [`JwtError::Invalid`] for everything else.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, JwtError> {
        if token.len() > MAX_LENGTH {
            return Err(JwtError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Invalid)?;
        if header.alg != self.algorithm() || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(JwtError::Invalid);
        }
        let key = header.kid.and_then(|kid| self.verifying_key(&kid)).ok_or(JwtError::Invalid)?;
        let claims = jsonwebtoken::decode::<AccessClaims>(token, &key, &self.validation());
        let claims = claims.map_err(|_| JwtError::Invalid)?.claims;

        let now = seconds(now);
        let latest = now.saturating_add(LEEWAY);
        if claims.iat > latest || claims.nbf.is_some_and(|nbf| nbf > latest) || claims.exp <= claims.iat {
            return Err(JwtError::Invalid);
        }
        if claims.exp <= now { Err(JwtError::Expired) } else { Ok(claims) }
    }

    /// The JSON Web Key Set (RFC 7517): the public keys of every number in the ring, the current one
    /// first. Empty with a shared secret.
    #[must_use]
    pub fn jwks(&self) -> Value {
        if self.shared.is_some() {
            return json!({ "keys": [] });
        }
        let ring = self.keyring.ring();
        let mut numbers: Vec<u32> = ring.numbers().collect();
        numbers.sort_by_key(|number| (*number != ring.current(), std::cmp::Reverse(*number)));
        let key = |number| {
            let public = signing::pair(&ring, number, Purpose::JwtSigning)?.verifying_key().to_bytes();
            let x = URL_SAFE_NO_PAD.encode(public);
            let kid = kid(number);
            Some(json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x }))
        };
        json!({ "keys": numbers.into_iter().filter_map(key).collect::<Vec<_>>() })
    }

    fn algorithm(&self) -> Algorithm {
        if self.shared.is_some() { Algorithm::HS256 } else { Algorithm::EdDSA }
    }

    fn sign(&self, claims: &AccessClaims) -> String {
        let mut header = Header::new(self.algorithm());
        header.typ = Some(TYPE.to_owned());
        let key = if let Some(secret) = &self.shared {
            header.kid = Some(SHARED_KID.to_owned());
            EncodingKey::from_secret(secret.expose_secret().as_bytes())
        } else {
            let ring = self.keyring.ring();
            header.kid = Some(kid(ring.current()));
            encoding_key(&signing::current_pair(&ring, Purpose::JwtSigning))
        };
        jsonwebtoken::encode(&header, claims, &key)
            .unwrap_or_else(|_| unreachable!("the key is of the header's algorithm and the claims are plain"))
    }

    fn verifying_key(&self, kid: &str) -> Option<DecodingKey> {
        if let Some(secret) = &self.shared {
            return (kid == SHARED_KID).then(|| DecodingKey::from_secret(secret.expose_secret().as_bytes()));
        }
        let number: u32 = kid.strip_prefix("pc")?.parse().ok()?;
        if self::kid(number) != kid {
            return None;
        }
        let pair = signing::pair(&self.keyring.ring(), number, Purpose::JwtSigning)?;
        Some(DecodingKey::from_ed_der(pair.verifying_key().as_bytes()))
    }

    /// Signature, issuer and audience are the library's part; time is ours, because it reads the clock.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.algorithm());
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSigner")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn kid(number: u32) -> String {
    format!("pc{number}")
}

fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

fn encoding_key(pair: &SigningKey) -> EncodingKey {
    let mut der = Zeroizing::new([0; 48]);
    der[..16].copy_from_slice(&PKCS8_PREFIX);
    der[16..].copy_from_slice(pair.as_bytes());
    EncodingKey::from_ed_der(&der[..])
}

#[cfg(test)]
mod tests;
