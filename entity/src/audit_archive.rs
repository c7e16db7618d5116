//! `audit_archive`: how far the trail has been archived and removed. No row before the first time.

use sea_orm::entity::prelude::*;

/// The row of `audit_archive`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_archive")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The last chain that was archived: it and all before it are no longer in the table.
    pub through: Uuid,
    /// How many chains were.
    pub chains: i64,
    /// How many events they had.
    pub events: i64,
    /// The digest over their ends, as checkpoints have it.
    pub digest: Vec<u8>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
