//! Second factors and their backup codes, and whether a password is too short to stand without one.

use crate::columns::{bytes, id, optional, time, unique};
use sea_orm_migration::prelude::*;

/// See the module's docs.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

fn of_user(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_user_id"))
        .from(table, "user_id")
        .to("users", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("factors")
                    .col(id("id").primary_key())
                    .col(id("user_id"))
                    .col(bytes("secret"))
                    .col(optional(ColumnDef::new("last_used_step").big_integer().to_owned()))
                    .col(optional(time("confirmed_at")))
                    .col(time("created_at"))
                    .foreign_key(&mut of_user("factors"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("factors", &["user_id"])).await?;
        manager
            .create_table(
                Table::create()
                    .table("backup_codes")
                    .col(id("id").primary_key())
                    .col(id("user_id"))
                    .col(bytes("code_hash"))
                    .foreign_key(&mut of_user("backup_codes"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("backup_codes", &["user_id", "code_hash"])).await?;
        let needs_mfa = ColumnDef::new("password_needs_mfa").boolean().not_null().default(false).to_owned();
        manager.alter_table(Table::alter().table("users").add_column(needs_mfa).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(Table::alter().table("users").drop_column("password_needs_mfa").to_owned())
            .await?;
        manager.drop_table(Table::drop().table("backup_codes").to_owned()).await?;
        manager.drop_table(Table::drop().table("factors").to_owned()).await
    }
}
