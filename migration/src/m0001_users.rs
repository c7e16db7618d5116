//! Accounts. What identifies or contacts a person is sealed; the blind index makes the address unique.

use crate::columns::{bytes, id, index, optional, text, time, unique};
use sea_orm_migration::prelude::*;

/// See the module's docs.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("users")
                    .col(id("id").primary_key())
                    .col(text("username"))
                    .col(text("username_key"))
                    .col(bytes("email"))
                    .col(bytes("email_index"))
                    .col(optional(bytes("email_index_next")))
                    .col(optional(time("email_verified_at")))
                    .col(optional(bytes("full_name")))
                    .col(optional(bytes("phone")))
                    .col(text("password_hash"))
                    .col(text("role"))
                    .col(ColumnDef::new("is_active").boolean().not_null())
                    .col(optional(time("mfa_enrolled_at")))
                    .col(ColumnDef::new("failed_logins").integer().not_null().default(0))
                    .col(optional(time("locked_until")))
                    .col(time("created_at"))
                    .col(time("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("users", &["username_key"])).await?;
        manager.create_index(unique("users", &["email_index"])).await?;
        manager.create_index(unique("users", &["email_index_next"])).await?;
        manager.create_index(index("users", &["role", "id"])).await?;
        manager.create_index(index("users", &["is_active", "id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("users").to_owned()).await
    }
}
