//! `sessions`: one row a sign-in that has not ended. The token itself is never stored.

use crate::id::{SessionId, UserId};
use crate::sealed::{Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// How the client carries its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))")]
pub enum Transport {
    /// The `__Host-session` cookie; needs CSRF proof.
    #[sea_orm(string_value = "COOKIE")]
    Cookie,
    /// `Authorization: Bearer`.
    #[sea_orm(string_value = "TOKEN")]
    Token,
}

/// Marks `sessions.address`.
#[derive(Debug)]
pub enum SessionAddress {}
impl SealedField for SessionAddress {
    const TABLE: &'static str = "sessions";
    const COLUMN: &'static str = "address";
}

/// Marks `sessions.user_agent`.
#[derive(Debug)]
pub enum SessionAgent {}
impl SealedField for SessionAgent {
    const TABLE: &'static str = "sessions";
    const COLUMN: &'static str = "user_agent";
}

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The session's public id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// SHA-256 of the 256-bit token.
    pub token_hash: Vec<u8>,
    /// How the token travels.
    pub transport: Transport,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// The last request, to within a minute.
    pub last_seen_at: Timestamp,
    /// When the person last proved who they are.
    pub authenticated_at: Timestamp,
    /// Absolute expiry.
    pub expires_at: Timestamp,
    /// Whether a second factor was used.
    pub mfa: bool,
    /// The client's address at sign-in, sealed.
    pub address: Option<Sealed<SessionAddress>>,
    /// The client's user agent at sign-in, sealed.
    pub user_agent: Option<Sealed<SessionAgent>>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The account that signed in.
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl Related<super::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
