//! How far the trail has been archived, so that it verifies from there.

use crate::columns::{bytes, id};
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
                    .table("audit_archive")
                    .col(ColumnDef::new("id").integer().not_null().primary_key())
                    .col(id("through"))
                    .col(ColumnDef::new("chains").big_integer().not_null())
                    .col(ColumnDef::new("events").big_integer().not_null())
                    .col(bytes("digest"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_archive").to_owned()).await
    }
}
