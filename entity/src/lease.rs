//! `leases`: which process does what only one may do at a time, and how far it has come.

use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// A row of `leases`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// The work's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The process that holds it.
    pub holder: String,
    /// Free again from then on, unless it is renewed.
    pub expires_at: Timestamp,
    /// Rows done so far.
    pub done: i64,
    /// Rows there were to do.
    pub total: i64,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
