//! What a configuration accepts and how it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn problems(sources: Sources) -> Vec<String> {
    Config::load(sources).expect_err("accepted").problems
}

#[test]
fn the_defaults_run_a_development_server() {
    let config = Config::load(Sources::default()).unwrap();
    assert_eq!(config.mode, Mode::Development);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.database_url.is_none());
}

#[test]
fn the_environment_is_stronger_than_the_file() {
    let mut sources = Sources::default();
    sources.add_file(
        "listen = \"127.0.0.1:1\"\nmax_depth = 7\ncors_origins = [\"https://a.example\"]",
        "x.toml",
    );
    let config = Config::load(sources.with("PORTCULLIS_LISTEN", "127.0.0.1:2")).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.max_depth, 7);
    assert_eq!(config.cors_origins.0, ["https://a.example"]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mut sources = Sources::default();
    sources.add_file("listen = \"x\"\n[table]\na = 1", "x.toml");
    let found = problems(
        sources
            .with("PORTCULLIS_LISTEN", "nowhere")
            .with("PORTCULLIS_MAX_DEPTH", "-1")
            .with("PORTCULLIS_NONSENSE", "1")
            .with("PORTCULLIS_DATABASE_URL_FILE", "/does/not/exist"),
    );
    for expected in [
        "`listen`",
        "is a table",
        "PORTCULLIS_LISTEN",
        "PORTCULLIS_MAX_DEPTH",
        "PORTCULLIS_NONSENSE",
        "PORTCULLIS_DATABASE_URL_FILE",
    ] {
        assert!(found.iter().any(|line| line.contains(expected)), "{expected} missing in {found:#?}");
    }
}

#[test]
fn production_refuses_what_is_unsafe() {
    let found = problems(
        Sources::default()
            .with("PORTCULLIS_MODE", "production")
            .with("PORTCULLIS_PASSWORD_MEMORY_KIB", "1024"),
    );
    for expected in [
        "PORTCULLIS_MASTER_KEY",
        "PORTCULLIS_HOSTS",
        "PORTCULLIS_PUBLIC_URL",
        "PORTCULLIS_PASSWORD_MEMORY_KIB",
    ] {
        assert!(found.iter().any(|line| line.contains(expected)), "{expected} missing in {found:#?}");
    }
}

/// ASVS: 13.3.1
#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "postgres://ada:hunter2@db/portcullis\n").unwrap();
    let sources = Sources::default().with("PORTCULLIS_DATABASE_URL_FILE", path.to_str().unwrap());
    let config = Config::load(sources.clone()).unwrap();
    let url = secrecy::ExposeSecret::expose_secret(config.database_url.as_ref().unwrap());
    assert_eq!(url, "postgres://ada:hunter2@db/portcullis");
    assert!(!format!("{config:?}").contains("hunter2"));
    let found = problems(sources.with("PORTCULLIS_DATABASE_URL", "again"));
    assert!(found[0].contains("both set"), "{found:?}");
    let found = problems(Sources::default().with("PORTCULLIS_DATABASE_URL", "mysql://root:hunter2@db"));
    assert!(found.iter().all(|line| !line.contains("hunter2")), "{found:?}");
}

#[test]
fn the_keyring_is_in_a_file_or_in_a_variable() {
    let sources = Sources::default().with("PORTCULLIS_MASTER_KEY_FILE", "/run/secrets/key");
    let config = Config::load(sources.clone()).unwrap();
    assert!(config.master_key.is_none());
    assert_eq!(config.master_key_file.unwrap().to_str(), Some("/run/secrets/key"));
    let found = problems(sources.with("PORTCULLIS_MASTER_KEY", "again"));
    assert!(found[0].contains("both set"), "{found:?}");
}

#[test]
fn only_secrets_are_read_from_files() {
    let found = problems(Sources::default().with("PORTCULLIS_LISTEN_FILE", "/etc/hostname"));
    assert!(found[0].contains("only secrets"), "{found:?}");
}

#[test]
fn the_reference_and_the_example_are_current() {
    for (path, expected) in
        [("docs/configuration.md", reference::markdown()), (".env.example", reference::env_example())]
    {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found.trim_end() == expected.trim_end(), "{} is stale: run `make schema`", path.display());
    }
}

#[test]
fn every_line_of_the_example_is_a_setting_with_its_default() {
    let mut sources = Sources::default();
    for line in reference::env_example().lines().filter(|line| line.starts_with("#PORTCULLIS_")) {
        let (name, value) = line[1..].split_once('=').unwrap();
        if !name.ends_with("_FILE") {
            sources = sources.with(name, value);
        }
    }
    Config::load(sources).unwrap();
}
