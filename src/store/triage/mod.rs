//! What there is to look into: counts and the newest rows, of one task or across tasks. No prompt,
//! message, criterion, payload or terminal text.

mod command_counts;
mod commands;
mod criteria;
mod cycles;
mod ingest;
mod people;
mod retained;
mod undelivered;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::StoreError;
use super::scope::Filter;

pub use command_counts::{attempts_by_type, commands_by_state, commands_by_type};
pub use commands::{CommandLine, newest_commands};
pub use criteria::{CriterionLine, criteria_by_status, newest_criteria};
pub use cycles::{CycleKind, CycleLine, cycle_count, cycles_by_state, newest_cycles, notable_patterns};
pub use ingest::{Ingest, ingest};
pub use people::{SessionLine, TaskLine, Working, working};
pub use retained::{Kept, Retained, retained};
pub use undelivered::{DeadLetter, Part, Undelivered, UnknownDelivery, undelivered};

/// How many rows there are of each word in a column: `select` has the word and the count.
fn by_word(
    conn: &Connection,
    select: &str,
    filter: &Filter,
    word: &str,
) -> Result<BTreeMap<String, i64>, StoreError> {
    let sql = format!("{select} WHERE {} GROUP BY {word}", filter.sql());
    let counts = conn
        .prepare_cached(&sql)?
        .query_map(filter.values(), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(counts)
}
