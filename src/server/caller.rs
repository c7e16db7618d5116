//! Who is calling, and whether they may: the same for every transport.

use crate::access::cache::Entry;
use crate::access::{Identity, TokenHash, Viewer};
use crate::app::App;
use crate::audit::Origin;
use crate::crypto::{Token, TokenKind, digest};
use crate::engine::{Admitted, Answer, Part, admit};
use crate::error::{Error, Result};
use crate::limits::cost::Estimate;
use crate::sessions::authenticate::SessionKey;
use crate::sessions::{authenticate, cookie};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// Why a request is refused before it runs.
#[derive(Debug)]
pub(super) enum Refused {
    /// By a limit: the answer is ready, the database was not asked.
    Limit(Box<Answer>),
    /// For another reason, to be recorded.
    Error(Error),
}

impl From<Answer> for Refused {
    fn from(answer: Answer) -> Self {
        Self::Limit(Box::new(answer))
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What a request presents to say who it is: the digest of a token; `None` for text that is none.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    None,
    Bearer(Option<TokenHash>),
    /// A signed access token, not verified yet.
    Access(String),
    Cookie(Option<TokenHash>),
}

impl Credentials {
    /// The one credential in `headers`.
    ///
    /// # Errors
    /// More than one, or one that is not understood.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self> {
        let both = || Error::field("authorization", "send either the cookie or one Authorization header");
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let bearer = match authorizations.next() {
            None => None,
            Some(value) => {
                let text = value.to_str().map_err(|_| Error::Unauthenticated)?;
                let (scheme, token) = text.split_once(' ').ok_or(Error::Unauthenticated)?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(Error::Unauthenticated);
                }
                Some(token.trim())
            }
        };
        if authorizations.next().is_some() {
            return Err(both());
        }
        // HTTP/2 may split the cookies over several headers (RFC 9113, section 8.2.3).
        let mut cookies =
            headers.get_all(COOKIE).iter().filter_map(|value| cookie::find(value.to_str().ok()?));
        let first = cookies.next();
        match (bearer, first, cookies.next()) {
            (Some(_), Some(_), _) => Err(both()),
            (Some(token), None, _) => Ok(Self::bearer(token)),
            (None, Some(token), None) => Ok(Self::cookie(token)),
            _ => Ok(Self::None),
        }
    }

    /// A session token that stands where a Bearer token does.
    pub(super) fn bearer(text: &str) -> Self {
        if text.contains('.') {
            return Self::Access(text.to_owned());
        }
        Self::Bearer(Token::parse(TokenKind::Session, text).ok().map(|token| token.hash()))
    }

    fn cookie(text: &str) -> Self {
        Self::Cookie(Token::parse(TokenKind::Session, text).ok().map(|token| token.hash()))
    }

    /// Whether it was sent on purpose, not by a browser on its own.
    pub(super) const fn is_bearer(&self) -> bool {
        matches!(self, Self::Bearer(_) | Self::Access(_))
    }

    /// Under which digest the identity is kept, if the credential can prove one at all.
    pub(super) fn token_hash(&self) -> Option<TokenHash> {
        match self {
            Self::None => None,
            Self::Bearer(hash) | Self::Cookie(hash) => *hash,
            Self::Access(text) => Some(digest::sha256(text.as_bytes())),
        }
    }

    /// What to look the session up by. An access token is verified each time: it may have expired.
    fn key(&self, app: &App) -> Option<SessionKey> {
        match self {
            Self::Access(text) => {
                let claims = app.jwt.verify(text, app.clock.now()).ok()?;
                claims.sid.parse().ok().map(SessionKey::Id)
            }
            _ => self.token_hash().map(SessionKey::Token),
        }
    }
}

/// Finds out who is asking and charges them. A wrong Bearer token is refused, since a client that
/// sends one means it; a stale cookie, which a browser sends by itself, is as good as none.
///
/// A token that is in the cache costs one round trip to the limits and no statement. Another costs
/// the address's share first, so that guessing tokens does not reach the database without limit.
pub(super) async fn admit_caller(
    app: &App,
    credentials: &Credentials,
    origin: &Origin,
    estimate: &Estimate,
) -> Result<(Viewer, Admitted), Refused> {
    let by_bearer = credentials.is_bearer();
    let fits = |identity: &Identity| identity.by_cookie() != by_bearer;
    let Some((hash, key)) = credentials.token_hash().zip(credentials.key(app)) else {
        let admitted = admit(app, origin, None, estimate, Part::Whole).await?;
        return if by_bearer {
            Err(Error::Unauthenticated.into())
        } else {
            Ok((Viewer::anonymous(), admitted))
        };
    };
    let (identity, admitted) = match app.identities.get(&hash) {
        Some(entry) => {
            let admitted = admit(app, origin, Some(&entry.identity), estimate, Part::Whole).await?;
            let current = admitted.epoch.is_some() && entry.epoch == admitted.epoch;
            let identity = if current {
                authenticate::still_valid(app, &entry.identity).then_some(entry.identity)
            } else {
                // Read after its epoch was known: good for as long as the epoch stays.
                let found = authenticate::authenticate(app, &key).await?;
                match &found {
                    Some(identity) => {
                        app.identities.put(hash, Entry { identity: identity.clone(), epoch: admitted.epoch })
                    }
                    None => app.identities.forget(&hash),
                }
                found
            };
            (identity, admitted)
        }
        None => {
            admit(app, origin, None, estimate, Part::Address).await?;
            let found = authenticate::authenticate(app, &key).await?;
            let admitted = admit(app, origin, found.as_ref(), estimate, Part::Rest).await?;
            if let Some(identity) = &found {
                app.identities.put(hash, Entry { identity: identity.clone(), epoch: None });
            }
            (found, admitted)
        }
    };
    match identity.filter(fits) {
        Some(identity) => Ok((Viewer::signed_in(identity), admitted)),
        None if by_bearer => Err(Error::Unauthenticated.into()),
        None => Ok((Viewer::anonymous(), admitted)),
    }
}
