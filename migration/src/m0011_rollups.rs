//! Counts of events by the hour, so that an overview never counts the trail itself; how far each chain has
//! been counted; and the counter that makes incidents take turns.

use crate::columns::{bytes, id, text, time};
use sea_orm_migration::prelude::*;

/// See the module's docs.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

fn count(name: &'static str) -> ColumnDef {
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
                    .table("audit_rollups")
                    .col(time("hour"))
                    .col(text("event_type"))
                    .col(text("status"))
                    .col(count("count"))
                    .primary_key(Index::create().col("hour").col("event_type").col("status"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("audit_rollup_addresses")
                    .col(time("hour"))
                    .col(bytes("address_index"))
                    .col(count("count"))
                    .col(id("event_id"))
                    .primary_key(Index::create().col("hour").col("address_index"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("audit_rollup_positions")
                    .col(id("chain").primary_key())
                    .col(count("seq"))
                    .to_owned(),
            )
            .await?;
        let rows = Query::insert()
            .into_table("versions")
            .columns(["name", "version"])
            .values_panic(["incidents".into(), 0_i64.into()])
            .to_owned();
        manager.execute(rows).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["audit_rollups", "audit_rollup_addresses", "audit_rollup_positions"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        let row =
            Query::delete().from_table("versions").and_where(Expr::col("name").eq("incidents")).to_owned();
        manager.execute(row).await
    }
}
