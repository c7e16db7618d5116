//! The reference of settings, for the documents and for `.env.example`. Generated from the one table.

use super::SETTINGS;
use std::fmt::Write;

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Defaults < `portcullis.toml` < `PORTCULLIS_*` environment. In the file a setting is its lower-case name \
         without the prefix (`listen = \"127.0.0.1:8080\"`), flat, no tables. A secret may also come from a file: \
         `PORTCULLIS_MASTER_KEY_FILE=/run/secrets/master-key`. Unknown names, bad values and contradictions are \
         refused at start, all of them at once (`portcullis config check`).\n\n\
         This page is generated: `make schema` refreshes it.\n\n\
         | variable | default | effect |\n|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default =
            if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let secret = if setting.secret { " Secret; also as `_FILE`." } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {default} | {}{secret} |", setting.variable(), setting.doc.trim());
    }
    text
}

/// `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting with its default. Uncomment what you change; secrets belong in files (NAME_FILE).\n\
         # Generated from the table of settings: `make schema` refreshes it.\n",
    );
    for setting in SETTINGS {
        let suffix = if setting.secret { "_FILE" } else { "" };
        let _ =
            write!(text, "\n# {}\n#{}{suffix}={}\n", setting.doc.trim(), setting.variable(), setting.default);
    }
    text
}
