//! How the text of a setting becomes a value, with errors that say what was expected.

use ipnet::IpNet;
use secrecy::SecretString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A kind of value that a setting can have.
pub trait Value: Sized {
    /// Parses `text`; the error says what was expected.
    ///
    /// # Errors
    /// A phrase that completes "expected …".
    fn parse(text: &str) -> Result<Self, String>;
}

/// Values separated by commas; empty text is the empty list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List<T>(pub Vec<T>);

/// Development favours ease, production refuses whatever is unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keys are made on first start; the playground and introspection are on.
    Development,
    /// A missing key, host or proxy setting stops the start.
    Production,
}

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037); the public keys are at `/.well-known/jwks.json`.
    EdDsa,
    /// HMAC-SHA-256 with a shared secret (RFC 7518).
    Hs256,
}

impl Value for Mode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err("`development` or `production`".to_owned()),
        }
    }
}

impl Value for Algorithm {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "EdDSA" => Ok(Self::EdDsa),
            "HS256" => Ok(Self::Hs256),
            _ => Err("`EdDSA` or `HS256`".to_owned()),
        }
    }
}

impl Value for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "`true` or `false`".to_owned())
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path".to_owned()) } else { Ok(Self::from(text)) }
    }
}

impl Value for SecretString {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

impl Value for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "an address and port such as 127.0.0.1:8080 or [::1]:8080".to_owned())
    }
}

impl Value for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(Self::from))
            .map_err(|_| "an address or network such as 10.0.0.0/8".to_owned())
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))
            }
        }
    )*};
}
numbers!(u16, u32, u64, usize);

impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
}

impl<T: Value> Value for List<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| {
                T::parse(item).map_err(|what| format!("{what} in each place of the list (not `{item}`)"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
