//! `index_states`: under which keys a unique blind index is kept; one row a column.

use sea_orm::entity::prelude::*;

/// A row of `index_states`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "index_states")]
pub struct Model {
    /// `table.column` of the sealed column.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The key that every new row's index is made under.
    pub index_key: i64,
    /// The key that the rotation under way leads to; the same when there is none.
    pub next_key: i64,
    /// Whether older rows' indexes are being exchanged for their next ones.
    pub switching: bool,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
