//! Configuration: defaults < `portcullis.toml` < `PORTCULLIS_*` environment.
//!
//! [`settings`] is the one table of settings; [`value`] parses each kind; [`check`] refuses
//! contradictions. Everything wrong is reported at once, each line naming the setting and the fix.
//! This module is the only reader of the environment.

mod check;
pub mod reference;
mod settings;
mod value;

pub use settings::{Config, SETTINGS};
pub use value::{Algorithm, List, Mode, Value};

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is known of one setting, for the reference in the documents and `.env.example`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in `portcullis.toml`; in the environment `PORTCULLIS_` and the key in capitals.
    pub name: &'static str,
    /// The default, as one would write it.
    pub default: &'static str,
    /// Whether it is a secret: then `…_FILE` may name a file that holds it.
    pub secret: bool,
    /// What it does, with its unit.
    pub doc: &'static str,
}

impl Setting {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("PORTCULLIS_{}", self.name.to_uppercase())
    }
}

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// One sentence a problem, each naming the setting.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

/// Where settings come from, gathered before any is parsed.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// Key → text, from the file.
    file: BTreeMap<String, String>,
    /// Variable → text, from the environment (names that begin with `PORTCULLIS_` only).
    environment: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Sources {
    /// Reads the process's environment and the configuration file: `path` when given, else
    /// `portcullis.toml` in the current folder when there is one.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one reader of the environment")]
    pub fn from_process(path: Option<&Path>) -> Self {
        let mut sources = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("PORTCULLIS_")) else { continue };
            match value.into_string() {
                Ok(value) => {
                    sources.environment.insert(name.to_owned(), value);
                }
                Err(_) => sources.problems.push(format!("{name} is not valid UTF-8")),
            }
        }
        let default = PathBuf::from("portcullis.toml");
        let (file, required) = path.map_or((default.as_path(), false), |path| (path, true));
        match std::fs::read_to_string(file) {
            Ok(text) => sources.add_file(&text, &file.display().to_string()),
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => sources.problems.push(format!("{}: {error}", file.display())),
        }
        sources
    }

    /// Takes the settings in `text` (TOML, flat), called `name` in messages.
    pub fn add_file(&mut self, text: &str, name: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                self.problems.push(format!("{name} is not valid TOML: {}", error.message()));
                return;
            }
        };
        for (key, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Array(items) => items
                    .iter()
                    .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                toml::Value::Table(_) => {
                    self.problems.push(format!("{name}: `{key}` is a table; settings are flat keys"));
                    continue;
                }
                other => other.to_string(),
            };
            self.file.insert(key, text);
        }
    }

    /// Sets one variable, as the environment would.
    #[must_use]
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.environment.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// The text for `setting`, from the strongest source that has it; takes it out of the sources.
    fn take(&mut self, setting: &Setting) -> Option<String> {
        let file_value = self.file.remove(setting.name);
        let file_path = self.file.remove(&format!("{}_file", setting.name));
        let variable = setting.variable();
        let value = self.environment.remove(&variable);
        let path = self.environment.remove(&format!("{variable}_FILE"));
        if !setting.secret && (path.is_some() || file_path.is_some()) {
            self.problems
                .push(format!("{variable}_FILE: only secrets are read from files; set {variable} itself"));
        }
        if value.is_some() && path.is_some() {
            self.problems.push(format!("{variable} and {variable}_FILE are both set; keep one"));
        }
        let from_file = |path: String, problems: &mut Vec<String>| match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => {
                problems.push(format!("{variable}_FILE: {path}: {error}"));
                None
            }
        };
        value
            .or_else(|| path.and_then(|path| from_file(path, &mut self.problems)))
            .or(file_value)
            .or_else(|| file_path.and_then(|path| from_file(path, &mut self.problems)))
    }

    /// Whatever no setting took is unknown.
    fn refuse_unknown(&mut self) {
        for key in self.file.keys() {
            self.problems.push(format!("`{key}` in the configuration file is not a setting{}", suggest(key)));
        }
        for name in self.environment.keys() {
            let key = name.trim_start_matches("PORTCULLIS_").to_lowercase();
            self.problems.push(format!("{name} is not a setting{}", suggest(&key)));
        }
    }
}

/// Offers the setting that shares the longest beginning with `key`.
fn suggest(key: &str) -> String {
    let shared = |name: &str| name.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
    SETTINGS
        .iter()
        .max_by_key(|setting| shared(setting.name))
        .filter(|setting| shared(setting.name) >= 3)
        .map_or_else(String::new, |setting| format!("; did you mean `{}`?", setting.name))
}

#[cfg(test)]
mod tests;
