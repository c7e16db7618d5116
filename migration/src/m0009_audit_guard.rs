//! Audit rows are append-only in the database itself: UPDATE, DELETE and TRUNCATE are refused.
//!
//! Two doors stand, each opened for one transaction by somebody who may change the schema:
//!
//! - PostgreSQL: `SET LOCAL portcullis.audit = 'archive'` (DELETE) or `'rotate'` (UPDATE, for new keys);
//! - SQLite: `UPDATE audit_guard SET mode = 'archive'` (or `'rotate'`), and back to `'closed'` before COMMIT.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module's docs.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const SQLITE: &[&str] = &[
    "CREATE TABLE audit_guard (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        mode TEXT NOT NULL CHECK (mode IN ('closed', 'archive', 'rotate'))
    )",
    "INSERT INTO audit_guard (id, mode) VALUES (1, 'closed')",
    "CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
     WHEN (SELECT mode FROM audit_guard) IS NOT 'rotate'
     BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
    "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
     WHEN (SELECT mode FROM audit_guard) IS NOT 'archive'
     BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
];

const SQLITE_DOWN: &[&str] =
    &["DROP TRIGGER audit_events_no_update", "DROP TRIGGER audit_events_no_delete", "DROP TABLE audit_guard"];

const POSTGRES: &[&str] = &[
    "CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE mode text := coalesce(current_setting('portcullis.audit', true), '');
     BEGIN
        IF TG_OP = 'DELETE' AND mode = 'archive' THEN RETURN OLD; END IF;
        IF TG_OP = 'UPDATE' AND mode = 'rotate' THEN RETURN NEW; END IF;
        RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'insufficient_privilege';
     END $$",
    "CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
     FOR EACH ROW EXECUTE FUNCTION audit_events_refuse()",
    "CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
     FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()",
];

const POSTGRES_DOWN: &[&str] = &[
    "DROP TRIGGER audit_events_no_change ON audit_events",
    "DROP TRIGGER audit_events_no_truncate ON audit_events",
    "DROP FUNCTION audit_events_refuse()",
];

#[allow(clippy::disallowed_methods, reason = "fixed statements; triggers have no builder")]
async fn run(manager: &SchemaManager<'_>, sqlite: &[&str], postgres: &[&str]) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let statements = if manager.get_database_backend() == DbBackend::Sqlite { sqlite } else { postgres };
    for statement in statements {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, SQLITE, POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, SQLITE_DOWN, POSTGRES_DOWN).await
    }
}
