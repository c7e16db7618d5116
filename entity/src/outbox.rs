//! `outbox`: one row a message that has not been sent.

use crate::id::MailId;
use crate::sealed::{Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// Marks `outbox.recipient`.
#[derive(Debug)]
pub enum OutboxRecipient {}
impl SealedField for OutboxRecipient {
    const TABLE: &'static str = "outbox";
    const COLUMN: &'static str = "recipient";
}

/// Marks `outbox.body`.
#[derive(Debug)]
pub enum OutboxBody {}
impl SealedField for OutboxBody {
    const TABLE: &'static str = "outbox";
    const COLUMN: &'static str = "body";
}

/// A row of `outbox`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// The message's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MailId,
    /// What kind of message, for operators.
    pub kind: String,
    /// The address it goes to, sealed.
    pub recipient: Sealed<OutboxRecipient>,
    /// What it says (JSON), sealed.
    pub body: Sealed<OutboxBody>,
    /// Attempts to send it so far.
    pub attempts: i32,
    /// When it was written.
    pub created_at: Timestamp,
    /// When to try next.
    pub due_at: Timestamp,
    /// When it was given up.
    pub failed_at: Option<Timestamp>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
