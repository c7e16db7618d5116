//! docs/asvs.md: what OWASP ASVS asks, and the tests that show it.
//!
//! The list is docs/asvs.toml; the tests say themselves what they show, in a line of the form
//! `/// ASVS: 11.3.3, 11.2.5` over the function.

use super::source::{self, Source};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A test that says it shows something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// The requirement's number.
    pub number: String,
    /// The file of the test.
    pub file: String,
    /// The name of the test.
    pub test: String,
}

/// A requirement: its level, wording, and why there need not be a test.
pub struct Requirement {
    level: i64,
    text: String,
    document: Option<String>,
    not_applicable: Option<String>,
    deviation: Option<String>,
}

/// Where a requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Shown by tests or fulfilled by a document.
    Pass,
    /// There is nothing here it could apply to.
    NotApplicable,
    /// Not met to the letter, with a reason.
    Deviation,
    /// Nothing shows it yet.
    Open,
}

impl Requirement {
    /// Where it stands, given whether tests name it.
    pub fn status(&self, tested: bool) -> Status {
        match (&self.not_applicable, &self.deviation, &self.document) {
            (Some(_), ..) => Status::NotApplicable,
            (_, Some(_), _) => Status::Deviation,
            (_, _, document) if document.is_some() || tested => Status::Pass,
            _ => Status::Open,
        }
    }
}

/// The numbers in their order.
type Numbered<T> = BTreeMap<Vec<u32>, T>;

fn number(text: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() == 3)
}

fn dotted(number: &[u32]) -> String {
    number.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// Reads docs/asvs.toml, or says what is wrong in it.
pub fn requirements(text: &str) -> Result<Numbered<Requirement>, Vec<String>> {
    let table: toml::Table = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let (mut out, mut wrong) = (BTreeMap::new(), Vec::new());
    for (key, value) in &table {
        let field =
            |name: &str| value.get(name).and_then(|v| v.as_str()).filter(|v| !v.is_empty()).map(String::from);
        let level =
            value.get("level").and_then(toml::Value::as_integer).filter(|level| (1..=3).contains(level));
        let known = ["level", "text", "document", "not_applicable", "deviation"];
        let strange =
            value.as_table().is_none_or(|fields| fields.keys().any(|name| !known.contains(&name.as_str())));
        let (Some(number), Some(level), Some(text), false) = (number(key), level, field("text"), strange)
        else {
            wrong.push(format!(
                "docs/asvs.toml: {key}: needs a number, a level from 1 to 3, a text and no unknown field"
            ));
            continue;
        };
        let (document, not_applicable, deviation) =
            (field("document"), field("not_applicable"), field("deviation"));
        if [&document, &not_applicable, &deviation].iter().filter(|reason| reason.is_some()).count() > 1 {
            wrong.push(format!(
                "docs/asvs.toml: {key}: document, not_applicable and deviation exclude one another"
            ));
        }
        if document.as_ref().is_some_and(|path| !source::root().join(path).is_file()) {
            wrong.push(format!("docs/asvs.toml: {key}: there is no such document"));
        }
        out.insert(number, Requirement { level, text, document, not_applicable, deviation });
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

/// The tests of one file that name requirements, and what is wrong with the lines that do.
pub fn shown(source: &Source) -> (Vec<Shown>, Vec<String>) {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let (mut out, mut wrong) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        let Some(list) = line.strip_prefix("/// ASVS:") else { continue };
        let mut complain = |what: &str| wrong.push(format!("{}:{}: {what}", source.path, at + 1));
        let head: Vec<&str> =
            lines[at + 1..].iter().copied().take_while(|next| next.starts_with(['#', '/'])).collect();
        let item = lines.get(at + 1 + head.len()).copied().unwrap_or_default();
        let name =
            item.split_once("fn ").map(|(_, rest)| rest.split(['(', '<']).next().unwrap_or(rest).to_owned());
        let Some(test) = name.filter(|_| source.is_test(at + 1)) else {
            complain("an ASVS line belongs right over a test");
            continue;
        };
        if head.iter().any(|next| next.starts_with("#[ignore")) {
            complain("an ignored test shows nothing");
        }
        for part in list.split(',').map(str::trim) {
            match number(part) {
                Some(_) => {
                    out.push(Shown { number: part.into(), file: source.path.clone(), test: test.clone() })
                }
                None => complain(&format!("{part:?} is no requirement's number")),
            }
        }
    }
    (out, wrong)
}

/// The document, or what keeps it from being written.
pub fn document(requirements: &Numbered<Requirement>, shown: &[Shown]) -> Result<String, Vec<String>> {
    let (mut tests, mut wrong): (Numbered<Vec<&Shown>>, _) = (BTreeMap::new(), Vec::new());
    for one in shown {
        let key = number(&one.number).unwrap_or_default();
        match requirements.get(&key) {
            None => {
                wrong.push(format!("{}: {}: {} is not in docs/asvs.toml", one.file, one.test, one.number))
            }
            Some(found) if found.not_applicable.is_some() => {
                wrong.push(format!(
                    "{}: {}: docs/asvs.toml says {} does not apply",
                    one.file, one.test, one.number
                ));
            }
            Some(_) => tests.entry(key).or_default().push(one),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let status =
        |number: &Vec<u32>, requirement: &Requirement| requirement.status(tests.contains_key(number));
    let mut out = String::from(
        "# OWASP ASVS 5.0.0\n\nGenerated by `make schema` from docs/asvs.toml and the `/// ASVS:` lines over the tests; \
         `make test` fails when it is stale.\n\n| | pass | not applicable | deviation | open |\n|---|---|---|---|---|\n",
    );
    for level in [Some(1), Some(2), Some(3), None] {
        let count = |wanted: Status| {
            let of_level =
                requirements.iter().filter(|(_, one)| level.is_none_or(|level| level == one.level));
            of_level.filter(|(number, one)| status(number, one) == wanted).count()
        };
        let name = level.map_or("all".into(), |level| format!("L{level}"));
        let [pass, none, deviation, open] =
            [Status::Pass, Status::NotApplicable, Status::Deviation, Status::Open].map(count);
        let _ = writeln!(out, "| {name} | {pass} | {none} | {deviation} | {open} |");
    }
    out.push_str("\n| | | requirement | status | shown by, or why |\n|---|---|---|---|---|\n");
    for (number, one) in requirements {
        let mut reasons: Vec<String> = Vec::new();
        reasons.extend(one.document.iter().map(|path| format!("[{path}]({})", relative(path))));
        reasons.extend(one.not_applicable.iter().chain(&one.deviation).cloned());
        let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in tests.get(number).into_iter().flatten() {
            named.entry(&test.file).or_default().push(&test.test);
        }
        for (file, mut names) in named {
            names.sort_unstable();
            names.dedup();
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            reasons.push(format!("{file}: {}", names.join(", ")));
        }
        let status = match status(number, one) {
            Status::Pass => "pass",
            Status::NotApplicable => "n/a",
            Status::Deviation => "deviation",
            Status::Open => "**open**",
        };
        let _ = writeln!(
            out,
            "| {} | L{} | {} | {status} | {} |",
            dotted(number),
            one.level,
            one.text.replace('|', "\\|"),
            reasons.join("<br>")
        );
    }
    Ok(out)
}

fn relative(path: &str) -> String {
    path.strip_prefix("docs/").map_or_else(|| format!("../{path}"), String::from)
}
