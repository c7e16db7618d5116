//! `attempts`: one row a subject whose secret was tried and not found right since.

use crate::id::UserId;
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// A row of `attempts`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// What is tried: a kind, and ids or a keyed hash.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The account, where there is one.
    pub user_id: Option<UserId>,
    /// Tries in a row that were let through and were not right.
    pub failures: i32,
    /// None is let through before then.
    pub locked_until: Timestamp,
    /// Names the last try that was let through.
    pub nonce: Vec<u8>,
    /// The last try, let through or not.
    pub updated_at: Timestamp,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
