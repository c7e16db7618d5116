//! Posts, with the indexes that every list of them walks.

use crate::columns::{id, index, text, time};
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
                    .table("posts")
                    .col(id("id").primary_key())
                    .col(id("author_id"))
                    .col(text("title"))
                    .col(text("body"))
                    .col(text("visibility"))
                    .col(ColumnDef::new("version").integer().not_null())
                    .col(time("created_at"))
                    .col(time("updated_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_posts_author_id")
                            .from("posts", "author_id")
                            .to("users", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager.create_index(index("posts", &["visibility", "id"])).await?;
        manager.create_index(index("posts", &["author_id", "id"])).await?;
        manager.create_index(index("posts", &["author_id", "visibility", "id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("posts").to_owned()).await
    }
}
