//! Refresh tokens: one in use a session, and those it replaced, so that a stolen one shows.

use crate::columns::{bytes, id, index, optional, time, unique};
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
                    .table("refresh_tokens")
                    .col(id("id").primary_key())
                    .col(id("session_id"))
                    .col(bytes("token_hash"))
                    .col(time("created_at"))
                    .col(optional(time("replaced_at")))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_refresh_tokens_session_id")
                            .from("refresh_tokens", "session_id")
                            .to("sessions", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("refresh_tokens", &["token_hash"])).await?;
        manager.create_index(index("refresh_tokens", &["session_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("refresh_tokens").to_owned()).await
    }
}
