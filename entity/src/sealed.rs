//! Sealed columns: bytes that only the keyring can make or open, typed by the column they belong to.
//!
//! A marker type names table and column once ([`SealedField`]); the entity's field is then
//! `Sealed<Marker>` (or `Option<Sealed<Marker>>`), and a ciphertext of one column cannot be
//! assigned to another without the compiler objecting, nor opened there if someone moves it in SQL.

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, Value, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryGetError, TryGetable};
use std::fmt;
use std::marker::PhantomData;

/// Names the column that a ciphertext is bound to. Both names enter the associated data.
pub trait SealedField: Send + Sync + 'static {
    /// The table's name.
    const TABLE: &'static str;
    /// The column's name.
    const COLUMN: &'static str;
}

/// A ciphertext of column `F`. Made and opened by the keyring only; `Debug` shows its length alone.
pub struct Sealed<F>(Vec<u8>, PhantomData<fn() -> F>);

/// A keyed hash of a normalised value of column `F`, for equality lookups and uniqueness.
///
/// It leaks equality (two rows with the same value have the same index) and nothing else
/// to someone without the key.
pub struct BlindIndex<F>(Vec<u8>, PhantomData<fn() -> F>);

macro_rules! bytes_column {
    ($name:ident) => {
        impl<F> $name<F> {
            /// Wraps stored or freshly made bytes. Wrong bytes do no harm: they do not open or match.
            #[must_use]
            pub fn from_bytes(bytes: Vec<u8>) -> Self {
                Self(bytes, PhantomData)
            }

            /// The stored bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl<F> Clone for $name<F> {
            fn clone(&self) -> Self {
                Self(self.0.clone(), PhantomData)
            }
        }

        impl<F> PartialEq for $name<F> {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl<F> Eq for $name<F> {}

        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }

        impl<F> From<$name<F>> for Value {
            fn from(column: $name<F>) -> Value {
                Value::Bytes(Some(column.0))
            }
        }

        impl<F> ValueType for $name<F> {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                match value {
                    Value::Bytes(Some(bytes)) => Ok(Self(bytes, PhantomData)),
                    _ => Err(ValueTypeErr),
                }
            }

            fn type_name() -> String {
                stringify!($name).to_owned()
            }

            fn array_type() -> ArrayType {
                ArrayType::Bytes
            }

            fn column_type() -> ColumnType {
                ColumnType::Blob
            }
        }

        impl<F> Nullable for $name<F> {
            fn null() -> Value {
                Value::Bytes(None)
            }
        }

        impl<F> TryGetable for $name<F> {
            fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                Vec::<u8>::try_get_by(row, index).map(|bytes| Self(bytes, PhantomData))
            }
        }
    };
}

bytes_column!(Sealed);
bytes_column!(BlindIndex);

impl<F> sea_orm::TryFromU64 for Sealed<F> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Sealed"))
    }
}
