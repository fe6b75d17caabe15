//! The hashes of rows and links.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

/// Bytes of a column's hash that a link keeps, to tell which column differs.
pub(super) const COLUMN_BYTES: usize = 4;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// Columns of a row, hashed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowDigest {
    /// [`COLUMN_BYTES`] for each of them.
    pub(super) columns: Vec<u8>,
    /// Over all of them.
    pub(super) whole: Hash,
}

impl RowDigest {
    /// Hashes `count` columns, the first of which is `first`.
    pub(super) fn of(row: &Row<'_>, first: usize, count: usize) -> rusqlite::Result<Self> {
        let mut columns = Vec::with_capacity(count * COLUMN_BYTES);
        let mut whole = Sha256::new();
        for index in first..first + count {
            let hash = of_value(row.get_ref(index)?);
            columns.extend(&hash[..COLUMN_BYTES]);
            whole.update(hash);
        }
        Ok(Self { columns, whole: whole.finalize().into() })
    }
}

/// A value, together with its type: NULL, 0 and the empty text are three different things.
fn of_value(value: ValueRef<'_>) -> Hash {
    let mut hash = Sha256::new();
    match value {
        ValueRef::Null => hash.update([0]),
        ValueRef::Integer(number) => {
            hash.update([1]);
            hash.update(number.to_be_bytes());
        }
        ValueRef::Real(number) => {
            hash.update([2]);
            hash.update(number.to_bits().to_be_bytes());
        }
        ValueRef::Text(text) => {
            hash.update([3]);
            hash.update(text);
        }
        ValueRef::Blob(blob) => {
            hash.update([4]);
            hash.update(blob);
        }
    }
    hash.finalize().into()
}

/// A link, as far as it is hashed.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) table: &'a str,
    pub(super) row_key: &'a str,
    pub(super) facet: &'a str,
    pub(super) action: &'a str,
    pub(super) at: &'a str,
    pub(super) columns: &'a [u8],
    pub(super) digest: &'a [u8],
}

impl Link<'_> {
    /// Its hash, behind the link before.
    pub(super) fn hash(&self, before: &[u8]) -> Hash {
        let mut hash = Sha256::new();
        hash.update(before);
        for text in [self.table, self.row_key, self.facet, self.action, self.at] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        for bytes in [self.columns, self.digest] {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }
}
