//! The house rules, as tables. A rule that is wrong is changed here, with the reason beside it.

use super::source::Source;

/// A path that only some files may name.
pub struct Ban {
    /// Runs of path segments: `warp`, `SystemTime::now`. A single segment is a crate's name and counts only
    /// at the start of a path; longer runs count anywhere.
    pub paths: &'static [&'static str],
    /// Files that may: `src/http/` is a folder, `src/*/graphql.rs` has one free segment.
    pub only: &'static [&'static str],
    /// Files under `only` that may not all the same.
    pub but_not: &'static [&'static str],
    /// Whether test code may, anywhere.
    pub in_tests: bool,
    /// Where the code should go instead.
    pub advice: &'static str,
}

/// The slices of `src/`: each is a domain (`mod.rs` and its files) with guarded resolvers (`graphql.rs`).
pub const SLICES: &[&str] = &[
    "accounts",
    "sessions",
    "mfa",
    "posts",
    "audit",
    "admin",
    "mail",
    "defense",
    "keys",
    "privacy",
    "retention",
];

/// Which slice's domain may use which other's. Besides these, everybody may record: see [`RECORDING`].
pub const SLICE_IMPORTS: &[(&str, &str)] = &[
    ("mfa", "sessions"),
    ("mfa", "accounts"),
    ("sessions", "accounts"),
    // Messages are put into the outbox in the transaction of their cause.
    ("accounts", "mail"),
    ("sessions", "mail"),
    ("mfa", "mail"),
    ("mail", "accounts"),
    // Administration acts on what the other slices hold, through their functions.
    ("admin", "accounts"),
    ("admin", "sessions"),
    ("admin", "mfa"),
    ("admin", "mail"),
    // Defence watches the trail: it counts in it and looks at its rows.
    ("defense", "audit"),
    // Unique blind indexes are written under keys that the database names; the list of sealed columns
    // says how each is normalised.
    ("accounts", "keys"),
    ("keys", "accounts"),
    ("retention", "audit"),
    ("retention", "keys"),
    // Privacy acts on what the other slices hold, through their functions.
    ("privacy", "accounts"),
    ("privacy", "keys"),
    ("privacy", "mail"),
    ("privacy", "sessions"),
];

/// What anyone may use of `audit`: what it takes to record an event.
pub const RECORDING: &[&str] = &["record", "event", "Event", "Kind", "Origin", "Auditor", "Tx"];

/// The layers, from the top: code may name what is further down, and its own layer's module only.
/// `resolvers` are the slices' `graphql.rs`, `domain` the rest of a slice, `kit` is `src/graphql/`.
pub const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["server"],
    &["http"],
    &["engine"],
    &["schema"],
    &["resolvers"],
    &["kit", "domain"],
    &[
        "app",
        "access",
        "bus",
        "clock",
        "config",
        "crypto",
        "db",
        "error",
        "limits",
        "page",
        "telemetry",
        "text",
    ],
];

/// Upward or sideways imports that are right all the same: file, the layer it may name, why.
pub const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/app.rs", "domain", "the state holds the hashing pool, the auditor and an admitted keyring"),
    ("src/graphql/loaders.rs", "domain", "a list: what nested fields look up, batched for the request"),
    ("src/graphql/page.rs", "resolvers", "a list: the type of every connection"),
];

/// Paths and the files that may name them.
pub const BANS: &[Ban] = &[
    Ban {
        paths: &["warp", "hyper", "hyper_util", "tower", "tower_http", "tower_governor"],
        only: &["src/http/"],
        but_not: &[],
        in_tests: true,
        advice: "HTTP stays in src/http/: pass plain values in and answers out",
    },
    Ban {
        paths: &["async_graphql", "async_graphql_parser", "async_graphql_value"],
        only: &[
            "src/graphql/",
            "src/schema.rs",
            "src/*/graphql.rs",
            "src/*/graphql/",
            "src/engine/",
            "src/server.rs",
            "src/server/",
            "src/limits/",
        ],
        but_not: &[],
        in_tests: true,
        advice: "GraphQL stays in the kit (src/graphql/), engine/, schema.rs and the slices' graphql.rs: let the domain return plain types",
    },
    Ban {
        paths: &[
            "async_graphql::Error",
            "async_graphql::FieldError",
            "async_graphql::Result",
            "async_graphql::FieldResult",
        ],
        only: &["src/graphql/"],
        but_not: &[],
        in_tests: false,
        advice: "resolvers return crate::error::Error; the boundary in src/graphql/ turns it into a GraphQL error",
    },
    Ban {
        paths: &["sea_orm", "sqlx"],
        only: &[
            "entity/",
            "migration/",
            "src/accounts/",
            "src/sessions/",
            "src/mfa/",
            "src/posts/",
            "src/audit/",
            "src/admin/",
            "src/mail/",
            "src/defense/",
            "src/keys/",
            "src/privacy/",
            "src/retention/",
            "src/access/owned.rs",
            "src/app.rs",
            "src/db.rs",
            "src/error.rs",
        ],
        but_not: &["src/*/graphql.rs", "src/*/graphql/"],
        in_tests: true,
        advice: "SQL belongs in a slice's domain file, behind a function named for what it does",
    },
    Ban {
        paths: &["sea_orm_migration", "migration"],
        only: &["migration/", "src/app.rs", "src/db.rs", "src/cli/"],
        but_not: &[],
        in_tests: true,
        advice: "migrations are run by src/db.rs",
    },
    Ban {
        paths: &["redis"],
        only: &["src/limits/redis.rs", "src/limits/redis/", "src/app.rs", "src/bus.rs"],
        but_not: &[],
        in_tests: true,
        advice: "Redis stays behind the traits of src/limits/ and the bus",
    },
    Ban {
        paths: &[
            "aes_gcm_siv",
            "argon2",
            "blake2",
            "ed25519_dalek",
            "getrandom",
            "hkdf",
            "hmac",
            "jsonwebtoken",
            "rand",
            "rand_core",
            "sha2",
            "subtle",
            "totp_rs",
        ],
        only: &["src/crypto/"],
        but_not: &[],
        in_tests: true,
        advice: "ciphers, hashes and randomness come from src/crypto/: add a function there that says what it is for",
    },
    Ban {
        paths: &["Uuid::new_v4", "Uuid::now_v7", "Uuid::new_v7"],
        only: &["entity/src/id.rs", "src/crypto/"],
        but_not: &[],
        in_tests: true,
        advice: "ids are made by entity::id, secrets by crypto::random",
    },
    Ban {
        paths: &["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "OffsetDateTime::now_utc"],
        only: &["src/clock.rs"],
        but_not: &[],
        in_tests: true,
        advice: "take a clock::Clock: tests set it, nobody waits",
    },
    Ban {
        paths: &["std::env"],
        only: &["src/config.rs", "src/config/", "build.rs"],
        but_not: &[],
        in_tests: true,
        advice: "the environment is read once, into config::Config",
    },
    Ban {
        paths: &["process::Command"],
        only: &[],
        but_not: &[],
        in_tests: true,
        advice: "the server starts no other program (ASVS 1.2.5)",
    },
    Ban {
        paths: &["thread::sleep"],
        // Starting a program is the one thing to wait for that tells nobody.
        only: &["src/limits/tests/redis_server.rs"],
        but_not: &[],
        in_tests: false,
        advice: "wait for the event itself, or advance a test clock",
    },
];

/// A line that breaks a rule.
pub fn broken(source: &Source, line: usize, what: &str, advice: &str) -> String {
    format!("{}:{line}: {what}: {advice}", source.path)
}

/// Whether the pattern (`src/http/`, `src/*/graphql.rs`) covers the path.
pub fn covers(pattern: &str, path: &str) -> bool {
    let (want, have): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let folder = pattern.ends_with('/');
    let want = if folder { &want[..want.len() - 1] } else { &want[..] };
    let same = want.iter().zip(&have).all(|(want, have)| *want == "*" || want == have);
    same && if folder { have.len() > want.len() } else { have.len() == want.len() }
}

/// What breaks [`BANS`] in one file.
pub fn banned_paths(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    let within = |patterns: &[&str]| patterns.iter().any(|pattern| covers(pattern, &source.path));
    for ban in BANS.iter().filter(|ban| !within(ban.only) || within(ban.but_not)) {
        for (line, path) in source.paths() {
            let hit = ban.paths.iter().find(|banned| names(&path, banned) && !source.declares_module(banned));
            if let Some(banned) = hit.filter(|_| !(ban.in_tests && source.is_test(line))) {
                out.push(broken(source, line, banned, ban.advice));
            }
        }
    }
    out.dedup();
    out
}

fn names(path: &[String], banned: &str) -> bool {
    let run: Vec<&str> = banned.split("::").collect();
    if run.len() == 1 {
        return path[0] == run[0];
    }
    path.windows(run.len()).any(|window| window.iter().eq(run.iter()))
}

/// The layer and, for a slice, its name, of a module path without `crate`.
pub fn layer_of(module: &[&str]) -> Option<(&'static str, String)> {
    let first = *module.first()?;
    if SLICES.contains(&first) {
        let layer = if module.get(1) == Some(&"graphql") { "resolvers" } else { "domain" };
        return Some((layer, first.to_owned()));
    }
    let name = if first == "graphql" { "kit" } else { first };
    let layer = LAYERS.iter().flat_map(|layer| layer.iter()).find(|layer| **layer == name)?;
    Some((layer, String::new()))
}

/// What breaks the layers and the slices' mutual imports in one file of `src/`.
pub fn broken_layers(source: &Source) -> Vec<String> {
    let level = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let Some(from) = source.path.strip_prefix("src/").and_then(|_| layer_of(&source.module())) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (line, path) in source.paths() {
        let target: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let Some(to) = layer_of(&target).filter(|_| path[0] == "crate" && !source.is_test(line)) else {
            continue;
        };
        let excepted = EXCEPTIONS.iter().any(|(file, name, _)| covers(file, &source.path) && *name == to.0);
        if from == to
            || excepted
            || (to == ("domain", "audit".into())
                && target.get(1).is_some_and(|name| RECORDING.contains(name)))
        {
            continue;
        }
        let what = path.join("::");
        let foundation = LAYERS.len() - 1;
        let advice = match (from.0, to.0) {
            // A resolver may return another slice's GraphQL type: that is what an edge of the graph is.
            ("resolvers", "resolvers") => continue,
            (_, "resolvers") if from.0 != "schema" => {
                "only schema.rs and other resolvers name a slice's graphql.rs"
            }
            ("resolvers" | "domain", "domain") if from.1 == to.1 => continue,
            ("resolvers" | "domain", "domain") => {
                if SLICE_IMPORTS.iter().any(|(a, b)| *a == from.1 && *b == to.1) {
                    continue;
                }
                "slices do not import one another (SLICE_IMPORTS in tests/repo/rules.rs): read the rows through entity, \
                 record through audit::record, or move what both need to access, crypto or limits"
            }
            ("crypto", other) if !["error", "config", "clock"].contains(&other) => {
                "crypto is mechanism: no I/O, no policy; take what it needs as an argument"
            }
            (a, b) if level(a) == Some(foundation) && level(b) == Some(foundation) => continue,
            (a, b) if level(b) > level(a) => continue,
            _ => {
                "imports point downwards (LAYERS in tests/repo/rules.rs): move the code up to its user, or the type down"
            }
        };
        out.push(broken(source, line, &what, advice));
    }
    out
}

/// The most lines a file may have, its tests not counted.
pub const MOST_LINES: usize = 400;

/// What breaks the rules about a file as a whole: its head, its length, stray words, lints silenced without a reason.
pub fn broken_form(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    if !source.text.starts_with("//! ") {
        out.push(broken(source, 1, "no `//!` at the top", "open with a line that says what the file is for"));
    }
    if source.body_lines > MOST_LINES && !source.is_test(1) {
        out.push(broken(
            source,
            source.body_lines,
            "too long",
            "split it by feature; 150 lines are the aim, 400 the ceiling",
        ));
    }
    for (at, line) in source.code.lines().enumerate() {
        if line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe") {
            out.push(broken(source, at + 1, "unsafe", "there is none in this house"));
        }
        let silences = ["allow(", "expect("].iter().any(|word| line.contains(&format!("[{word}")));
        if silences
            && line.contains("clippy::disallowed_")
            && !line.contains("reason")
            && !source.is_test(at + 1)
        {
            out.push(broken(source, at + 1, "a silenced lint", "say why: #[expect(…, reason = \"…\")]"));
        }
    }
    out
}

/// Words that no file of the repository may have, joined here so that this file has none of them.
pub fn forbidden_words() -> Vec<(String, &'static str)> {
    let join = |parts: &[&str]| parts.concat();
    let unfinished = "finish it, or describe it in the tracker";
    let host = "packages come from where the client is told to get them; name no host";
    let machine = "paths of one machine mean nothing on another";
    vec![
        (join(&["TO", "DO"]), unfinished),
        (join(&["FIX", "ME"]), unfinished),
        (join(&["XX", "X:"]), unfinished),
        (join(&["registry.", "npmjs"]), host),
        (join(&["registry.", "yarnpkg"]), host),
        (join(&["static.", "crates.io"]), host),
        (join(&["index.", "crates.io"]), host),
        (join(&["py", "pi.org"]), host),
        (join(&["/", "work/"]), machine),
        (join(&["/", "root/"]), machine),
        (join(&["/", "home/"]), machine),
    ]
}

/// What breaks [`forbidden_words`] in any text. Lock files are written by package managers and left alone.
pub fn broken_words(path: &str, text: &str) -> Vec<String> {
    if path.ends_with("Cargo.lock") || path.ends_with("package-lock.json") {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (word, advice) in forbidden_words() {
            if line.contains(&word) {
                out.push(format!("{path}:{}: {word}: {advice}", at + 1));
            }
        }
    }
    out
}
