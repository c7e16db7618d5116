//! `backup_codes`: one row a code that has not been used.

use crate::id::{BackupCodeId, UserId};
use sea_orm::entity::prelude::*;

/// A row of `backup_codes`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backup_codes")]
pub struct Model {
    /// The code's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BackupCodeId,
    /// Whose it is.
    pub user_id: UserId,
    /// SHA-256 of the 120-bit code.
    pub code_hash: Vec<u8>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
