//! The keyring's life: canaries, leases, and where each unique blind index stands.

use crate::columns::{bytes, optional, text, time};
use sea_orm_migration::prelude::*;

/// See the module's docs.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

/// A 64-bit number.
fn number(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null();
    column
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("key_canaries")
                    .col(number("number").primary_key())
                    .col(bytes("canary"))
                    .col(time("first_used_at"))
                    .col(optional(time("superseded_at")))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("leases")
                    .col(text("name").primary_key())
                    .col(text("holder"))
                    .col(time("expires_at"))
                    .col(number("done").default(0))
                    .col(number("total").default(0))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("index_states")
                    .col(text("name").primary_key())
                    .col(number("index_key"))
                    .col(number("next_key"))
                    .col(ColumnDef::new("switching").boolean().not_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["index_states", "leases", "key_canaries"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
