//! The session cookie: `__Host-` binds it to this host, HTTPS and every path (RFC 6265bis; OWASP ASVS 3.3).

use crate::app::App;
use crate::crypto::Token;
use entity::session::Model;

/// The cookie's name.
pub const NAME: &str = "__Host-session";

/// The `Set-Cookie` value that carries `token` until the session expires.
#[must_use]
pub fn issue(app: &App, session: &Model, token: &Token) -> String {
    let seconds = session.expires_at.0.saturating_sub(app.clock.now().0).max(0) / 1000;
    let same_site = &app.config.cookie_same_site;
    format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={seconds}", token.expose())
}

/// The `Set-Cookie` value that removes it.
#[must_use]
pub fn expire(app: &App) -> String {
    format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite={}; Max-Age=0", app.config.cookie_same_site)
}

/// The token in a `Cookie` header's value. More than one session cookie is as good as none: somebody
/// else may have planted the other.
#[must_use]
pub fn find(header: &str) -> Option<&str> {
    let mut found = header.split(';').filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 3.3.3
    #[test]
    fn the_cookie_is_found_by_its_exact_name_and_only_alone() {
        assert_eq!(find("a=b; __Host-session=t; c=d"), Some("t"));
        assert_eq!(find("__Host-session=t"), Some("t"));
        assert_eq!(find("__Host-session=t; __Host-session=planted"), None);
        assert_eq!(find("x__Host-session=t"), None);
        assert_eq!(find("__Host-session2=t"), None);
        assert_eq!(find(""), None);
    }
}
