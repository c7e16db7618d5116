//! Typed ids: a UUIDv7 (RFC 9562) in the database, a prefix and 32 hex digits on the wire.
//!
//! The prefix names the kind, so `usr_…` is refused where `post_…` is expected, before any query runs.
//! UUIDv7 sorts by creation time, so the primary key is also the newest-first order.

use sea_orm::DeriveValueType;
use uuid::Uuid;

/// Why a string is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind: expected `{prefix}` and 32 lower-case hexadecimal digits")]
pub struct IdError {
    /// The prefix that the kind requires.
    pub prefix: &'static str,
}

/// Decodes `prefix` + 32 lower-case hex digits; one spelling per id, nothing else is accepted.
fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let error = IdError { prefix };
    let digits = text.strip_prefix(prefix).ok_or(error)?;
    let canonical =
        digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !canonical {
        return Err(error);
    }
    Uuid::try_parse(digits).map_err(|_| error)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What the wire form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The bare UUID, as stored.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0.as_simple())
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(Self::PREFIX, text).map(Self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )*};
}

ids! {
    /// A user account.
    UserId = "usr_";
    /// A signed-in session.
    SessionId = "ses_";
    /// A post.
    PostId = "post_";
    /// An audit event.
    EventId = "evt_";
    /// A banned address or network.
    BanId = "ban_";
    /// A second factor (one TOTP enrolment).
    FactorId = "fac_";
    /// A backup code.
    BackupCodeId = "bkc_";
    /// A message in the mail outbox.
    MailId = "mail_";
    /// A one-time token (e-mail verification, password reset, MFA step, …).
    TicketId = "tkt_";
    /// A refresh token.
    RefreshId = "rft_";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_wire_form_round_trips_and_has_one_spelling() {
        let id = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00ab));
        let text = id.to_string();
        assert_eq!(text, "usr_0190000000007000800000000000 00ab".replace(' ', ""));
        assert_eq!(text.parse::<UserId>().unwrap(), id);
        for bad in [
            text.to_uppercase(),
            text.replace("usr_", "post_"),
            text.replace("usr_", ""),
            format!("{text}0"),
            text[..text.len() - 1].to_owned(),
            "usr_01900000-0000-7000-8000-0000000000ab".to_owned(),
            "usr_{0190000000007000800000000000ab}".to_owned(),
            String::new(),
        ] {
            assert!(bad.parse::<UserId>().is_err(), "{bad}");
        }
    }
}
