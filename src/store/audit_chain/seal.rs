//! Appending to the chain what a transaction wrote.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::Action;
use rusqlite::{Connection, OptionalExtension};

use super::digest::{Link, RowDigest};
use super::tables::{Covered, Facet, TABLES, WRITTEN};
use crate::domain::time::now_iso;

/// Notes what a connection writes to covered tables, and seals it.
#[derive(Debug)]
pub(in crate::store) struct Seal {
    touched: Arc<Mutex<Vec<Touched>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touched {
    /// Its place in [`TABLES`].
    table: usize,
    row: i64,
    is_insert: bool,
}

impl Seal {
    /// Begins to note what `conn` writes.
    ///
    /// # Errors
    /// Whatever SQLite answers.
    pub(in crate::store) fn watch(conn: &Connection) -> rusqlite::Result<Self> {
        let touched = Arc::new(Mutex::new(Vec::new()));
        let notes = touched.clone();
        let note = move |action: Action, _: &str, table: &str, row: i64| {
            let Some(table) = TABLES.iter().position(|covered| covered.name == table) else { return };
            let is_insert = action == Action::SQLITE_INSERT;
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.push(Touched { table, row, is_insert });
        };
        conn.update_hook(Some(note))?;
        Ok(Self { touched })
    }

    /// Appends a link for each row that was written since the last time. Rows whose writing was undone
    /// are as they were, and get none.
    ///
    /// # Errors
    /// Whatever SQLite answers.
    pub(in crate::store) fn append(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut touched = self.take();
        // The first note of a row tells whether it was inserted.
        touched.sort_by_key(|note| (note.table, note.row));
        touched.dedup_by_key(|note| (note.table, note.row));
        if touched.is_empty() {
            return Ok(());
        }
        let mut chain = Chain::open(conn)?;
        for note in touched {
            chain.append_row(&note)?;
        }
        Ok(())
    }

    /// Forgets what was noted: the transaction came to nothing.
    pub(in crate::store) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Vec<Touched> {
        std::mem::take(&mut self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end of the chain, where links are appended.
struct Chain<'a> {
    conn: &'a Connection,
    head: Vec<u8>,
    now: String,
}

impl<'a> Chain<'a> {
    fn open(conn: &'a Connection) -> rusqlite::Result<Self> {
        let head = conn
            .prepare_cached("SELECT hash FROM audit_chain ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(Self { conn, head: head.unwrap_or_default(), now: now_iso() })
    }

    fn append_row(&mut self, note: &Touched) -> rusqlite::Result<()> {
        let table = &TABLES[note.table];
        for facet in table.facets {
            match self.read(table, facet, note.row)? {
                Some((key, digest)) => self.append_facet(note, &key, facet, &digest)?,
                None if facet.name == WRITTEN => return self.append_removal(table, note.row),
                None => {}
            }
        }
        Ok(())
    }

    /// The row's key and digest, once the facet's moment has come.
    fn read(
        &self,
        table: &Covered,
        facet: &Facet,
        row: i64,
    ) -> rusqlite::Result<Option<(String, RowDigest)>> {
        let sql = format!(
            "SELECT CAST(id AS TEXT), {} FROM {} WHERE rowid = ?1 AND {}",
            facet.columns.join(", "),
            table.name,
            facet.when
        );
        self.conn
            .prepare_cached(&sql)?
            .query_row([row], |row| Ok((row.get(0)?, RowDigest::of(row, 1, facet.columns.len())?)))
            .optional()
    }

    fn append_facet(
        &mut self,
        note: &Touched,
        key: &str,
        facet: &Facet,
        digest: &RowDigest,
    ) -> rusqlite::Result<()> {
        let table = TABLES[note.table].name;
        let known = if note.is_insert { None } else { self.newest(table, key, facet.name)? };
        if known.is_some_and(|known| known == digest.whole) {
            return Ok(());
        }
        let action = if note.is_insert { "insert" } else { "update" };
        self.append(&Link {
            table,
            row_key: key,
            facet: facet.name,
            action,
            at: &self.now.clone(),
            columns: &digest.columns,
            digest: &digest.whole,
        })
    }

    /// A row that is gone; a row that was never there has no link.
    fn append_removal(&mut self, table: &Covered, row: i64) -> rusqlite::Result<()> {
        let key = row.to_string();
        if !table.has_number || self.newest(table.name, &key, WRITTEN)?.is_none() {
            return Ok(());
        }
        self.append(&Link {
            table: table.name,
            row_key: &key,
            facet: WRITTEN,
            action: "delete",
            at: &self.now.clone(),
            columns: &[],
            digest: &[],
        })
    }

    fn newest(&self, table: &str, key: &str, facet: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        self.conn
            .prepare_cached(
                "SELECT digest FROM audit_chain WHERE table_name = ?1 AND row_key = ?2 AND facet = ?3
                 ORDER BY id DESC LIMIT 1",
            )?
            .query_row((table, key, facet), |row| row.get(0))
            .optional()
    }

    fn append(&mut self, link: &Link<'_>) -> rusqlite::Result<()> {
        let hash = link.hash(&self.head);
        self.conn
            .prepare_cached(
                "INSERT INTO audit_chain (table_name, row_key, facet, action, at, column_digests, digest, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                link.table,
                link.row_key,
                link.facet,
                link.action,
                link.at,
                link.columns,
                link.digest,
                hash.as_slice(),
            ))?;
        self.head = hash.to_vec();
        Ok(())
    }
}
