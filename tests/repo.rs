//! The house rules, as a test: what a reviewer would otherwise have to remember.
//!
//! The rules are tables in `repo/rules.rs`; each is shown here to catch what it forbids.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "UPDATE=1 is read from the environment")]

#[path = "repo/asvs.rs"]
mod asvs;
#[path = "repo/rules.rs"]
mod rules;
#[path = "repo/source.rs"]
mod source;

use rules::{banned_paths, broken_form, broken_layers, broken_words};
use source::{Source, files, read, rust_files};

#[track_caller]
fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// ASVS: 1.2.5, 11.2.1
#[test]
fn code_names_only_what_its_place_may() {
    none(rust_files().iter().flat_map(banned_paths).collect());
}

#[test]
fn imports_point_downwards() {
    none(rust_files().iter().flat_map(broken_layers).collect());
}

#[test]
fn files_open_with_their_purpose_and_stay_short() {
    none(rust_files().iter().flat_map(broken_form).collect());
}

#[test]
fn nothing_is_left_unfinished_and_no_place_is_named() {
    none(files().iter().flat_map(|path| broken_words(path, &read(path))).collect());
}

/// ASVS: 1.4.1
#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let manifests =
        files().into_iter().filter(|path| path.ends_with("Cargo.toml") && !path.starts_with("fuzz/"));
    let without = manifests.filter(|path| !read(path).contains("[lints]\nworkspace = true"));
    none(without.map(|path| format!("{path}: add [lints] workspace = true")).collect());
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
}

#[test]
fn the_readme_names_every_make_target() {
    let (makefile, readme) = (read("Makefile"), read("README.md"));
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|line| line.contains(": ") && line.contains(" ## "))
        .filter_map(|line| line.split(':').next())
        .collect();
    assert!(targets.len() > 8, "{targets:?}");
    let missing = targets.iter().filter(|target| !readme.contains(&format!("make {target}")));
    none(missing.map(|target| format!("README.md: say what `make {target}` does")).collect());
}

/// `UPDATE=1` (or `make schema`) writes the document anew.
#[test]
fn asvs_document_is_fresh() {
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    for source in rust_files().iter().filter(|source| !source.path.starts_with("tests/repo/asvs")) {
        let (more, complaints) = asvs::shown(source);
        shown.extend(more);
        wrong.extend(complaints);
    }
    none(wrong);
    let requirements =
        asvs::requirements(&read("docs/asvs.toml")).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let document = asvs::document(&requirements, &shown).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(source::root().join("docs/asvs.md"), &document).unwrap();
    }
    let old = read("docs/asvs.md");
    let changed = document.lines().filter(|line| !old.lines().any(|old| old == *line));
    let changed: Vec<&str> = changed.take(10).collect();
    assert!(
        document == old,
        "docs/asvs.md is stale; run `make schema`, review the difference. New:\n{}",
        changed.join("\n")
    );
}

// The rules themselves.

#[track_caller]
fn caught(check: fn(&Source) -> Vec<String>, path: &str, text: &str, word: &str) {
    let found = check(&Source::new(path, text));
    assert!(found.len() == 1 && found[0].contains(word), "{path}: {text:?}: {found:?}");
    assert!(found[0].starts_with(path), "says where: {found:?}");
}

#[track_caller]
fn passes(check: fn(&Source) -> Vec<String>, path: &str, text: &str) {
    none(check(&Source::new(path, text)));
}

#[test]
fn a_crate_out_of_its_place_is_caught() {
    caught(banned_paths, "src/posts/mod.rs", "use warp::Filter;", "src/http/");
    caught(banned_paths, "src/posts/mod.rs", "fn f() -> hyper::Body {}", "src/http/");
    caught(banned_paths, "src/posts/mod.rs", "use async_graphql::SimpleObject;", "kit");
    caught(banned_paths, "src/posts/graphql.rs", "use sea_orm::EntityTrait;", "domain file");
    caught(banned_paths, "src/app2.rs", "use {std::fmt, redis::{Client}};", "Redis");
    caught(banned_paths, "src/audit/chain.rs", "use sha2::Sha256;", "src/crypto/");
    passes(banned_paths, "src/limits/redis.rs", "use redis::Client;");
    passes(banned_paths, "src/limits/mod.rs", "mod redis;\npub fn f() { redis::new() }");
    passes(
        banned_paths,
        "src/limits/mod.rs",
        "// redis::x\nfn f() { let a = \"warp::x\"; crate::http::tower::x(); }",
    );
}

#[test]
fn time_environment_randomness_and_programs_have_one_door() {
    for (text, word) in [
        ("fn f() { std::time::SystemTime::now(); }", "Clock"),
        ("fn f() { let g = Instant::now; }", "Clock"),
        ("fn f() { chrono::Utc::now(); }", "Clock"),
        ("use std::env;", "config"),
        ("fn f() { std::env::var(\"A\"); }", "config"),
        ("use std::{fmt, env::{self}};", "config"),
        ("fn f() { rand::random::<u8>(); }", "crypto"),
        ("fn f() { uuid::Uuid::new_v4(); }", "entity::id"),
        ("fn f() { std::process::Command::new(\"sh\"); }", "1.2.5"),
        ("fn f() { std::thread::sleep(D); }", "wait"),
    ] {
        caught(banned_paths, "src/posts/mod.rs", text, word);
    }
    passes(banned_paths, "src/clock.rs", "fn f() { Instant::now(); }");
    let in_tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn f() { std::env::var(\"A\"); }\n}\n";
    passes(banned_paths, "src/posts/mod.rs", in_tests);
    passes(banned_paths, "src/a/tests/b.rs", "use std::env;");
    passes(banned_paths, "tests/api/main.rs", "fn f() { Instant::now(); }");
    caught(banned_paths, "tests/api/main.rs", "fn f() { std::thread::sleep(D); }", "wait");
}

#[test]
fn an_error_made_outside_the_kit_is_caught() {
    caught(banned_paths, "src/posts/graphql.rs", "use async_graphql::{Object, Error};", "boundary");
    caught(banned_paths, "src/posts/graphql.rs", "fn f() -> async_graphql::Result<()> {}", "boundary");
    passes(banned_paths, "src/graphql/error.rs", "use async_graphql::Error;");
}

#[test]
fn an_upward_import_is_caught() {
    caught(broken_layers, "src/access/mod.rs", "use crate::http::Peer;", "downwards");
    caught(broken_layers, "src/posts/mod.rs", "use crate::graphql::guard;", "downwards");
    caught(broken_layers, "src/graphql/guard.rs", "use crate::posts::Post;", "downwards");
    caught(broken_layers, "src/http/graphql.rs", "use crate::posts::graphql::Post;", "schema.rs");
    caught(broken_layers, "src/posts/mod.rs", "fn f(p: self::graphql::Post) {}", "schema.rs");
    caught(broken_layers, "src/crypto/token.rs", "use super::super::app::App;", "mechanism");
    caught(broken_layers, "src/limits/mod.rs", "use crate::{clock, schema::Schema};", "downwards");
    passes(broken_layers, "src/app.rs", "use crate::{audit::Auditor, clock::Clock, limits};");
    caught(broken_layers, "src/engine/mod.rs", "use crate::http::Peer;", "downwards");
    passes(broken_layers, "src/http/mod.rs", "use crate::{app::App, schema, sessions, graphql::context};");
    passes(
        broken_layers,
        "src/posts/graphql.rs",
        "use super::create;\nuse crate::graphql::id;\nuse crate::accounts::graphql::User;",
    );
    passes(broken_layers, "src/access/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::http::Peer;\n}");
    passes(broken_layers, "src/main.rs", "fn main() { portcullis::cli::run() }");
}

#[test]
fn slices_keep_to_themselves() {
    caught(broken_layers, "src/posts/mod.rs", "use crate::accounts::find;", "audit::record");
    caught(broken_layers, "src/accounts/mod.rs", "use crate::sessions::revoke;", "audit::record");
    caught(broken_layers, "src/posts/graphql.rs", "use crate::accounts::find;", "audit::record");
    caught(broken_layers, "src/posts/mod.rs", "use crate::audit::chain;", "audit::record");
    passes(broken_layers, "src/mfa/mod.rs", "use crate::sessions::start;\nuse crate::accounts::User;");
    passes(broken_layers, "src/sessions/mod.rs", "use crate::accounts::User;\nuse crate::audit::record;");
    passes(broken_layers, "src/limits/mod.rs", "use crate::audit::record;");
}

#[test]
fn the_form_of_a_file_is_checked() {
    caught(broken_form, "src/a.rs", "use b::c;\n", "//!");
    caught(broken_form, "src/a.rs", &format!("//! A.\n{}", "\n".repeat(400)), "400");
    caught(broken_form, "src/a.rs", "//! A.\nunsafe fn f() {}\n", "unsafe");
    caught(broken_form, "src/a.rs", "//! A.\n#[allow(clippy::disallowed_methods)]\nfn f() {}\n", "why");
    let tail = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn a() {}\n".repeat(500));
    passes(broken_form, "src/a.rs", &tail);
    passes(broken_form, "src/a.rs", "//! A. unsafe\n#![forbid(unsafe_code)]\n");
    passes(
        broken_form,
        "src/a.rs",
        "//! A.\n#[expect(clippy::disallowed_methods, reason = \"by owner\")]\nfn f() {}\n",
    );
}

#[test]
fn forbidden_words_are_caught() {
    for (word, advice) in rules::forbidden_words() {
        let found = broken_words("a.md", &format!("x\ny {word} z\n"));
        assert!(
            found.len() == 1 && found[0].contains(advice) && found[0].starts_with("a.md:2:"),
            "{found:?}"
        );
        none(broken_words("Cargo.lock", &word));
    }
}

#[test]
fn the_scanner_sees_code_and_only_code() {
    let text = "a /* b /* c */ d */ e // f\n\"g\\\"h\" 'i' '\\'' r#\"j\"k\"# &'l m br\"n\" r#type o";
    let words: Vec<String> = source::blank(text).split_whitespace().map(String::from).collect();
    assert_eq!(words, ["a", "e", "&'l", "m", "b", "r#type", "o"]);
    assert_eq!(source::blank(text).len(), text.len());
    assert_eq!(
        source::expand("a::{b, c::{self, d as e}, f::*}").iter().map(|p| p.join("::")).collect::<Vec<_>>(),
        ["a::b", "a::c", "a::c::d", "a::f::*"]
    );
    let source = Source::new("src/a/b.rs", "use super::c;\nfn f() {\n    x::y()\n}\nself::d::e;");
    let paths: Vec<(usize, String)> =
        source.paths().into_iter().map(|(line, path)| (line, path.join("::"))).collect();
    assert_eq!(paths, [(1, "crate::a::c".into()), (3, "x::y".into()), (5, "crate::a::b::d::e".into())]);
}

#[test]
fn asvs_lines_are_read_and_checked() {
    let test = |text: &str| asvs::shown(&Source::new("tests/a.rs", text));
    let (shown, wrong) =
        test("    /// ASVS: 1.2.3, 4.5.6\n    /// More.\n    #[tokio::test]\n    async fn f(a: B) {\n");
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(
        shown.iter().map(|one| (&*one.number, &*one.test)).collect::<Vec<_>>(),
        [("1.2.3", "f"), ("4.5.6", "f")]
    );
    for (text, word) in [
        ("/// ASVS: 1.2.3\n#[test]\n#[ignore]\nfn f() {}", "ignored"),
        ("/// ASVS: 1.2.3\nstruct S;", "right over a test"),
        ("/// ASVS: 1.2.3\n\n#[test]\nfn f() {}", "right over a test"),
        ("/// ASVS: 1.2\n#[test]\nfn f() {}", "number"),
        ("/// ASVS: 1.2.3 and 4\n#[test]\nfn f() {}", "number"),
    ] {
        let (_, wrong) = test(text);
        assert!(wrong.len() == 1 && wrong[0].contains(word), "{text:?}: {wrong:?}");
    }
    let (_, wrong) = asvs::shown(&Source::new("src/a.rs", "/// ASVS: 1.2.3\nfn f() {}\n"));
    assert!(wrong[0].contains("right over a test"), "outside tests: {wrong:?}");
}

#[test]
fn asvs_statuses_are_checked() {
    let list = "\"1.2.3\" = { level = 1, text = \"a\" }\n\"1.2.10\" = { level = 2, text = \"b\", not_applicable = \"c\" }\n";
    let requirements = asvs::requirements(list).ok().unwrap();
    let shown = |number: &str| [asvs::Shown { number: number.into(), file: "f".into(), test: "t".into() }];
    let document = |shown: &[asvs::Shown]| asvs::document(&requirements, shown);
    assert!(document(&[]).unwrap().contains("| 1.2.3 | L1 | a | **open** |"));
    let fresh = document(&shown("1.2.3")).unwrap();
    assert!(fresh.contains("| 1.2.3 | L1 | a | pass | f: `t` |\n| 1.2.10 | L2 | b | n/a | c |"), "{fresh}");
    assert!(fresh.contains("| all | 1 | 1 | 0 | 0 |"), "{fresh}");
    assert!(document(&shown("9.9.9")).unwrap_err()[0].contains("not in"));
    assert!(document(&shown("1.2.10")).unwrap_err()[0].contains("does not apply"));
    for wrong in [
        "\"1.2\" = { level = 1, text = \"a\" }",
        "\"1.2.3\" = { level = 4, text = \"a\" }",
        "\"1.2.3\" = { level = 1 }",
        "\"1.2.3\" = { level = 1, text = \"a\", state = \"b\" }",
        "\"1.2.3\" = { level = 1, text = \"a\", document = \"docs/none.md\" }",
        "\"1.2.3\" = { level = 1, text = \"a\", deviation = \"b\", not_applicable = \"c\" }",
        "\"1.2.3\" = 7",
    ] {
        assert!(asvs::requirements(wrong).is_err(), "{wrong}");
    }
}
