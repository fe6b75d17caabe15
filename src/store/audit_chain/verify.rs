//! Whether the record is as it was written.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::digest::{COLUMN_BYTES, Link, RowDigest};
use super::tables::{Covered, Facet, TABLES, WRITTEN};
use crate::domain::digest::hex;
use crate::domain::words::words;
use crate::store::{Query, StoreError};

/// Findings that are named; the others are counted.
const MAX_FINDINGS: usize = 100;

/// Rows that are named of those that other programs wrote.
const MAX_ROWS: usize = 5;

words! {
    /// What is wrong with the record.
    Trouble {
        /// A row is not as this program wrote it.
        Altered = "altered",
        /// A row that this program wrote is gone.
        Deleted = "deleted",
        /// A row, or the end of one, that only this program writes and did not write.
        SlippedIn = "slipped_in",
        /// Rows from before the chain began are gone.
        Missing = "missing",
        /// What the chain began with is gone.
        BeginningMissing = "beginning_missing",
        /// A link is not what the links before it and its own row lead to.
        ChainBroken = "chain_broken",
        /// The link that somebody noted is not there.
        HeadMissing = "head_missing",
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub trouble: Trouble,
    /// The table.
    pub table: String,
    /// The row's id, or the link's.
    pub row: String,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// When this program wrote the row last.
    pub sealed_at: Option<String>,
}

/// Rows that another program wrote, or settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The table.
    pub table: String,
    /// `written`, or what of a row of this program's came from another.
    pub facet: String,
    /// How many.
    pub count: i64,
    /// They are from before the chain began.
    pub before_start: bool,
    /// Some of them.
    pub rows: Vec<String>,
}

/// The end of the chain. Noted elsewhere, it proves later that nothing before it was altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest link.
    pub link: i64,
    /// Its hash, in hex.
    pub hash: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Nothing is wrong.
    pub ok: bool,
    /// Since when rows are chained.
    pub started_at: Option<String>,
    /// How many links there are.
    pub links: i64,
    /// The end of the chain.
    pub head: Option<Head>,
    /// What is wrong, at most a hundred of it.
    pub findings: Vec<Finding>,
    /// All that is wrong.
    pub finding_count: usize,
    /// What other programs wrote: no link speaks for it.
    pub outside: Vec<Outside>,
    /// Captures of terminals whose texts were pruned; their hashes are there still.
    #[serde(default)]
    pub pruned: i64,
}

/// Verifies the whole record. The one query that reads everything there is.
#[derive(Debug, Default)]
pub struct VerifyChain {
    /// A link that must be there, with its hash in hex.
    pub head: Option<Head>,
}

impl Query for VerifyChain {
    type Out = Verdict;

    fn run(self, conn: &Connection) -> Result<Verdict, StoreError> {
        let mut check = Check { conn, findings: Vec::new(), finding_count: 0, outside: Vec::new() };
        let (links, head) = check.links()?;
        if let Some(noted) = &self.head {
            check.noted(noted)?;
        }
        for table in TABLES {
            for facet in table.facets {
                check.rows(table, facet)?;
                check.outside(table, facet)?;
            }
            check.beginning(table)?;
        }
        let started_at = conn.query_row("SELECT MAX(at) FROM audit_chain_start", [], |row| row.get(0))?;
        Ok(Verdict {
            ok: check.finding_count == 0,
            started_at,
            links,
            head,
            findings: check.findings,
            finding_count: check.finding_count,
            outside: check.outside,
            pruned: pruned(conn)?,
        })
    }
}

struct Check<'a> {
    conn: &'a Connection,
    findings: Vec<Finding>,
    finding_count: usize,
    outside: Vec<Outside>,
}

impl Check<'_> {
    fn found(&mut self, finding: Finding) {
        self.finding_count += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Every link follows from the one before.
    fn links(&mut self) -> Result<(i64, Option<Head>), StoreError> {
        let mut statement = self.conn.prepare(
            "SELECT id, table_name, row_key, facet, action, at, column_digests, digest, hash FROM audit_chain
             ORDER BY id",
        )?;
        let mut rows = statement.query([])?;
        let (mut count, mut newest, mut before) = (0, 0, Vec::new());
        let mut broken = Vec::new();
        while let Some(row) = rows.next()? {
            let link = link(row)?;
            let hash: Vec<u8> = row.get(8)?;
            let id: i64 = row.get(0)?;
            if hash.as_slice() != link.hash(&before) || id != newest + 1 {
                broken.push(chain_broken(id, link.at));
            }
            (count, newest, before) = (count + 1, id, hash);
        }
        broken.into_iter().for_each(|finding| self.found(finding));
        let head = (count > 0).then(|| Head { link: newest, hash: hex(&before) });
        Ok((count, head))
    }

    fn noted(&mut self, noted: &Head) -> Result<(), StoreError> {
        let hash: Option<Vec<u8>> = self
            .conn
            .prepare("SELECT hash FROM audit_chain WHERE id = ?1")?
            .query_row([noted.link], |row| row.get(0))
            .optional()?;
        if hash.is_none_or(|hash| hex(&hash) != noted.hash) {
            self.found(Finding { trouble: Trouble::HeadMissing, ..chain_broken(noted.link, "") });
        }
        Ok(())
    }

    /// Every row is as its newest link has it.
    fn rows(&mut self, table: &Covered, facet: &Facet) -> Result<(), StoreError> {
        let columns: Vec<String> = facet.columns.iter().map(|column| format!("t.{column}")).collect();
        let key = if table.has_number { "CAST(c.row_key AS INTEGER)" } else { "c.row_key" };
        let sql = format!(
            "SELECT c.row_key, c.action, c.at, c.column_digests, c.digest, t.id IS NOT NULL, {}
             FROM audit_chain c LEFT JOIN {} t ON t.id = {key}
             WHERE c.table_name = ?1 AND c.facet = ?2 AND c.id = (
                 SELECT MAX(n.id) FROM audit_chain n
                 WHERE n.table_name = c.table_name AND n.row_key = c.row_key AND n.facet = c.facet)
             ORDER BY c.row_key",
            columns.join(", "),
            table.name
        );
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query((table.name, facet.name))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.extend(compare(row, table, facet)?);
        }
        for finding in found {
            match self.excuse(&finding, facet)? {
                Some(row) => self.note_outside(table, facet.name, 1, false, vec![row]),
                None => self.found(finding),
            }
        }
        Ok(())
    }

    /// What another program does by its own rules is not forged: agent-conveyor drops the texts of old
    /// captures, and moves criteria, of which it writes an event.
    fn excuse(&self, finding: &Finding, facet: &Facet) -> Result<Option<String>, StoreError> {
        let sql = match (&*finding.table, facet.name, finding.trouble) {
            ("terminal_captures", "text", Trouble::Altered) => {
                "SELECT 1 FROM terminal_captures WHERE id = ?1 AND content IS NULL"
            }
            ("acceptance_criteria", "standing", Trouble::Altered) => {
                "SELECT 1 FROM acceptance_criteria a JOIN events e ON e.id = (
                     SELECT MAX(id) FROM events WHERE task_id = a.task_id AND type LIKE 'acceptance_criterion_%'
                         AND payload_json ->> '$.criterion_id' = a.id)
                 WHERE a.id = ?1 AND e.payload_json ->> '$.status' = a.status AND NOT EXISTS (
                     SELECT 1 FROM audit_chain c
                     WHERE c.table_name = 'events' AND c.row_key = CAST(e.id AS TEXT))"
            }
            _ => return Ok(None),
        };
        let excused = self.conn.prepare_cached(sql)?.exists([&finding.row])?;
        Ok(excused.then(|| finding.row.clone()))
    }

    /// Rows that no link speaks for.
    fn outside(&mut self, table: &Covered, facet: &Facet) -> Result<(), StoreError> {
        let linked = |facet: &str| {
            format!(
                "EXISTS (SELECT 1 FROM audit_chain c WHERE c.table_name = '{}'
                     AND c.row_key = CAST(t.id AS TEXT) AND c.facet = '{facet}')",
                table.name
            )
        };
        let condition = if facet.name == WRITTEN {
            format!("NOT {}", linked(WRITTEN))
        } else {
            format!("{} AND {} AND NOT {}", facet.when, linked(WRITTEN), linked(facet.name))
        };
        for before_start in [true, false] {
            let not = if before_start { "" } else { "NOT" };
            let from = format!("FROM {} t WHERE {condition} AND {not} {}", table.name, before(table));
            let count = self.conn.query_row(&format!("SELECT COUNT(*) {from}"), [], |row| row.get(0))?;
            if count == 0 {
                continue;
            }
            let is_forged = table.is_ours && !before_start;
            let limit = if is_forged { MAX_FINDINGS } else { MAX_ROWS };
            let rows: Vec<String> = self
                .conn
                .prepare(&format!("SELECT CAST(t.id AS TEXT) {from} LIMIT {limit}"))?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            if is_forged {
                self.finding_count += count as usize - rows.len();
                rows.into_iter().for_each(|row| self.found(slipped_in(table, facet, row)));
            } else {
                self.note_outside(table, facet.name, count, before_start, rows);
            }
        }
        Ok(())
    }

    fn note_outside(
        &mut self,
        table: &Covered,
        facet: &str,
        count: i64,
        before_start: bool,
        rows: Vec<String>,
    ) {
        let (table, facet) = (table.name.to_owned(), facet.to_owned());
        self.outside.push(Outside { table, facet, count, before_start, rows });
    }

    /// As many rows are from before the chain began as there were then.
    fn beginning(&mut self, table: &Covered) -> Result<(), StoreError> {
        let counted: Option<(i64, String)> = self
            .conn
            .prepare("SELECT row_count, at FROM audit_chain_start WHERE table_name = ?1")?
            .query_row([table.name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((counted, at)) = counted else {
            self.found(Finding {
                trouble: Trouble::BeginningMissing,
                table: table.name.to_owned(),
                row: String::new(),
                columns: Vec::new(),
                sealed_at: None,
            });
            return Ok(());
        };
        let sql = format!(
            "SELECT COUNT(*) FROM {} t WHERE {} AND NOT EXISTS (SELECT 1 FROM audit_chain c
                 WHERE c.table_name = '{}' AND c.row_key = CAST(t.id AS TEXT) AND c.action = 'insert')",
            table.name,
            before(table),
            table.name
        );
        let found: i64 = self.conn.query_row(&sql, [], |row| row.get(0))?;
        if found < counted {
            self.found(Finding {
                trouble: Trouble::Missing,
                table: table.name.to_owned(),
                row: format!("{} of {counted} rows", counted - found),
                columns: Vec::new(),
                sealed_at: Some(at),
            });
        }
        Ok(())
    }
}

fn slipped_in(table: &Covered, facet: &Facet, row: String) -> Finding {
    let columns = if facet.name == WRITTEN { &[][..] } else { facet.columns };
    Finding {
        trouble: Trouble::SlippedIn,
        table: table.name.to_owned(),
        row,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        sealed_at: None,
    }
}

/// Texts that were there when their captures were written: a capture has one unless it never had any.
fn pruned(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row(
        "SELECT COUNT(*) FROM terminal_captures t WHERE content IS NULL AND EXISTS (
             SELECT 1 FROM audit_chain c WHERE c.table_name = 'terminal_captures'
                 AND c.row_key = CAST(t.id AS TEXT) AND c.facet = 'text' AND c.action = 'update')",
        [],
        |row| row.get(0),
    )
}

/// The SQL condition for a row `t` from before the chain began. agent-conveyor writes some instants
/// without milliseconds.
fn before(table: &Covered) -> String {
    format!(
        "rtrim(t.{}, 'Z') < rtrim((SELECT at FROM audit_chain_start WHERE table_name = '{}'), 'Z')",
        table.begun, table.name
    )
}

fn link<'a>(row: &'a Row<'_>) -> rusqlite::Result<Link<'a>> {
    Ok(Link {
        table: row.get_ref(1)?.as_str()?,
        row_key: row.get_ref(2)?.as_str()?,
        facet: row.get_ref(3)?.as_str()?,
        action: row.get_ref(4)?.as_str()?,
        at: row.get_ref(5)?.as_str()?,
        columns: row.get_ref(6)?.as_blob()?,
        digest: row.get_ref(7)?.as_blob()?,
    })
}

fn compare(row: &Row<'_>, table: &Covered, facet: &Facet) -> rusqlite::Result<Option<Finding>> {
    let (is_there, was_deleted) = (row.get::<_, bool>(5)?, row.get_ref(1)?.as_str()? == "delete");
    let finding = |trouble, columns| {
        let (table, row_key) = (table.name.to_owned(), row.get(0)?);
        Ok(Some(Finding { trouble, table, row: row_key, columns, sealed_at: row.get(2)? }))
    };
    match (is_there, was_deleted) {
        (false, true) => Ok(None),
        // Told once, with what the row was written with.
        (false, false) if facet.name != WRITTEN => Ok(None),
        (false, false) => finding(Trouble::Deleted, Vec::new()),
        (true, _) => {
            let now = RowDigest::of(row, 6, facet.columns.len())?;
            let was = row.get_ref(3)?.as_blob()?;
            if row.get_ref(4)?.as_blob()? == now.whole {
                return Ok(None);
            }
            finding(Trouble::Altered, differing(facet, was, &now.columns))
        }
    }
}

fn differing(facet: &Facet, was: &[u8], now: &[u8]) -> Vec<String> {
    let mut was = was.chunks(COLUMN_BYTES);
    let pairs = facet.columns.iter().zip(now.chunks(COLUMN_BYTES));
    pairs.filter(|(_, now)| was.next() != Some(*now)).map(|(column, _)| (*column).to_owned()).collect()
}

fn chain_broken(link: i64, at: &str) -> Finding {
    Finding {
        trouble: Trouble::ChainBroken,
        table: "audit_chain".to_owned(),
        row: link.to_string(),
        columns: Vec::new(),
        sealed_at: Some(at.to_owned()).filter(|at| !at.is_empty()),
    }
}
