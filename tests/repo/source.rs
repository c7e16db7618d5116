//! Reads Rust as text: comments and strings blanked, the test tail cut off, paths and imports listed.
//!
//! Not a parser. It is exact about what the rules ask (which path is named on which line) for code
//! that rustfmt has laid out, and errs towards reporting.

use std::path::{Path, PathBuf};

/// One Rust file, as the rules see it.
pub struct Source {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The same length of lines, with comments, strings and characters blanked.
    pub code: String,
    /// How many lines come before the file's `#[cfg(test)] mod …` (all of them when it has none).
    pub body_lines: usize,
}

impl Source {
    /// Takes the text of the file at `path`.
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let lines: Vec<&str> = code.lines().collect();
        let tail = lines.iter().enumerate().position(|(at, line)| {
            let next = lines[at + 1..].iter().map(|next| next.trim()).find(|next| !next.starts_with("#["));
            line.trim() == "#[cfg(test)]"
                && next.is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
        });
        Self { path: path.into(), text: text.into(), body_lines: tail.unwrap_or(lines.len()), code }
    }

    /// Whether the line (from 1) is test code: folders and files of tests, and the test tail elsewhere.
    pub fn is_test(&self, line: usize) -> bool {
        let folder =
            self.path.split('/').any(|part| ["tests", "tests.rs", "benches", "fuzz"].contains(&part));
        folder || line > self.body_lines
    }

    /// The path of the module this file is: `src/posts/mod.rs` is `["posts"]`, `src/lib.rs` is `[]`.
    pub fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib")).collect()
    }

    /// Every path named in the file with its line, `use` trees expanded, and `self`, `super`,
    /// `portcullis` turned into `crate`. Paths of one segment are left out, unless imported.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let chars: Vec<char> = self.code.chars().collect();
        let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
        while at < chars.len() {
            let start_line = line;
            if chars[at] == '\n' {
                line += 1;
                at += 1;
                continue;
            }
            if !is_word(chars[at]) {
                at += 1;
                continue;
            }
            let path = read_path(&chars, &mut at, &mut line);
            if path == ["use"] {
                let end = chars[at..].iter().position(|c| *c == ';').map_or(chars.len(), |n| at + n);
                let tree: String = chars[at..end].iter().collect();
                for path in expand(&tree) {
                    found.push((start_line, path));
                }
                line += chars[at..end].iter().filter(|c| **c == '\n').count();
                at = end;
            } else if path.len() > 1 {
                found.push((start_line, path));
            }
        }
        let module: Vec<String> = self.module().into_iter().map(String::from).collect();
        found.into_iter().map(|(line, path)| (line, absolute(&module, path))).collect()
    }

    /// Whether the file itself declares a module of that name, so that the name is not a crate's here.
    pub fn declares_module(&self, name: &str) -> bool {
        self.code.lines().any(|line| {
            let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            line.strip_prefix("mod ").is_some_and(|rest| rest.trim_end_matches([';', '{', ' ']) == name)
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads `a::b::c` (and the `::` before a `{` or `<` not at all) from `at`.
fn read_path(chars: &[char], at: &mut usize, line: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    loop {
        let start = *at;
        while *at < chars.len() && is_word(chars[*at]) {
            *at += 1;
        }
        path.push(chars[start..*at].iter().collect());
        let mut next = *at;
        let mut lines = 0;
        while next < chars.len() && chars[next].is_whitespace() {
            lines += usize::from(chars[next] == '\n');
            next += 1;
        }
        if !(chars.get(next) == Some(&':') && chars.get(next + 1) == Some(&':')) {
            return path;
        }
        next += 2;
        while next < chars.len() && chars[next].is_whitespace() {
            lines += usize::from(chars[next] == '\n');
            next += 1;
        }
        if !chars.get(next).copied().is_some_and(is_word) {
            return path;
        }
        *line += lines;
        *at = next;
    }
}

/// `a::{b, c::d as e}` into `a::b` and `a::c::d`.
pub fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim().trim_start_matches("::");
    if let Some(open) = tree.find('{') {
        let close = tree.rfind('}').unwrap_or(tree.len());
        let head: Vec<String> = segments(&tree[..open]);
        let mut out = Vec::new();
        for part in split_top(&tree[open + 1..close]) {
            for tail in expand(part) {
                let tail = if tail == ["self"] { Vec::new() } else { tail };
                out.push(head.iter().cloned().chain(tail).collect());
            }
        }
        return out;
    }
    let plain = tree.split(" as ").next().unwrap_or(tree);
    if plain.trim().is_empty() { Vec::new() } else { vec![segments(plain)] }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Splits at the commas that are in no inner braces.
fn split_top(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

/// Resolves `self`, `super` and the crate's own name as seen from `module`.
fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut rest = path.as_slice();
    let mut base = match rest.first().map(String::as_str) {
        Some("self" | "super") => module.to_vec(),
        Some("portcullis") => Vec::new(),
        _ => return path,
    };
    while let Some(first) = rest.first() {
        match first.as_str() {
            "self" | "portcullis" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = &rest[1..];
    }
    std::iter::once("crate".to_owned()).chain(base).chain(rest.iter().cloned()).collect()
}

/// Blanks comments, strings and character literals; line breaks stay where they are.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => find(&chars, at, |n| chars[n] == '\n'),
            ('/', Some('*')) => block_comment(&chars, at),
            ('"', _) => string(&chars, at),
            ('\'', _) => character(&chars, at),
            ('r', Some('"' | '#')) if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => {
                raw(&chars, at)
            }
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn find(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|n| stop(*n)).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn string(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != '"' {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// A character literal; a lifetime is left alone.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |n| chars[n] == '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

fn raw(chars: &[char], at: usize) -> usize {
    let open = find(chars, at + 1, |n| chars[n] != '#');
    if chars.get(open) != Some(&'"') {
        return at; // a raw identifier
    }
    let hashes = open - at - 1;
    let close = |n: usize| chars[n] == '"' && (1..=hashes).all(|k| chars.get(n + k) == Some(&'#'));
    (find(chars, open + 1, close) + 1 + hashes).min(chars.len())
}

/// Every file under the root of the repository that is ours: no build output, no dependencies.
pub fn files() -> Vec<String> {
    fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let skipped =
                ["target", "node_modules", "dist", "data", ".git", "security_reports", "corpus", "artifacts"];
            if path.is_dir() && !skipped.contains(&name.as_str()) {
                walk(root, &path, out);
            } else if path.is_file() && name != ".git" {
                let inner = path.strip_prefix(root).unwrap_or(&path);
                out.push(inner.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    let (root, mut out) = (root(), Vec::new());
    walk(&root, &root, &mut out);
    out.sort();
    out
}

/// Every Rust file of the repository.
pub fn rust_files() -> Vec<Source> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| Source::new(&path, &read(&path))).collect()
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository; empty when it is not text.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}
