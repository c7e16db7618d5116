//! LIST: every sealed column. What is not here is neither rotated nor counted, so a test compares the
//! list with the entities.
//!
//! A new sealed column takes one field and one marker in its entity, and one line here. See
//! `docs/features/encryption.md`.

use crate::accounts::email;
use crate::crypto::Column;
use entity::audit_event::{EventAddress, EventAgent, EventDetails};
use entity::factor::FactorSecret;
use entity::key_canary::KeyCanary;
use entity::outbox::{OutboxBody, OutboxRecipient};
use entity::sealed::SealedField;
use entity::session::{SessionAddress, SessionAgent};
use entity::ticket::TicketPayload;
use entity::user::{UserEmail, UserFullName, UserPhone};

/// Every sealed column, in the order that a rotation takes them.
pub const SEALED: &[SealedColumn] = &[
    SealedColumn::of::<UserEmail>().unique("email_index", "email_index_next", email::normalise),
    SealedColumn::of::<UserFullName>().nullable(),
    SealedColumn::of::<UserPhone>().nullable(),
    SealedColumn::of::<SessionAddress>().nullable(),
    SealedColumn::of::<SessionAgent>().nullable(),
    SealedColumn::of::<FactorSecret>(),
    SealedColumn::of::<TicketPayload>(),
    SealedColumn::of::<OutboxRecipient>(),
    SealedColumn::of::<OutboxBody>(),
    SealedColumn::of::<EventAddress>().nullable().indexed("address_index").kept(),
    SealedColumn::of::<EventAgent>().nullable().kept(),
    SealedColumn::of::<EventDetails>().nullable().kept(),
    SealedColumn::of::<KeyCanary>().kept(),
];

/// One sealed column and what goes with it. Its table has a UUID primary key called `id`, unless it
/// is [kept](SealedColumn::kept).
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    /// Table and column.
    pub column: Column,
    /// Whether a row may be without a value.
    pub nullable: bool,
    /// The blind index, where there is one.
    pub index: Option<Index>,
    /// Whether rotation leaves it alone, because its rows are never changed; the key it was sealed under
    /// stays in the ring until retention has removed them.
    pub kept: bool,
}

/// Brings a value into the form that is indexed.
pub type Normalise = fn(&str) -> String;

/// The blind index of a sealed column.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// The column that holds it.
    pub column: &'static str,
    /// For a unique index that rotates: the column that holds the next one, and how the value is
    /// normalised before it is indexed.
    pub rotates: Option<(&'static str, Normalise)>,
}

impl SealedColumn {
    /// The column that `F` names; never null, without index.
    #[must_use]
    pub const fn of<F: SealedField>() -> Self {
        Self { column: Column::of::<F>(), nullable: false, index: None, kept: false }
    }

    /// The same, but a row may be without a value.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same with a unique blind index, kept under two keys while a rotation runs.
    #[must_use]
    pub const fn unique(self, index: &'static str, next: &'static str, normalise: Normalise) -> Self {
        Self { index: Some(Index { column: index, rotates: Some((next, normalise)) }), ..self }
    }

    /// The same with a blind index that is never rewritten; lookups go by every key of the ring.
    #[must_use]
    pub const fn indexed(self, index: &'static str) -> Self {
        Self { index: Some(Index { column: index, rotates: None }), ..self }
    }

    /// The same, left alone by rotation.
    #[must_use]
    pub const fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// `table.column`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.column.table, self.column.column)
    }
}

/// The tables that rotation goes through, in the list's order, each with its columns.
#[must_use]
pub fn rotating_tables() -> Vec<(&'static str, Vec<SealedColumn>)> {
    let mut tables: Vec<(&'static str, Vec<SealedColumn>)> = Vec::new();
    for column in SEALED.iter().filter(|column| !column.kept) {
        match tables.iter_mut().find(|(table, _)| *table == column.column.table) {
            Some((_, columns)) => columns.push(*column),
            None => tables.push((column.column.table, vec![*column])),
        }
    }
    tables
}

/// The columns with a unique blind index that rotates.
pub fn unique_indexes() -> impl Iterator<Item = SealedColumn> {
    SEALED.iter().filter(|column| column.index.is_some_and(|index| index.rotates.is_some())).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// `(table, field, kind, nullable)` for every sealed or indexed field of the entities' sources.
    fn declared() -> BTreeSet<(String, String, &'static str, bool)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("entity/src");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let Some(table) = text.split("table_name = \"").nth(1).and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            for line in text.lines().map(str::trim) {
                let Some((field, kind)) = line.strip_prefix("pub ").and_then(|l| l.split_once(": ")) else {
                    continue;
                };
                for (mark, name) in [("Sealed<", "sealed"), ("BlindIndex<", "index")] {
                    if kind.contains(mark) {
                        let nullable = kind.starts_with("Option<");
                        found.insert((table.to_owned(), field.to_owned(), name, nullable));
                    }
                }
            }
        }
        found
    }

    /// ASVS: 11.1.2
    #[test]
    fn every_sealed_column_of_the_entities_is_in_the_list() {
        let mut listed = BTreeSet::new();
        for sealed in SEALED {
            let table = sealed.column.table.to_owned();
            listed.insert((table.clone(), sealed.column.column.to_owned(), "sealed", sealed.nullable));
            if let Some(index) = sealed.index {
                listed.insert((table.clone(), index.column.to_owned(), "index", sealed.nullable));
                if let Some((next, _)) = index.rotates {
                    listed.insert((table, next.to_owned(), "index", true));
                }
            }
        }
        assert_eq!(declared(), listed, "add the column to SEALED (left: entities, right: the list)");
        assert!(listed.len() >= 12);
    }

    #[test]
    fn no_column_is_listed_twice() {
        let names: BTreeSet<String> = SEALED.iter().map(SealedColumn::name).collect();
        assert_eq!(names.len(), SEALED.len());
    }
}
