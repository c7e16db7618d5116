//! An application on a SQLite file of its own, for unit tests.

#![allow(clippy::unwrap_used)]

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Sources};
use tempfile::TempDir;

/// The application and the folder that it lives in.
pub(crate) async fn app() -> (App, TempDir) {
    app_with(&[]).await
}

/// The same with other settings.
pub(crate) async fn app_with(settings: &[(&str, &str)]) -> (App, TempDir) {
    let folder = TempDir::with_prefix("portcullis-test-").unwrap();
    let mut sources = Sources::default()
        .with("PORTCULLIS_DATA_DIR", &folder.path().display().to_string())
        .with("PORTCULLIS_PASSWORD_MEMORY_KIB", "8")
        .with("PORTCULLIS_PASSWORD_ITERATIONS", "1");
    for (name, value) in settings {
        sources = sources.with(name, value);
    }
    let app = App::start(Config::load(sources).unwrap(), Clock::test(1_767_225_600_000)).await.unwrap();
    (app, folder)
}
