//! Refuses banned addresses. The list itself is the application's: kept in the database, spread to
//! every replica, asked here in memory.

use super::door::IncidentKind;
use super::incidents;
use super::passage::Passage;
use super::refusal::Refusal;
use warp::Rejection;

/// Refuses a request from a banned address (403).
pub(crate) async fn admitted(passage: Passage) -> Result<Passage, Rejection> {
    if !passage.door.backend().is_banned(passage.inbound.address) {
        return Ok(passage);
    }
    incidents::sampled(&passage, IncidentKind::BannedRequest, "banned address").await;
    Err(Refusal::BANNED.into())
}
