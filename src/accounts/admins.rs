//! The last active administrator stays, whoever asks and however many ask at once.
//!
//! Whatever could take away an administrator first locks every active one: `FOR NO KEY UPDATE` on
//! PostgreSQL, the one writer on SQLite. A second request waits there and then sees what the first did.

use crate::access::{Permission, role};
use crate::error::{Error, Result};
use entity::id::UserId;
use entity::user::{Column, Entity, Model, Role};
use sea_orm::sea_query::{Condition, LockType};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// The administrators and one account, locked until the transaction ends.
#[derive(Debug)]
pub struct Locked {
    rows: Vec<Model>,
    target: UserId,
}

/// Locks the active administrators, `target` and `actor` on the transaction `db`.
///
/// # Errors
/// When the database cannot.
pub async fn lock(db: &impl ConnectionTrait, actor: Option<UserId>, target: UserId) -> Result<Locked> {
    let admins = Condition::all().add(Column::Role.eq(Role::Admin)).add(Column::IsActive.eq(true));
    #[allow(clippy::disallowed_methods, reason = "the lock itself: ids and roles, shown to nobody")]
    let rows = Entity::find()
        .filter(
            Condition::any().add(admins).add(Column::Id.is_in([Some(target), actor].into_iter().flatten())),
        )
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(db)
        .await?;
    Ok(Locked { rows, target })
}

impl Locked {
    fn row(&self, id: UserId) -> Option<&Model> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The account that is to change, as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn target(&self) -> Result<&Model> {
        self.row(self.target).ok_or(Error::NotFound)
    }

    /// Whether `actor` still holds `permission`, now that nobody can take it away.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when it was taken meanwhile.
    pub fn still_holds(&self, actor: UserId, permission: Permission) -> Result<()> {
        let holds = self.row(actor).is_some_and(|row| row.is_active && role::holds(row.role, permission));
        if holds { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Whether the target is the only active administrator.
    #[must_use]
    pub fn is_last_admin(&self) -> bool {
        let mut admins = self.rows.iter().filter(|row| row.is_active && row.role == Role::Admin);
        admins.next().is_some_and(|row| row.id == self.target) && admins.next().is_none()
    }

    /// Refuses when the target is the only active administrator.
    ///
    /// # Errors
    /// [`Error::Conflict`].
    pub fn keep_last_admin(&self) -> Result<()> {
        if self.is_last_admin() {
            return Err(Error::Conflict("this is the last active administrator; make another one first"));
        }
        Ok(())
    }
}
