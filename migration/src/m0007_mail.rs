//! The outbox: mail waits here, sealed, from the commit of its cause until it is sent.

use crate::columns::{bytes, id, index, optional, text, time};
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
                    .table("outbox")
                    .col(id("id").primary_key())
                    .col(text("kind"))
                    .col(bytes("recipient"))
                    .col(bytes("body"))
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(time("created_at"))
                    .col(time("due_at"))
                    .col(optional(time("failed_at")))
                    .to_owned(),
            )
            .await?;
        manager.create_index(index("outbox", &["failed_at", "due_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("outbox").to_owned()).await
    }
}
