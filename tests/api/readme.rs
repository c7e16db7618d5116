//! README.md's first session, run as it stands there: what it says comes back is what comes back.

use crate::harness::Kind;
use crate::harness::binary::Place;
use std::process::Command;

/// Stands before the block.
const MARK: &str = "<!-- tests/api/readme.rs runs this block and compares the answers -->";

/// The lines of the block.
fn session() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, after) = readme.split_once(MARK).expect("README.md has the marked block");
    let lines = after.trim_start().lines().map(str::to_owned);
    let block: Vec<String> = lines.skip(1).take_while(|line| line != "```").collect();
    assert!(block.len() > 10);
    block
}

/// Whether `text` is `pattern`, in which `…` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = first;
    let mut open = false;
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
        (last, open) = (part, true);
    }
    rest.is_empty() || (open && last.is_empty())
}

#[test]
fn dots_stand_for_anything() {
    assert!(matches("{\"a\":1}", "{\"a\":1}"));
    assert!(matches("{\"a\":…}…", "{\"a\":1},\"x\""));
    assert!(!matches("{\"a\":1}", "{\"a\":1},"));
    assert!(!matches("{\"a\":…,\"b\"…", "{\"a\":1}"));
}

both! {
    async fn the_first_session_goes_as_the_readme_says(kind: Kind) {
        let mut place = Place::new(kind).await;
        // What a reader has: the default limits.
        place.settings.retain(|(name, _)| !name.contains("_LIMIT_") && !name.contains("_SHIELD_"));
        let server = place.serve();
        let block = session();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block.join("\n")])
            .env("PORTCULLIS", server.url.trim_end_matches("/graphql"))
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
        let expected: Vec<&str> = block.iter().filter_map(|line| line.strip_prefix("# → ")).collect();
        let answers: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(answers.len(), expected.len(), "{text}");
        for (expected, answer) in expected.iter().zip(&answers) {
            assert!(matches(expected, answer), "README.md says {expected}\nbut it is      {answer}");
        }
        server.stop("TERM");
    }
}
