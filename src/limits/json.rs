//! The request body before serde: size, nesting, count of values, duplicate members.
//!
//! One pass over the bytes, no allocation. Malformed JSON is left for serde to name; what the scan
//! guarantees is that nesting and values are never below what serde would build. A member given
//! twice in the request object is refused, because two readers of one body (a proxy and this
//! server, or a log and this server) could otherwise take different ones.

use super::violation::{Limit, Violation, ViolationCode};
use std::fmt;

/// Nesting past this is refused in any mode: serde_json itself stops at 128.
pub const JSON_NESTING_CEILING: u64 = 120;
/// Members of one request object; GraphQL over HTTP names four.
const MEMBERS: usize = 16;

/// Limits of a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLimits {
    /// Bytes of the body.
    pub bytes: Limit,
    /// Arrays and objects open at once, the request object counted.
    pub nesting: Limit,
    /// Values in all: every element, member and scalar costs memory.
    pub values: Limit,
    /// Bytes of one request's `variables`.
    pub variables_bytes: Limit,
    /// Nesting within one request's `variables`.
    pub variables_nesting: Limit,
    /// Requests in one body sent as an array.
    pub batch: Limit,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            bytes: Limit::new(256 * 1024),
            nesting: Limit::new(32),
            values: Limit::new(10_000),
            variables_bytes: Limit::new(128 * 1024),
            variables_nesting: Limit::new(16),
            batch: Limit::new(10),
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonReport {
    /// Bytes of the body.
    pub bytes: u64,
    /// Most arrays and objects open at once.
    pub nesting: u64,
    /// Values.
    pub values: u64,
    /// Bytes of the largest `variables`.
    pub variables_bytes: u64,
    /// Deepest nesting within `variables`.
    pub variables_nesting: u64,
    /// Requests in the array; `None` when the body is not an array.
    pub batch: Option<u64>,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonRefusal {
    /// A limit is passed.
    Limit(Violation),
    /// A request object has one member twice, or more members than any request has.
    DuplicateMember,
}

impl fmt::Display for JsonRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(violation) => violation.fmt(f),
            Self::DuplicateMember => f.write_str("a request object must not have the same member twice"),
        }
    }
}

impl std::error::Error for JsonRefusal {}

impl From<Violation> for JsonRefusal {
    fn from(violation: Violation) -> Self {
        Self::Limit(violation)
    }
}

/// Counts `body` against `limits`.
///
/// # Errors
/// The first enforced limit passed, or a duplicate member. Reported limits are put on `shadow`.
pub fn check(
    body: &[u8],
    limits: &JsonLimits,
    shadow: &mut Vec<Violation>,
) -> Result<JsonReport, JsonRefusal> {
    use ViolationCode::{BatchTooLarge, QueryTooDeep, QueryTooLarge};
    let keep = usize::try_from(limits.bytes.stop()).unwrap_or(usize::MAX).min(body.len());
    let mut walk = Walk::new(&body[..keep]);
    let nesting_stop = limits.nesting.stop().min(JSON_NESTING_CEILING);
    while walk.step()? {
        if walk.report.nesting > nesting_stop
            || walk.report.values > limits.values.stop()
            || walk.report.batch.is_some_and(|found| found > limits.batch.stop())
        {
            break;
        }
    }
    let mut report = walk.report;
    report.bytes = body.len() as u64;
    if report.nesting > JSON_NESTING_CEILING {
        let nesting = Limit::new(limits.nesting.max.min(JSON_NESTING_CEILING));
        nesting.check(QueryTooDeep, "body_nesting", report.nesting, shadow)?;
    }
    limits.batch.check(BatchTooLarge, "batch", report.batch.unwrap_or(1), shadow)?;
    limits.variables_nesting.check(QueryTooDeep, "variables_nesting", report.variables_nesting, shadow)?;
    limits.nesting.check(QueryTooDeep, "body_nesting", report.nesting, shadow)?;
    limits.variables_bytes.check(QueryTooLarge, "variables_bytes", report.variables_bytes, shadow)?;
    limits.values.check(QueryTooLarge, "body_values", report.values, shadow)?;
    limits.bytes.check(QueryTooLarge, "body_bytes", report.bytes, shadow)?;
    Ok(report)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u64,
    /// The depth at which a request object's members are.
    base: u64,
    /// At `base`, inside an object.
    in_request: bool,
    /// The next string at `base` is a member's name.
    name_next: bool,
    members: [&'a [u8]; MEMBERS],
    count: usize,
    /// Where the value of `variables` starts.
    variables: Option<usize>,
    report: JsonReport,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            base: 1,
            in_request: false,
            name_next: false,
            members: [&[]; MEMBERS],
            count: 0,
            variables: None,
            report: JsonReport::default(),
        }
    }

    fn step(&mut self) -> Result<bool, JsonRefusal> {
        let Some(&byte) = self.bytes.get(self.at) else { return Ok(false) };
        match byte {
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(),
            b',' => {
                if self.depth == self.base && self.in_request {
                    self.end_of_member();
                    self.name_next = true;
                }
                self.at += 1;
            }
            b'"' => self.string()?,
            b':' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
            _ => {
                self.value();
                while let Some(byte) = self.bytes.get(self.at) {
                    if matches!(
                        byte,
                        b',' | b'}' | b']' | b'{' | b'[' | b'"' | b':' | b' ' | b'\n' | b'\r' | b'\t'
                    ) {
                        break;
                    }
                    self.at += 1;
                }
            }
        }
        Ok(true)
    }

    fn value(&mut self) {
        self.report.values += 1;
        if self.base == 2 && self.depth == 1 {
            self.report.batch = self.report.batch.map(|count| count + 1);
        }
    }

    fn open(&mut self, byte: u8) {
        if self.depth == 0 && self.report.values == 0 && byte == b'[' {
            self.base = 2;
            self.report.batch = Some(0);
        }
        self.value();
        self.depth += 1;
        self.report.nesting = self.report.nesting.max(self.depth);
        if self.variables.is_some() {
            let within = self.depth - self.base;
            self.report.variables_nesting = self.report.variables_nesting.max(within);
        }
        if self.depth == self.base {
            self.in_request = byte == b'{';
            self.name_next = self.in_request;
            self.count = 0;
        }
        self.at += 1;
    }

    fn close(&mut self) {
        if self.depth == self.base {
            self.end_of_member();
            self.in_request = false;
        }
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
    }

    fn end_of_member(&mut self) {
        if let Some(start) = self.variables.take() {
            self.report.variables_bytes = self.report.variables_bytes.max((self.at - start) as u64);
        }
    }

    fn string(&mut self) -> Result<(), JsonRefusal> {
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                _ => self.at += 1,
            }
        }
        let text = &self.bytes[start..self.at];
        self.at = (self.at + 1).min(self.bytes.len());
        if !(self.depth == self.base && self.in_request && self.name_next) {
            self.value();
            return Ok(());
        }
        self.name_next = false;
        if self.count == MEMBERS || self.members[..self.count].iter().any(|member| same(member, text)) {
            return Err(JsonRefusal::DuplicateMember);
        }
        self.members[self.count] = text;
        self.count += 1;
        if same(text, b"variables") {
            self.variables = Some(self.at);
        }
        Ok(())
    }
}

/// Whether two JSON strings, as written between their quotes, mean the same text.
fn same(left: &[u8], right: &[u8]) -> bool {
    if !left.contains(&b'\\') && !right.contains(&b'\\') {
        return left == right;
    }
    units(left).eq(units(right))
}

/// A JSON string's UTF-8 bytes and UTF-16 escapes as comparable units. Only ASCII escapes fold into
/// bytes: the member names that matter are ASCII.
fn units(text: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        at += 1;
        if byte != b'\\' {
            return Some(u32::from(byte));
        }
        let escape = *text.get(at)?;
        at += 1;
        Some(match escape {
            b'n' => 10,
            b't' => 9,
            b'r' => 13,
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let code = text.get(at..at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
                at += 4;
                let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0xFFFD);
                if code < 0x80 { code } else { code | 0x1_0000 }
            }
            other => u32::from(other),
        })
    })
}
