//! The audit trail: append-only rows in hash chains. No foreign keys: events outlive what they tell of.

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
                    .table("audit_events")
                    .col(id("id").primary_key())
                    .col(id("chain"))
                    .col(ColumnDef::new("seq").big_integer().not_null())
                    .col(time("at"))
                    .col(text("event_type"))
                    .col(optional(text("action")))
                    .col(text("status"))
                    .col(optional(id("actor_id")))
                    .col(optional(id("session_id")))
                    .col(optional(text("request_id")))
                    .col(optional(bytes("address")))
                    .col(optional(bytes("address_index")))
                    .col(optional(bytes("user_agent")))
                    .col(optional(text("resource_type")))
                    .col(optional(text("resource_id")))
                    .col(optional(bytes("details")))
                    .col(bytes("mac"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("audit_events", &["chain", "seq"])).await?;
        manager.create_index(index("audit_events", &["event_type", "id"])).await?;
        manager.create_index(index("audit_events", &["status", "id"])).await?;
        manager.create_index(index("audit_events", &["actor_id", "id"])).await?;
        manager.create_index(index("audit_events", &["address_index", "id"])).await?;
        manager.create_index(index("audit_events", &["resource_type", "resource_id", "id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_events").to_owned()).await
    }
}
