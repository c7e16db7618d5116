//! Reports refusals to the audit trail: all that are rare by nature, a sample of those that a
//! stranger can repeat for nothing.

use super::client;
use super::door::{Incident, IncidentKind};
use super::passage::Passage;

/// Records a refusal of this kind once a minute for each address.
pub(crate) async fn sampled(passage: &Passage, kind: IncidentKind, rule: &'static str) {
    once_a_minute(passage, kind, rule, true).await;
}

/// Records what was served all the same, once a minute for each address.
pub(crate) async fn watched(passage: &Passage, kind: IncidentKind, rule: &'static str) {
    once_a_minute(passage, kind, rule, false).await;
}

async fn once_a_minute(passage: &Passage, kind: IncidentKind, rule: &'static str, refused: bool) {
    let group = client::group(passage.inbound.address);
    let now = passage.door.clock().monotonic();
    if passage.door.seen().add(now, (group, rule), 1) == 1 {
        record(passage, kind, vec![rule], refused).await;
    }
}

/// Records an incident.
pub(crate) async fn record(passage: &Passage, kind: IncidentKind, rules: Vec<&'static str>, refused: bool) {
    let inbound = passage.inbound.clone();
    passage.door.backend().report(Incident { kind, inbound, rules, refused }).await;
}
