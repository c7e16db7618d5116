//! `users`: one row a person. What identifies or contacts them is sealed.

use crate::id::UserId;
use crate::sealed::{BlindIndex, Sealed, SealedField};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// What a user may do, as a named set of permissions (`access::role`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum Role {
    /// Reads and writes posts of their own.
    #[sea_orm(string_value = "USER")]
    User,
    /// Also removes others' posts and reads accounts.
    #[sea_orm(string_value = "MODERATOR")]
    Moderator,
    /// Holds every permission.
    #[sea_orm(string_value = "ADMIN")]
    Admin,
}

/// Marks `users.email`.
#[derive(Debug)]
pub enum UserEmail {}
impl SealedField for UserEmail {
    const TABLE: &'static str = "users";
    const COLUMN: &'static str = "email";
}

/// Marks `users.full_name`.
#[derive(Debug)]
pub enum UserFullName {}
impl SealedField for UserFullName {
    const TABLE: &'static str = "users";
    const COLUMN: &'static str = "full_name";
}

/// Marks `users.phone`.
#[derive(Debug)]
pub enum UserPhone {}
impl SealedField for UserPhone {
    const TABLE: &'static str = "users";
    const COLUMN: &'static str = "phone";
}

/// A row of `users`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The account's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// The name as its owner spells it (NFC).
    pub username: String,
    /// The name case-folded, for uniqueness and lookup.
    pub username_key: String,
    /// The address, sealed.
    pub email: Sealed<UserEmail>,
    /// Blind index of the normalised address, for uniqueness and lookup.
    pub email_index: BlindIndex<UserEmail>,
    /// The same under the next key while a rotation runs.
    pub email_index_next: Option<BlindIndex<UserEmail>>,
    /// When the address was proved to be theirs.
    pub email_verified_at: Option<Timestamp>,
    /// The person's name, sealed.
    pub full_name: Option<Sealed<UserFullName>>,
    /// A telephone number, sealed.
    pub phone: Option<Sealed<UserPhone>>,
    /// Argon2id PHC string over the peppered password.
    pub password_hash: String,
    /// Whether the password is long enough beside a second factor only.
    pub password_needs_mfa: bool,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in and act.
    pub is_active: bool,
    /// Set while a second factor is enrolled.
    pub mfa_enrolled_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
