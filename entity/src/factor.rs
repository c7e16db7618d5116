//! `factors`: one row a person with an authenticator app, enrolled or about to be.

use crate::id::{FactorId, UserId};
use crate::sealed::{Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// Marks `factors.secret`.
#[derive(Debug)]
pub enum FactorSecret {}
impl SealedField for FactorSecret {
    const TABLE: &'static str = "factors";
    const COLUMN: &'static str = "secret";
}

/// A row of `factors`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "factors")]
pub struct Model {
    /// The factor's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FactorId,
    /// Whose it is; unique.
    pub user_id: UserId,
    /// The 20 bytes shared with the app, sealed.
    pub secret: Sealed<FactorSecret>,
    /// The last 30-second step whose code was used; no earlier one is accepted.
    pub last_used_step: Option<i64>,
    /// When a first code proved that the app has the secret; before, it counts for nothing.
    pub confirmed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
