//! Banned addresses and networks, and the counters that tell replicas that a shared list has changed.

use crate::columns::{id, index, optional, text, time, unique};
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
                    .table("bans")
                    .col(id("id").primary_key())
                    .col(text("address"))
                    .col(text("reason"))
                    .col(time("created_at"))
                    .col(optional(time("expires_at")))
                    .col(optional(id("created_by")))
                    .to_owned(),
            )
            .await?;
        manager.create_index(unique("bans", &["address"])).await?;
        manager.create_index(index("bans", &["expires_at"])).await?;
        manager
            .create_table(
                Table::create()
                    .table("versions")
                    .col(text("name").primary_key())
                    .col(ColumnDef::new("version").big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        let rows = Query::insert()
            .into_table("versions")
            .columns(["name", "version"])
            .values_panic(["bans".into(), 0_i64.into()])
            .to_owned();
        manager.execute(rows).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("versions").to_owned()).await?;
        manager.drop_table(Table::drop().table("bans").to_owned()).await
    }
}
