//! One-time tickets, and the counters of attempts that hold guessing back. The counters replace those on
//! `users`: they count for known and unknown identifiers alike, so that neither is told by its work.

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
                    .table("tickets")
                    .col(id("id").primary_key())
                    .col(id("user_id"))
                    .col(text("purpose"))
                    .col(bytes("token_hash"))
                    .col(bytes("payload"))
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(time("created_at"))
                    .col(time("expires_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_tickets_user_id")
                            .from("tickets", "user_id")
                            .to("users", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("tickets", &["token_hash"])).await?;
        manager.create_index(index("tickets", &["user_id", "purpose"])).await?;
        manager.create_index(index("tickets", &["expires_at"])).await?;
        manager
            .create_table(
                Table::create()
                    .table("attempts")
                    .col(bytes("key").primary_key())
                    .col(optional(id("user_id")))
                    .col(ColumnDef::new("failures").integer().not_null())
                    .col(time("locked_until"))
                    .col(bytes("nonce"))
                    .col(time("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(index("attempts", &["user_id"])).await?;
        manager.create_index(index("attempts", &["updated_at"])).await?;
        for column in ["failed_logins", "locked_until"] {
            manager.alter_table(Table::alter().table("users").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let failed = ColumnDef::new("failed_logins").integer().not_null().default(0).to_owned();
        manager.alter_table(Table::alter().table("users").add_column(failed).to_owned()).await?;
        let locked = optional(time("locked_until"));
        manager.alter_table(Table::alter().table("users").add_column(locked).to_owned()).await?;
        manager.drop_table(Table::drop().table("attempts").to_owned()).await?;
        manager.drop_table(Table::drop().table("tickets").to_owned()).await
    }
}
