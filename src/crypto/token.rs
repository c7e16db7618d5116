//! Opaque bearer tokens: 256 random bits, shown once, stored as their SHA-256.
//!
//! The wire form is a four-character prefix and 43 characters of URL-safe base64: `pcs_…` for a session,
//! `pcr_…` for a refresh token, `pcm_…` between password and second factor, `pce_…` in an e-mail. The
//! prefix enters the hash, so a token of one kind is never taken for another, and lets secret scanners
//! find a leaked one. A plain hash suffices: 256 random bits cannot be searched.

use super::keyring::{Keyring, Purpose};
use super::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A signed-in session.
    Session,
    /// Renews a session once.
    Refresh,
    /// A sign-in that waits for its second factor.
    Mfa,
    /// A link sent by e-mail.
    Mail,
}

impl TokenKind {
    /// What the wire form starts with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "pcs_",
            Self::Refresh => "pcr_",
            Self::Mfa => "pcm_",
            Self::Mail => "pce_",
        }
    }
}

/// The string is not a token of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of the expected kind")]
pub struct TokenError;

/// A secret token. `Debug` shows its kind alone; memory is overwritten on drop.
#[derive(Clone)]
pub struct Token {
    kind: TokenKind,
    secret: Zeroizing<[u8; 32]>,
}

impl Token {
    /// A new random token (ASVS 7.2.3: at least 128 bits from a CSPRNG; these are 256).
    #[must_use]
    pub fn generate(kind: TokenKind) -> Self {
        Self { kind, secret: Zeroizing::new(random::bytes()) }
    }

    /// Reads the wire form. Each token has one spelling; everything else is refused.
    ///
    /// # Errors
    /// [`TokenError`] for another kind, another length or another spelling.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, TokenError> {
        let digits = text.strip_prefix(kind.prefix()).ok_or(TokenError)?;
        if digits.len() != 43 {
            return Err(TokenError);
        }
        let mut wide = Zeroizing::new([0; 33]);
        let length = URL_SAFE_NO_PAD.decode_slice(digits, &mut wide[..]).map_err(|_| TokenError)?;
        let secret = wide[..length].try_into().map_err(|_| TokenError)?;
        Ok(Self { kind, secret: Zeroizing::new(secret) })
    }

    /// The token of `kind` that follows this one, under key `number` of the ring: the same each time it is
    /// asked for, and unknown to whoever has only this one. `None` without that key.
    #[must_use]
    pub fn successor(&self, keyring: &Keyring, number: u32, kind: TokenKind) -> Option<Self> {
        let parts = [kind.prefix().as_bytes(), &self.secret[..]];
        let secret = keyring.mac_with(number, Purpose::Successor, &parts)?;
        Some(Self { kind, secret: Zeroizing::new(secret) })
    }

    /// What the token is for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The wire form, to hand to its owner once.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut out = String::with_capacity(47);
        out.push_str(self.kind.prefix());
        URL_SAFE_NO_PAD.encode_string(&self.secret[..], &mut out);
        out
    }

    /// What is stored and looked up: SHA-256 over prefix and secret.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(self.kind.prefix()).chain_update(&self.secret[..]).finalize().into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, redacted)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const KINDS: [TokenKind; 4] = [TokenKind::Session, TokenKind::Refresh, TokenKind::Mfa, TokenKind::Mail];

    /// ASVS: 7.2.3, 11.5.1
    #[test]
    fn tokens_are_256_bits_and_differ() {
        let drawn: std::collections::HashSet<[u8; 32]> =
            (0..1_000).map(|_| Token::generate(TokenKind::Session).hash()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert_eq!(Token::generate(TokenKind::Session).expose().len(), 4 + 43);
    }

    /// ASVS: 9.2.2
    #[test]
    fn a_token_of_one_kind_is_no_other() {
        for kind in KINDS {
            let token = Token::generate(kind);
            let text = token.expose();
            assert!(text.starts_with(kind.prefix()));
            assert_eq!(Token::parse(kind, &text).unwrap().hash(), token.hash());
            for other in KINDS.into_iter().filter(|other| *other != kind) {
                assert_eq!(Token::parse(other, &text).unwrap_err(), TokenError);
                let renamed = text.replacen(kind.prefix(), other.prefix(), 1);
                assert_ne!(Token::parse(other, &renamed).unwrap().hash(), token.hash());
            }
        }
    }

    #[test]
    fn there_is_one_spelling() {
        let text = Token { kind: TokenKind::Session, secret: Zeroizing::new([0xfb; 32]) }.expose();
        assert!(Token::parse(TokenKind::Session, &text).is_ok());
        // 43 characters carry 258 bits: the last character's two spare bits must be zero.
        let stray = format!("{}t", &text[..text.len() - 1]);
        assert_ne!(stray, text);
        for bad in [
            stray,
            text.replace('-', "+"),
            format!("{text}="),
            format!("{text} "),
            format!(" {text}"),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
            text[4..].to_owned(),
            "pcs_".to_owned(),
            format!("pcs_{}", "é".repeat(21) + "A"),
            String::new(),
        ] {
            assert!(Token::parse(TokenKind::Session, &bad).is_err(), "{bad}");
        }
    }

    /// ASVS: 16.2.5
    #[test]
    fn debug_does_not_show_the_secret() {
        let token = Token::generate(TokenKind::Mail);
        assert_eq!(format!("{token:?}"), "Token(Mail, redacted)");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_is_the_one_spelling(text in "(pcs_)?[A-Za-z0-9_=+/-]{40,46}") {
            if let Ok(token) = Token::parse(TokenKind::Session, &text) {
                prop_assert_eq!(token.expose(), text);
            }
        }
    }
}
