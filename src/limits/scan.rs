//! The lexical scan: one pass over the bytes of a document before any parser sees it.
//!
//! The GraphQL parser recurses on brackets of every kind without bound and allocates for every
//! token, so nothing may reach it uncounted. The scan allocates nothing, looks at each byte at
//! most twice, and stops at the first enforced limit passed.
//!
//! It is not a parser: what is malformed is left for the parser to name. What it guarantees is
//! that its counts are never below what the parser can meet. Outside brackets `( )` a colon can
//! only follow an alias, so aliases and fields are counted exactly without parsing.

use super::violation::{Limit, Violation, ViolationCode};

/// Nesting past this is refused even when the limit is only reported: the parser's stack is finite.
pub const NESTING_CEILING: u64 = 96;

/// Limits of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanLimits {
    /// Bytes of the document.
    pub bytes: Limit,
    /// Tokens: names, numbers, strings and punctuators. Comments are bounded by `bytes`.
    pub tokens: Limit,
    /// Open brackets of every kind at once, those inside values and types too.
    pub nesting: Limit,
    /// Bytes of one string, quotes not counted.
    pub string_bytes: Limit,
    /// Bytes of one name or number.
    pub name_bytes: Limit,
    /// Directives (`@`) in the whole document.
    pub directives: Limit,
    /// Aliases in the whole document as written, fragments not expanded.
    pub aliases: Limit,
    /// Fields in the whole document as written, fragments not expanded.
    pub fields: Limit,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            bytes: Limit::new(32 * 1024),
            tokens: Limit::new(3_000),
            nesting: Limit::new(32),
            string_bytes: Limit::new(20_000),
            name_bytes: Limit::new(128),
            directives: Limit::new(50),
            aliases: Limit::new(30),
            fields: Limit::new(500),
        }
    }
}

/// What the scan counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanReport {
    /// Bytes of the document.
    pub bytes: u64,
    /// Tokens.
    pub tokens: u64,
    /// Most brackets open at once.
    pub nesting: u64,
    /// Bytes of the longest string.
    pub string_bytes: u64,
    /// Bytes of the longest name or number.
    pub name_bytes: u64,
    /// Directives.
    pub directives: u64,
    /// Aliases.
    pub aliases: u64,
    /// Fields.
    pub fields: u64,
    /// Bytes looked at: at most twice the document's.
    pub steps: u64,
}

/// What came before the token at hand, as far as counting fields needs it.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Other,
    At,
    Spread,
    On,
}

/// Counts `document` against `limits`.
///
/// # Errors
/// The first enforced limit passed. Reported ones are put on `shadow`.
pub fn scan(
    document: &str,
    limits: &ScanLimits,
    shadow: &mut Vec<Violation>,
) -> Result<ScanReport, Violation> {
    use ViolationCode::{
        QueryTooComplex, QueryTooDeep, QueryTooLarge, QueryTooManyAliases, QueryTooManyDirectives,
    };
    let all = document.as_bytes();
    let size = all.len() as u64;
    // A document over its size still gets the more telling code when its beginning earns one.
    let keep = usize::try_from(limits.bytes.stop()).unwrap_or(usize::MAX).min(all.len());
    let mut scanner = Scanner::new(&all[..keep]);
    let nesting_stop = limits.nesting.stop().min(NESTING_CEILING);
    let token_stop = limits.tokens.stop();
    let string_stop = limits.string_bytes.stop();
    let name_stop = limits.name_bytes.stop();
    let directive_stop = limits.directives.stop();
    let alias_stop = limits.aliases.stop();
    let field_stop = limits.fields.stop();
    while scanner.step() {
        let seen = &scanner.report;
        // A field's alias counts as a field until its colon is met, hence the one more.
        if seen.tokens > token_stop
            || seen.nesting > nesting_stop
            || seen.string_bytes > string_stop
            || seen.name_bytes > name_stop
            || seen.directives > directive_stop
            || seen.aliases > alias_stop
            || seen.fields > field_stop.saturating_add(1)
        {
            break;
        }
    }
    let mut report = scanner.report;
    report.bytes = size;
    if report.nesting > NESTING_CEILING {
        let nesting = Limit::new(limits.nesting.max.min(NESTING_CEILING));
        nesting.check(QueryTooDeep, "nesting", report.nesting, shadow)?;
    }
    limits.nesting.check(QueryTooDeep, "nesting", report.nesting, shadow)?;
    limits.aliases.check(QueryTooManyAliases, "aliases", report.aliases, shadow)?;
    limits.directives.check(QueryTooManyDirectives, "directives", report.directives, shadow)?;
    limits.fields.check(QueryTooComplex, "fields", report.fields, shadow)?;
    limits.string_bytes.check(QueryTooLarge, "string_bytes", report.string_bytes, shadow)?;
    limits.name_bytes.check(QueryTooLarge, "name_bytes", report.name_bytes, shadow)?;
    limits.tokens.check(QueryTooLarge, "tokens", report.tokens, shadow)?;
    limits.bytes.check(QueryTooLarge, "document_bytes", report.bytes, shadow)?;
    Ok(report)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u64,
    parens: u64,
    before: Before,
    /// No block string that opens from here on can close: later ones are not searched again.
    blocks_end: bool,
    report: ScanReport,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            parens: 0,
            before: Before::Other,
            blocks_end: false,
            report: ScanReport::default(),
        }
    }

    /// Takes one token, comment or blank; false at the end.
    fn step(&mut self) -> bool {
        let Some(&byte) = self.bytes.get(self.at) else { return false };
        let start = self.at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
            b'#' => {
                while self.at < self.bytes.len() && !matches!(self.bytes[self.at], b'\n' | b'\r') {
                    self.at += 1;
                }
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => self.name(),
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'.' if self.bytes[self.at..].starts_with(b"...") => {
                self.at += 3;
                self.token(Before::Spread);
            }
            0xEF if self.bytes[self.at..].starts_with(b"\xEF\xBB\xBF") => self.at += 3,
            _ => self.punctuator(byte),
        }
        self.report.steps += (self.at - start) as u64;
        true
    }

    fn token(&mut self, before: Before) {
        self.report.tokens += 1;
        self.before = before;
    }

    fn name(&mut self) {
        let start = self.at;
        while self.at < self.bytes.len()
            && matches!(self.bytes[self.at], b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
        {
            self.at += 1;
        }
        self.report.name_bytes = self.report.name_bytes.max((self.at - start) as u64);
        let mut before = Before::Other;
        if self.parens == 0 && self.depth > 0 {
            match self.before {
                Before::Other => self.report.fields += 1,
                Before::Spread if &self.bytes[start..self.at] == b"on" => before = Before::On,
                Before::At | Before::Spread | Before::On => {}
            }
        }
        self.token(before);
    }

    fn number(&mut self) {
        let start = self.at;
        self.at += 1;
        while self.at < self.bytes.len()
            && matches!(self.bytes[self.at], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
        {
            self.at += 1;
        }
        self.report.name_bytes = self.report.name_bytes.max((self.at - start) as u64);
        self.token(Before::Other);
    }

    fn punctuator(&mut self, byte: u8) {
        self.at += 1;
        match byte {
            b'{' | b'[' | b'(' => {
                self.depth += 1;
                self.parens += u64::from(byte == b'(');
                self.report.nesting = self.report.nesting.max(self.depth);
            }
            b'}' | b']' | b')' => {
                self.depth = self.depth.saturating_sub(1);
                self.parens = self.parens.saturating_sub(u64::from(byte == b')'));
            }
            b':' if self.parens == 0 && self.depth > 0 => {
                self.report.aliases += 1;
                self.report.fields = self.report.fields.saturating_sub(1);
            }
            b'@' => {
                self.report.directives += 1;
                return self.token(Before::At);
            }
            _ => {}
        }
        self.token(Before::Other);
    }

    fn string(&mut self) {
        if self.bytes[self.at..].starts_with(b"\"\"\"") && !self.blocks_end {
            if let Some(end) = self.block_end(self.at + 3) {
                self.report.string_bytes = self.report.string_bytes.max((end - self.at - 3) as u64);
                self.at = end + 3;
                return self.token(Before::Other);
            }
            // The parser reads an unclosed `"""` as an empty string and one more quote, and so must
            // the scan, or brackets could hide in what only one of them takes for a string. If this
            // one has no end, no later one has: they would meet the same closing quotes.
            self.blocks_end = true;
            self.report.steps += (self.bytes.len() - self.at) as u64;
        }
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' | b'\n' | b'\r' => break,
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                _ => self.at += 1,
            }
        }
        self.report.string_bytes = self.report.string_bytes.max((self.at - start) as u64);
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
        }
        self.token(Before::Other);
    }

    /// Where the block string whose text starts at `from` closes.
    fn block_end(&self, from: usize) -> Option<usize> {
        let mut at = from;
        while at < self.bytes.len() {
            match self.bytes[at] {
                b'"' if self.bytes[at..].starts_with(b"\"\"\"") => return Some(at),
                b'\\' if self.bytes[at..].starts_with(b"\\\"\"\"") => at += 4,
                _ => at += 1,
            }
        }
        None
    }
}
