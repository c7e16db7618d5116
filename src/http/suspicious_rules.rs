//! The table of suspicious patterns. All are regular in the strict sense: matching is linear in
//! the text (ASVS 1.3.12).

use regex::{Regex, RegexSet};
use std::sync::LazyLock;

/// What a pattern is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Path,
    Query,
    Header,
    Agent,
}

/// One kind of suspicion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its name in incidents and metrics.
    pub(crate) name: &'static str,
    /// Points towards a ban.
    pub(crate) score: u32,
    /// Whether it refuses the request, or only watches.
    pub(crate) blocks: bool,
}

/// Adds `rule` once.
pub(crate) fn push(rule: &'static Rule, fired: &mut Vec<&'static Rule>) {
    if !fired.contains(&rule) {
        fired.push(rule);
    }
}

const fn rule(name: &'static str, score: u32, blocks: bool) -> Rule {
    Rule { name, score, blocks }
}

/// Some honest scripts send none, so it is watched only.
pub(crate) static NO_USER_AGENT: Rule = rule("NO_USER_AGENT", 1, false);
pub(crate) static LONG_USER_AGENT: Rule = rule("LONG_USER_AGENT", 3, true);
/// Privacy extensions rewrite referers, so it is watched only.
pub(crate) static REFERER_CONTRADICTS: Rule = rule("REFERER_CONTRADICTS_ORIGIN", 2, false);
pub(crate) static BINARY_HEADER: Rule = rule("BINARY_HEADER", 1, false);
static PATH_TRAVERSAL: Rule = rule("PATH_TRAVERSAL", 10, true);
static CONTROL_CHARACTER: Rule = rule("CONTROL_CHARACTER", 10, true);
static SQL_INJECTION: Rule = rule("SQL_INJECTION", 10, true);
static SCRIPT_INJECTION: Rule = rule("SCRIPT_INJECTION", 10, true);
static LOOKUP_INJECTION: Rule = rule("LOOKUP_INJECTION", 15, true);
static SHELL_INJECTION: Rule = rule("SHELL_INJECTION", 15, true);
static SCANNER_PATH: Rule = rule("SCANNER_PATH", 5, true);
static SCANNER_AGENT: Rule = rule("SCANNER_AGENT", 10, true);

type Row = (&'static str, &'static Rule, &'static [Subject]);
const URL: &[Subject] = &[Subject::Path, Subject::Query];
const ALL: &[Subject] = &[Subject::Path, Subject::Query, Subject::Header, Subject::Agent];

/// Pattern, rule, where it is tried.
static TABLE: &[Row] = &[
    (r"(?:^|[/\\=])\.\.(?:[/\\;]|$)", &PATH_TRAVERSAL, URL),
    // Overlong UTF-8 spellings of `.` and `/`.
    (r"(?i)%c0%(?:ae|af|2e|2f)|%e0%80%a[ef]", &PATH_TRAVERSAL, URL),
    (r"(?i)/etc/(?:passwd|shadow)|\\windows\\|/proc/self/", &PATH_TRAVERSAL, URL),
    (r"[\x00-\x08\x0a-\x1f\x7f]", &CONTROL_CHARACTER, URL),
    (
        r"(?i)\bunion\s+(?:all\s+|distinct\s+)?select\s+(?:null|\d|@|\*|[\w.]+\s*,|[\w.,\s]+\bfrom\b)",
        &SQL_INJECTION,
        ALL,
    ),
    (r#"(?i)['"]\s*(?:or|and)\s+['"(]?\w*['")]?\s*(?:=|<|>|like\b)"#, &SQL_INJECTION, ALL),
    (
        r"(?i);\s*(?:drop|alter|truncate)\s+(?:table|database|schema)\b|;\s*(?:delete\s+from|insert\s+into)\b",
        &SQL_INJECTION,
        ALL,
    ),
    (
        r"(?i)\b(?:pg_sleep|sleep|benchmark)\s*\(\s*\d|waitfor\s+delay|\binformation_schema\b|\bxp_cmdshell\b",
        &SQL_INJECTION,
        ALL,
    ),
    (r"(?i)<\s*/?\s*(?:script|iframe|object|embed|svg|img)\b", &SCRIPT_INJECTION, ALL),
    (r"(?i)\b(?:javascript|vbscript)\s*:\s*\S", &SCRIPT_INJECTION, ALL),
    (r"(?i)\bon(?:error|load|click|focus|mouseover|toggle)\s*=", &SCRIPT_INJECTION, ALL),
    (r"(?i)\$\{(?:jndi|lower|upper|env|sys|::-)", &LOOKUP_INJECTION, ALL),
    (r"\(\)\s*\{", &SHELL_INJECTION, ALL),
    (r"(?i)(?:;|\||&&|`|\$\()\s*(?:cat|wget|curl|nc|bash|sh|id|whoami|ping)\s+[-/\w]", &SHELL_INJECTION, URL),
    (
        r"(?i)^/\.(?:git|svn|hg|env|aws|ssh|ds_store|htaccess|htpasswd)(?:[/._]|$)",
        &SCANNER_PATH,
        &[Subject::Path],
    ),
    (
        r"(?i)^/(?:wp-|wordpress|phpmyadmin|pma/|cgi-bin/|vendor/phpunit|actuator|server-status|solr/|jenkins|manager/html|boaform|hnap1|owa/|autodiscover)",
        &SCANNER_PATH,
        &[Subject::Path],
    ),
    (r"(?i)\.(?:php\d?|aspx?|jsp|cgi|bak|sql|sqlite|pem|key|swp)$", &SCANNER_PATH, &[Subject::Path]),
    (
        r"(?i)\b(?:sqlmap|nikto|nmap|masscan|zgrab|nuclei|acunetix|nessus|openvas|wpscan|dirbuster|gobuster|feroxbuster|wfuzz|hydra|w3af|arachni|havij|whatweb|netsparker)\b",
        &SCANNER_AGENT,
        &[Subject::Agent],
    ),
];

/// One automaton for each subject, and the rules its patterns belong to.
struct Sieve {
    set: RegexSet,
    rules: Vec<&'static Rule>,
}

static SIEVES: LazyLock<[Sieve; 4]> = LazyLock::new(|| {
    [Subject::Path, Subject::Query, Subject::Header, Subject::Agent].map(|subject| {
        let rows = || TABLE.iter().filter(|(_, _, on)| on.contains(&subject));
        // The patterns are literals that the tests compile one by one.
        let set = RegexSet::new(rows().map(|(pattern, _, _)| *pattern)).unwrap_or_else(|_| RegexSet::empty());
        Sieve { set, rules: rows().map(|(_, rule, _)| *rule).collect() }
    })
});

/// One cheap pass that most header values fail: the bytes without which no `ALL` pattern matches.
static SPECIAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)[<>'"(){}`$|\\]|\.\.|:\s*\S|=|;|union|schema|waitfor|xp_"#).ok());

/// Adds the rules whose patterns are in `text`.
pub(crate) fn matching(subject: Subject, text: &str, fired: &mut Vec<&'static Rule>) {
    let [path, query, header, agent] = &*SIEVES;
    let sieve = match subject {
        Subject::Path => path,
        Subject::Query => query,
        Subject::Header => header,
        Subject::Agent => agent,
    };
    if subject == Subject::Header && SPECIAL.as_ref().is_some_and(|special| !special.is_match(text)) {
        return;
    }
    for index in sieve.set.matches(text) {
        if let Some(rule) = sieve.rules.get(index) {
            push(rule, fired);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for (pattern, _, _) in TABLE {
            Regex::new(pattern).unwrap();
        }
        assert!(SPECIAL.is_some());
        assert!(SIEVES.iter().all(|sieve| !sieve.set.is_empty()));
    }
}
