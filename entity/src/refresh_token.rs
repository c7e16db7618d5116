//! `refresh_tokens`: what renews a session that travels as a token. Each is good once.

use crate::id::{RefreshId, SessionId};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// A row of `refresh_tokens`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// The row's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefreshId,
    /// The session that it renews: the family. It ends with its session.
    pub session_id: SessionId,
    /// SHA-256 of the 256-bit token.
    pub token_hash: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used, and a successor took its place.
    pub replaced_at: Option<Timestamp>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
