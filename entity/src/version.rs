//! `versions`: a number a shared list, which grows with every change: replicas poll it and reload.

use sea_orm::entity::prelude::*;

/// A row of `versions`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "versions")]
pub struct Model {
    /// Which list.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Its version.
    pub version: i64,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
