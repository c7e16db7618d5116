//! How tables came to be: one file a step, append-only, up and down on SQLite and PostgreSQL.

use sea_orm_migration::prelude::*;

pub use sea_orm_migration::MigratorTrait;

mod columns;
mod m0001_users;
mod m0002_sessions;
mod m0003_posts;
mod m0004_audit_events;
mod m0005_tickets;
mod m0006_factors;
mod m0007_mail;
mod m0008_refresh_tokens;
mod m0009_audit_guard;
mod m0010_bans;
mod m0011_rollups;
mod m0013_keys;
mod m0014_audit_archive;

/// Every step, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_users::Migration),
            Box::new(m0002_sessions::Migration),
            Box::new(m0003_posts::Migration),
            Box::new(m0004_audit_events::Migration),
            Box::new(m0005_tickets::Migration),
            Box::new(m0006_factors::Migration),
            Box::new(m0007_mail::Migration),
            Box::new(m0008_refresh_tokens::Migration),
            Box::new(m0009_audit_guard::Migration),
            Box::new(m0010_bans::Migration),
            Box::new(m0011_rollups::Migration),
            Box::new(m0013_keys::Migration),
            Box::new(m0014_audit_archive::Migration),
        ]
    }
}
