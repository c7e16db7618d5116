//! Permissions, and which of them each role holds. This table is the whole of it.

use entity::user::Role;

/// One thing that a role may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Read accounts, personal data included.
    ReadUsers,
    /// Change accounts: activate, unlock, end sessions.
    WriteUsers,
    /// Remove accounts.
    DeleteUsers,
    /// Read posts.
    ReadPosts,
    /// Write posts of one's own.
    WritePosts,
    /// Remove anyone's posts, and read private ones.
    DeletePosts,
    /// Roles, audit trail, bans.
    AdminAccess,
}

use Permission::{AdminAccess, DeletePosts, DeleteUsers, ReadPosts, ReadUsers, WritePosts, WriteUsers};

impl Permission {
    /// All of them.
    pub const ALL: [Self; 7] =
        [ReadUsers, WriteUsers, DeleteUsers, ReadPosts, WritePosts, DeletePosts, AdminAccess];

    /// The name on the wire, as in the schema's enum.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ReadUsers => "READ_USERS",
            WriteUsers => "WRITE_USERS",
            DeleteUsers => "DELETE_USERS",
            ReadPosts => "READ_POSTS",
            WritePosts => "WRITE_POSTS",
            DeletePosts => "DELETE_POSTS",
            AdminAccess => "ADMIN_ACCESS",
        }
    }

    /// The permission of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

/// The role's name on the wire.
#[must_use]
pub const fn name(role: Role) -> &'static str {
    match role {
        Role::User => "USER",
        Role::Moderator => "MODERATOR",
        Role::Admin => "ADMIN",
    }
}

/// What `role` allows.
#[must_use]
pub const fn permissions(role: Role) -> &'static [Permission] {
    match role {
        Role::User => &[ReadPosts, WritePosts],
        Role::Moderator => &[ReadPosts, WritePosts, DeletePosts, ReadUsers],
        Role::Admin => &Permission::ALL,
    }
}

/// Whether `role` holds `permission`.
#[must_use]
pub fn holds(role: Role, permission: Permission) -> bool {
    permissions(role).contains(&permission)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 8.1.1
    #[test]
    fn each_role_holds_exactly_its_permissions() {
        assert_eq!(permissions(Role::User), [ReadPosts, WritePosts]);
        assert_eq!(permissions(Role::Moderator), [ReadPosts, WritePosts, DeletePosts, ReadUsers]);
        assert_eq!(permissions(Role::Admin).len(), 7);
        for permission in Permission::ALL {
            assert!(holds(Role::Admin, permission));
            assert_eq!(Permission::from_name(permission.name()), Some(permission));
        }
    }
}
