//! `key_canaries`: one row for each master key that the database was ever written under.
//!
//! A keyring whose key of that number cannot open its canary is another keyring, and is refused.

use crate::sealed::{Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// Marks `key_canaries.canary`.
#[derive(Debug)]
pub enum KeyCanary {}
impl SealedField for KeyCanary {
    const TABLE: &'static str = "key_canaries";
    const COLUMN: &'static str = "canary";
}

/// A row of `key_canaries`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_canaries")]
pub struct Model {
    /// The key's number.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// A known value, sealed under that key.
    pub canary: Sealed<KeyCanary>,
    /// When the key was first current.
    pub first_used_at: Timestamp,
    /// When another key was first seen to be current in its place.
    pub superseded_at: Option<Timestamp>,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
