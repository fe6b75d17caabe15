//! Appending to the chain what a transaction wrote.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::Action;
use rusqlite::{Connection, OptionalExtension, ToSql};

use super::digest::{Hash, Link, RowDigest};
use super::tables::{Covered, TABLES, WRITTEN};
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
            chain.add_row(&note)?;
        }
        chain.write()
    }

    /// Forgets what was noted: the transaction came to nothing.
    pub(in crate::store) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Vec<Touched> {
        std::mem::take(&mut self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end of the chain, and the links that are to be appended.
struct Chain<'a> {
    conn: &'a Connection,
    head: Vec<u8>,
    now: String,
    links: Vec<NewLink>,
}

struct NewLink {
    table: &'static str,
    row_key: String,
    facet: &'static str,
    action: &'static str,
    digest: Option<RowDigest>,
    hash: Hash,
}

/// Links that one statement appends.
const TOGETHER: usize = 64;

impl<'a> Chain<'a> {
    fn open(conn: &'a Connection) -> rusqlite::Result<Self> {
        let head = conn
            .prepare_cached("SELECT hash FROM audit_chain ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(Self { conn, head: head.unwrap_or_default(), now: now_iso(), links: Vec::new() })
    }

    fn add_row(&mut self, note: &Touched) -> rusqlite::Result<()> {
        let table = &TABLES[note.table];
        let Some((key, digests)) = self.read(table, note.row)? else {
            return self.add_removal(table, note.row);
        };
        for (facet, digest) in table.facets.iter().zip(digests) {
            if let Some(digest) = digest {
                self.add_facet(note, &key, facet.name, digest)?;
            }
        }
        Ok(())
    }

    /// The row's key, and the digest of each facet whose moment has come.
    fn read(&self, table: &Covered, row: i64) -> rusqlite::Result<Option<(String, Vec<Option<RowDigest>>)>> {
        self.conn
            .prepare_cached(&select(table))?
            .query_row([row], |row| {
                let mut first = 1;
                let mut digests = Vec::with_capacity(table.facets.len());
                for facet in table.facets {
                    let count = facet.columns.len();
                    let is_due: bool = row.get(first)?;
                    digests.push(is_due.then(|| RowDigest::of(row, first + 1, count)).transpose()?);
                    first += 1 + count;
                }
                Ok((row.get(0)?, digests))
            })
            .optional()
    }

    fn add_facet(
        &mut self,
        note: &Touched,
        key: &str,
        facet: &'static str,
        digest: RowDigest,
    ) -> rusqlite::Result<()> {
        let table = TABLES[note.table].name;
        let known = if note.is_insert { None } else { self.newest(table, key, facet)? };
        if known.is_some_and(|known| known == digest.whole) {
            return Ok(());
        }
        let action = if note.is_insert { "insert" } else { "update" };
        self.add(table, key.to_owned(), facet, action, Some(digest));
        Ok(())
    }

    /// A row that is gone; a row that was never there has no link.
    fn add_removal(&mut self, table: &'static Covered, row: i64) -> rusqlite::Result<()> {
        let key = row.to_string();
        if table.has_number && self.newest(table.name, &key, WRITTEN)?.is_some() {
            self.add(table.name, key, WRITTEN, "delete", None);
        }
        Ok(())
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

    fn add(
        &mut self,
        table: &'static str,
        row_key: String,
        facet: &'static str,
        action: &'static str,
        digest: Option<RowDigest>,
    ) {
        let mut link = NewLink { table, row_key, facet, action, digest, hash: Hash::default() };
        link.hash = link.contents(&self.now).hash(&self.head);
        self.head = link.hash.to_vec();
        self.links.push(link);
    }

    /// Appends the links.
    fn write(&self) -> rusqlite::Result<()> {
        let (many, few) = self.links.as_chunks::<TOGETHER>();
        for links in many {
            self.insert(links)?;
        }
        for link in few {
            self.insert(std::slice::from_ref(link))?;
        }
        Ok(())
    }

    fn insert(&self, links: &[NewLink]) -> rusqlite::Result<()> {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; links.len()].join(", ");
        let sql = format!(
            "INSERT INTO audit_chain (table_name, row_key, facet, action, at, column_digests, digest, hash)
             VALUES {rows}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        for (row, link) in links.iter().enumerate() {
            let Link { table, row_key, facet, action, at, columns, digest } = link.contents(&self.now);
            let values: [&dyn ToSql; 8] =
                [&table, &row_key, &facet, &action, &at, &columns, &digest, &link.hash.as_slice()];
            for (column, value) in values.into_iter().enumerate() {
                statement.raw_bind_parameter(row * values.len() + column + 1, value)?;
            }
        }
        statement.raw_execute()?;
        Ok(())
    }
}

impl NewLink {
    fn contents<'a>(&'a self, at: &'a str) -> Link<'a> {
        let (columns, digest) =
            self.digest.as_ref().map_or((&[][..], &[][..]), |digest| (&*digest.columns, &digest.whole[..]));
        let Self { table, row_key, facet, action, .. } = self;
        Link { table, row_key, facet, action, at, columns, digest }
    }
}

/// The key of a row, and for each facet whether its moment has come and its columns.
fn select(table: &Covered) -> String {
    let facets =
        table.facets.iter().map(|facet| format!("({}) IS TRUE, {}", facet.when, facet.columns.join(", ")));
    let facets = facets.collect::<Vec<_>>().join(", ");
    format!("SELECT CAST(id AS TEXT), {facets} FROM {} WHERE rowid = ?1", table.name)
}
