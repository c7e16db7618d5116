//! `audit_events`: append-only record of who did what. Rows are never updated.

use crate::id::{EventId, SessionId, UserId};
use crate::sealed::{BlindIndex, Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// How the recorded act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))")]
pub enum Status {
    /// It was done.
    #[sea_orm(string_value = "SUCCESS")]
    Success,
    /// It was tried and did not succeed.
    #[sea_orm(string_value = "FAILURE")]
    Failure,
    /// It was refused.
    #[sea_orm(string_value = "DENIED")]
    Denied,
    /// It wants somebody's attention.
    #[sea_orm(string_value = "ALERT")]
    Alert,
}

/// Marks `audit_events.address`.
#[derive(Debug)]
pub enum EventAddress {}
impl SealedField for EventAddress {
    const TABLE: &'static str = "audit_events";
    const COLUMN: &'static str = "address";
}

/// Marks `audit_events.user_agent`.
#[derive(Debug)]
pub enum EventAgent {}
impl SealedField for EventAgent {
    const TABLE: &'static str = "audit_events";
    const COLUMN: &'static str = "user_agent";
}

/// Marks `audit_events.details`.
#[derive(Debug)]
pub enum EventDetails {}
impl SealedField for EventDetails {
    const TABLE: &'static str = "audit_events";
    const COLUMN: &'static str = "details";
}

/// A row of `audit_events`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// The event's id; newest first is descending by it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// The hash chain that the row belongs to (one writer at a time each).
    pub chain: Uuid,
    /// The row's place in its chain, from 1.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The kind of event, in the OWASP logging vocabulary.
    pub event_type: String,
    /// The GraphQL field or command that caused it.
    pub action: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Who did it, when known.
    pub actor_id: Option<UserId>,
    /// In which session.
    pub session_id: Option<SessionId>,
    /// The request's id, as in the logs and the answer.
    pub request_id: Option<String>,
    /// From which address, sealed.
    pub address: Option<Sealed<EventAddress>>,
    /// Blind index of the address.
    pub address_index: Option<BlindIndex<EventAddress>>,
    /// With which user agent, sealed.
    pub user_agent: Option<Sealed<EventAgent>>,
    /// What kind of thing it was done to.
    pub resource_type: Option<String>,
    /// Which one.
    pub resource_id: Option<String>,
    /// More, as JSON, sealed.
    pub details: Option<Sealed<EventDetails>>,
    /// HMAC-SHA-256 over the previous row's MAC and this row.
    pub mac: Vec<u8>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
