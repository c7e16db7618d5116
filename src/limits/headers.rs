//! What a client is told of its limits.
//!
//! `RateLimit` and `RateLimit-Policy` are structured fields (RFC 9651) as in
//! draft-ietf-httpapi-ratelimit-headers-10; `X-RateLimit-*` speak of the tightest tier;
//! `Retry-After` (RFC 9110) comes with a refusal. Counters of targets are never shown: they would
//! tell a stranger how often others try an account.

use super::charge::{Admission, Charge, Decision, Source, Standing, Subject, Tier};
use std::fmt::Write;

/// Header names, lower-case, and their values. Times are whole seconds, rounded up.
#[must_use]
pub fn headers(charges: &[Charge], admission: &Admission) -> Vec<(&'static str, String)> {
    let mut shown: Vec<(&Charge, Standing)> = Vec::with_capacity(charges.len());
    let refused = match admission.decision {
        Decision::Admitted => None,
        Decision::Refused { index, retry_after_ms } => charges.get(index).map(|one| (one, retry_after_ms)),
    };
    for (charge, standing) in charges.iter().zip(&admission.standings) {
        let known =
            admission.source != Source::Remembered || refused.is_some_and(|(one, _)| one.key == charge.key);
        if charge.subject == Subject::Target || !known {
            continue;
        }
        match shown.iter_mut().find(|(known, _)| known.tier == charge.tier) {
            Some(known) if known.1.remaining > standing.remaining => *known = (charge, *standing),
            Some(_) => {}
            None => shown.push((charge, *standing)),
        }
    }
    let mut headers = Vec::with_capacity(6);
    let (mut policy, mut state) = (String::new(), String::new());
    for (charge, standing) in &shown {
        let comma = if policy.is_empty() { "" } else { ", " };
        let (name, quota) = (charge.tier.as_str(), charge.quota);
        let (window, reset) = (seconds(quota.window_ms), seconds(standing.reset_ms));
        // Writing to a String cannot fail.
        let _ = write!(policy, "{comma}\"{name}\";q={};w={window}", quota.limit);
        let _ = write!(state, "{comma}\"{name}\";r={};t={reset}", standing.remaining);
    }
    if !shown.is_empty() {
        headers.push(("ratelimit-policy", policy));
        headers.push(("ratelimit", state));
    }
    let tightest = shown.iter().filter(|(charge, _)| charge.tier != Tier::Cost).min_by(|left, right| {
        // The smaller share left: l/L against r/R as l·R against r·L.
        let of = |one: &(&Charge, Standing), other: &(&Charge, Standing)| {
            u64::from(one.1.remaining) * u64::from(other.0.quota.limit)
        };
        of(left, right).cmp(&of(right, left))
    });
    let simple = match refused {
        Some((charge, retry)) => Some((charge.quota.limit, 0, retry)),
        None => {
            tightest.map(|(charge, standing)| (charge.quota.limit, standing.remaining, standing.reset_ms))
        }
    };
    if let Some((limit, remaining, reset)) = simple {
        headers.push(("x-ratelimit-limit", limit.to_string()));
        headers.push(("x-ratelimit-remaining", remaining.to_string()));
        headers.push(("x-ratelimit-reset", seconds(reset).to_string()));
    }
    if let Some((_, retry)) = refused {
        headers.push(("retry-after", seconds(retry).max(1).to_string()));
    }
    headers
}

fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1_000)
}
