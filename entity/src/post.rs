//! `posts`: the example of an owned resource.

use crate::id::{PostId, UserId};
use crate::time::Timestamp;
use sea_orm::entity::prelude::*;

/// Who may read a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))")]
pub enum Visibility {
    /// Everyone.
    #[sea_orm(string_value = "PUBLIC")]
    Public,
    /// Its owner and moderators.
    #[sea_orm(string_value = "PRIVATE")]
    Private,
}

/// A row of `posts`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "posts")]
pub struct Model {
    /// The post's id; newest first is descending by it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PostId,
    /// Its owner.
    pub author_id: UserId,
    /// The title, as given.
    pub title: String,
    /// The text, as given.
    pub body: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// Starts at 1, grows by one with every change.
    pub version: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Relations are joined where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {
    /// Who wrote it.
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::AuthorId", to = "super::user::Column::Id")]
    Author,
}

impl Related<super::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Author.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
