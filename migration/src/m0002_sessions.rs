//! Sessions: the token's hash, its times, and where it was opened from.

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
                    .table("sessions")
                    .col(id("id").primary_key())
                    .col(id("user_id"))
                    .col(bytes("token_hash"))
                    .col(text("transport"))
                    .col(time("created_at"))
                    .col(time("last_seen_at"))
                    .col(time("authenticated_at"))
                    .col(time("expires_at"))
                    .col(ColumnDef::new("mfa").boolean().not_null())
                    .col(optional(bytes("address")))
                    .col(optional(bytes("user_agent")))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_sessions_user_id")
                            .from("sessions", "user_id")
                            .to("users", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("sessions", &["token_hash"])).await?;
        manager.create_index(index("sessions", &["user_id", "id"])).await?;
        manager.create_index(index("sessions", &["expires_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("sessions").to_owned()).await
    }
}
