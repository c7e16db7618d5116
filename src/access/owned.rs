//! Ownership: rows that belong to a person, and the proof that one does.
//!
//! [`Mine`] can only be made here, by a query that names the owner. A function that changes a row
//! takes `Mine<M>`, so code that forgot to ask whose row it is does not compile. A row of somebody
//! else reads exactly like one that does not exist: the same statement, the same answer.

use super::viewer::Identity;
use crate::error::{Error, Result};
use entity::id::UserId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, PrimaryKeyTrait, QueryFilter};

/// A row with one owner.
pub trait Owned: ModelTrait {
    /// The column that holds the owner's id.
    fn owner_column() -> <Self::Entity as EntityTrait>::Column;

    /// The owner's id.
    fn owner(&self) -> UserId;
}

/// A row that was found to belong to the viewer.
#[derive(Debug)]
pub struct Mine<M>(M);

impl<M> Mine<M> {
    /// The row.
    #[must_use]
    pub fn row(&self) -> &M {
        &self.0
    }

    /// The row itself.
    #[must_use]
    pub fn into_row(self) -> M {
        self.0
    }
}

/// Finds the row `id` if it belongs to `identity`, in one statement.
///
/// # Errors
/// [`Error::NotFound`] when there is none or it is somebody else's.
pub async fn find_mine<M>(
    db: &impl ConnectionTrait,
    identity: &Identity,
    id: <<M::Entity as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType,
) -> Result<Mine<M>>
where
    M: Owned + sea_orm::FromQueryResult,
    M::Entity: EntityTrait<Model = M>,
{
    #[allow(clippy::disallowed_methods, reason = "the scoped finder itself")]
    M::Entity::find_by_id(id)
        .filter(M::owner_column().eq(identity.user_id()))
        .one(db)
        .await?
        .map(Mine)
        .ok_or(Error::NotFound)
}
