//! Devices that signed in before, marked by a token that the server signs and does not store.
//!
//! A mark proves one thing: from here somebody signed in to this account. It opens nothing. Who has one
//! keeps tries at the password of their own ([`super::attempts`]) and gets no notice of a new device.

use crate::app::App;
use crate::crypto::{Purpose, random};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::id::UserId;
use entity::time::Timestamp;
use uuid::Uuid;

/// The cookie that carries the mark in browsers.
pub const COOKIE: &str = "__Host-device";
/// The header that carries it from clients that keep no cookies.
pub const HEADER: &str = "x-device-token";
const PREFIX: &str = "pcd_";
/// Days that a mark holds, counted from the last sign-in.
const DAYS: i64 = 180;
const LENGTH: usize = 16 + 16 + 8 + 32;

/// A device that signed in to `user` before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// To whose account.
    pub user: UserId,
    /// Tells a person's devices apart.
    pub id: [u8; 16],
}

impl Device {
    /// A device that signs in for the first time.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self { user, id: random::bytes() }
    }

    /// The mark, holding from now on.
    #[must_use]
    pub fn mark(&self, app: &App) -> String {
        let issued = app.clock.now().0.to_be_bytes();
        let user = self.user.uuid().into_bytes();
        let tag = app.keyring.mac(Purpose::Device, &[&user, &self.id, &issued]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([&user[..], &self.id, &issued, &tag].concat()))
    }

    /// The device that `text` marks, if it was signed by this server and still holds.
    #[must_use]
    pub fn parse(app: &App, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == LENGTH / 3 * 4)?;
        let mut bytes = [0; LENGTH];
        URL_SAFE_NO_PAD.decode_slice(digits, &mut bytes).ok().filter(|length| *length == LENGTH)?;
        let (user, rest) = bytes.split_first_chunk::<16>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (issued, tag) = rest.split_first_chunk::<8>()?;
        let until = Timestamp(i64::from_be_bytes(*issued)).plus_seconds(DAYS * 86_400);
        let signed = app.keyring.verify_mac(Purpose::Device, &[user, id, issued], tag.try_into().ok()?);
        (signed && app.clock.now() < until).then(|| Self { user: UserId(Uuid::from_bytes(*user)), id: *id })
    }
}

/// The `Set-Cookie` value that carries `mark`.
#[must_use]
pub fn cookie(mark: &str) -> String {
    format!("{COOKIE}={mark}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}", DAYS * 86_400)
}

/// The mark in a `Cookie` header's value.
#[must_use]
pub fn find(header: &str) -> Option<&str> {
    header.split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::tests_kit::app;
    use std::time::Duration;

    /// ASVS: 6.3.1
    #[tokio::test]
    async fn a_mark_is_for_its_account_and_cannot_be_made_up() {
        let (app, _folder) = app().await;
        let device = Device::new(UserId(Uuid::from_u128(7)));
        let mark = device.mark(&app);
        assert_eq!(Device::parse(&app, &mark), Some(device));
        for index in 4..mark.len() {
            let mut altered = mark.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(Device::parse(&app, std::str::from_utf8(&altered).unwrap()), None, "{index}");
        }
        for bad in ["", "pcd_", &mark[4..], &mark[..mark.len() - 1], &format!("{mark}A")] {
            assert_eq!(Device::parse(&app, bad), None, "{bad}");
        }
        app.clock.advance(Duration::from_secs(180 * 86_400 - 1));
        assert_eq!(Device::parse(&app, &mark), Some(device));
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(Device::parse(&app, &mark), None);
    }

    #[test]
    fn the_cookie_is_found_by_its_name() {
        assert_eq!(find("__Host-session=a; __Host-device=b"), Some("b"));
        assert_eq!(find("x__Host-device=b; __Host-device2=c"), None);
        assert!(cookie("m").starts_with("__Host-device=m; Path=/; Secure; HttpOnly;"));
    }
}
