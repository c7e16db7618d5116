//! `bans`: addresses and networks whose requests are refused at the door.

use crate::id::{BanId, UserId};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// A row of `bans`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bans")]
pub struct Model {
    /// The ban's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BanId,
    /// The network in CIDR form, host bits zero; an address is a network of one.
    pub address: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when; absent: until it is lifted.
    pub expires_at: Option<Timestamp>,
    /// Who banned it; absent: a rule or the command line.
    pub created_by: Option<UserId>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
