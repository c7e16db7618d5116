//! `tickets`: one row a one-time token that has not been used. The token itself is never stored.

use crate::id::{TicketId, UserId};
use crate::sealed::{Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// What a ticket is good for; it is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum Purpose {
    /// A sign-in whose password was right and that waits for its second factor.
    #[sea_orm(string_value = "MFA")]
    Mfa,
    /// Proves that the account's address is theirs.
    #[sea_orm(string_value = "VERIFY")]
    VerifyEmail,
    /// Proves that another address is theirs, which then becomes the account's.
    #[sea_orm(string_value = "CHANGE_EMAIL")]
    ChangeEmail,
    /// Sets a new password.
    #[sea_orm(string_value = "RESET")]
    ResetPassword,
}

/// Marks `tickets.payload`.
#[derive(Debug)]
pub enum TicketPayload {}
impl SealedField for TicketPayload {
    const TABLE: &'static str = "tickets";
    const COLUMN: &'static str = "payload";
}

/// A row of `tickets`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tickets")]
pub struct Model {
    /// The ticket's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TicketId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is good for.
    pub purpose: Purpose,
    /// SHA-256 of the 256-bit token.
    pub token_hash: Vec<u8>,
    /// What it is bound to (a transport, an address), sealed.
    pub payload: Sealed<TicketPayload>,
    /// Codes that were tried with it.
    pub attempts: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is good for nothing any more.
    pub expires_at: Timestamp,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
