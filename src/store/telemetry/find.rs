//! Single telemetry events: the newest that fit.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Actor, COLUMNS, Severity, TelemetryRow};
use crate::domain::time::iso;
use crate::store::scope::Filter;
use crate::store::{Query, StoreError, runs, tasks};

/// Which events are looked for. All that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Find {
    /// Those of this task, by id or name.
    pub task: Option<String>,
    /// Those of this run, by id or name.
    pub run: Option<String>,
    /// Those that this actor did.
    pub actor: Option<Actor>,
    /// Those of this type.
    pub event_type: Option<String>,
    /// Those that matter so much.
    pub severity: Option<Severity>,
    /// Nothing before this instant.
    pub since: Option<Timestamp>,
    /// Those with every word of it in their summary or attributes, and those whose type it is.
    pub words: Option<String>,
    /// At most this many of the newest.
    pub limit: u32,
}

impl Query for Find {
    /// Newest first.
    type Out = Vec<TelemetryRow>;

    /// # Errors
    /// `NotFound` for an unknown task or run.
    fn run(self, conn: &Connection) -> Result<Vec<TelemetryRow>, StoreError> {
        find(conn, &self)
    }
}

/// As [`Find`], for use inside another query.
///
/// # Errors
/// As there.
pub fn find(conn: &Connection, wanted: &Find) -> Result<Vec<TelemetryRow>, StoreError> {
    let mut filter = Filter::default();
    if let Some(task) = &wanted.task {
        filter.add("e.task_id = ?", tasks::get(conn, task)?.id);
    }
    if let Some(run) = &wanted.run {
        filter.add("e.run_id = ?", runs::get(conn, run)?.id);
    }
    if let Some(actor) = wanted.actor {
        filter.add("e.actor = ?", actor.as_str().to_owned());
    }
    if let Some(severity) = wanted.severity {
        filter.add("e.severity = ?", severity.as_str().to_owned());
    }
    if let Some(event_type) = &wanted.event_type {
        filter.add("e.event_type = ?", event_type.clone());
    }
    if let Some(since) = wanted.since {
        filter.add("e.timestamp >= ?", iso(since));
    }
    match wanted.words.as_deref().map(str::trim).filter(|words| !words.is_empty()) {
        None => newest(conn, &filter, "telemetry_events e", BY_TIME, wanted.limit),
        Some(words) => matching(conn, &filter, words, wanted.limit),
    }
}

/// The newest events, newest first, of which `words` tells, see [`Find::words`]; all when blank.
///
/// # Errors
/// Whatever SQLite answers.
pub fn search(conn: &Connection, words: &str, limit: u32) -> Result<Vec<TelemetryRow>, StoreError> {
    find(conn, &Find { words: Some(words.to_owned()), limit, ..Find::default() })
}

/// Two lists, each of which ends in an index, merged.
fn matching(
    conn: &Connection,
    filter: &Filter,
    words: &str,
    limit: u32,
) -> Result<Vec<TelemetryRow>, StoreError> {
    let mut by_type = filter.clone();
    by_type.add("e.event_type = ?", words.to_owned());
    let mut found = newest(conn, &by_type, "telemetry_events e", BY_TIME, limit)?;
    found.extend(telling_of(conn, filter, words, limit)?);
    found.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
    let mut seen = HashSet::new();
    found.retain(|row| seen.insert(row.id.clone()));
    found.truncate(limit as usize);
    Ok(found)
}

/// The newest events with every word in their texts. A word that is in most of them is looked for in the
/// few that fit the filter, else in the index of all.
fn telling_of(
    conn: &Connection,
    filter: &Filter,
    words: &str,
    limit: u32,
) -> Result<Vec<TelemetryRow>, StoreError> {
    if !filter.is_empty() {
        let fitting = newest(conn, filter, "telemetry_events e", BY_TIME, FEW + 1)?;
        if fitting.len() <= FEW as usize {
            return among_few(fitting, words);
        }
    }
    let mut by_text = filter.clone();
    by_text.add("telemetry_events_fts MATCH ?", full_text_words(words));
    let text_index = "telemetry_events_fts f CROSS JOIN telemetry_events e ON e.id = f.event_id";
    newest(conn, &by_text, text_index, "f.rowid DESC", limit)
}

/// So few events are put into an index of their own.
const FEW: u32 = 1000;

/// Those of few events with every word in their texts, by the same rules as the index of all.
fn among_few(mut events: Vec<TelemetryRow>, words: &str) -> Result<Vec<TelemetryRow>, StoreError> {
    let index = Connection::open_in_memory()?;
    index.execute_batch("CREATE VIRTUAL TABLE texts USING fts5 (summary, attributes); BEGIN")?;
    let mut insert = index.prepare("INSERT INTO texts (rowid, summary, attributes) VALUES (?1, ?2, ?3)")?;
    for (place, event) in events.iter().enumerate() {
        insert.execute((place as i64, &event.summary, event.attributes.to_string()))?;
    }
    let found: HashSet<i64> = index
        .prepare("SELECT rowid FROM texts WHERE texts MATCH ?1")?
        .query_map([full_text_words(words)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut place = -1;
    events.retain(|_| {
        place += 1;
        found.contains(&place)
    });
    Ok(events)
}

const BY_TIME: &str = "e.timestamp DESC, e.rowid DESC";

fn newest(
    conn: &Connection,
    filter: &Filter,
    from: &str,
    order: &str,
    limit: u32,
) -> Result<Vec<TelemetryRow>, StoreError> {
    let columns = COLUMNS.replace(", ", ", e.");
    let condition = filter.sql();
    let sql = format!("SELECT e.{columns} FROM {from} WHERE {condition} ORDER BY {order} LIMIT {limit}");
    let rows =
        conn.prepare_cached(&sql)?.query_map(filter.values(), TelemetryRow::of)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Each word as a phrase, so that nothing in it is an operator.
fn full_text_words(query: &str) -> String {
    let phrase = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
    query.split_whitespace().map(phrase).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::telemetry::Telemetry;
    use crate::store::testing::TestDb;

    fn tell(db: &TestDb, task_id: Option<&str>, event_type: &str, summary: &str, severity: Severity) {
        let event = Telemetry {
            actor: Actor::Workerctl,
            event_type,
            severity,
            summary,
            task_id,
            run_id: None,
            correlation: json!({}),
            attributes: json!({ "session": "w1" }),
        };
        db.tell(&event);
    }

    fn summaries(found: &[TelemetryRow]) -> Vec<&str> {
        found.iter().map(|row| row.summary.as_str()).collect()
    }

    #[test]
    fn a_search_takes_every_word_literally() {
        let db = TestDb::new();
        tell(&db, None, "command_created", "nudge queued", Severity::Info);
        tell(&db, None, "task_finished", "all is done", Severity::Info);
        let check = |query: &str, expect: &[&str]| {
            let found = search(&db.conn, query, 10).unwrap();
            assert_eq!(summaries(&found), expect, "{query:?}");
        };
        check("", &["all is done", "nudge queued"]);
        check("  ", &["all is done", "nudge queued"]);
        check("queued nudge", &["nudge queued"]);
        check("queued done", &[]);
        check("W1", &["all is done", "nudge queued"]);
        check("task_finished", &["all is done"]);
        for odd in ["\"", "*", "NOT", "a OR", "(", "-", "summary:done"] {
            check(odd, &[]);
        }
        assert_eq!(search(&db.conn, "", 1).unwrap().len(), 1);
    }

    #[test]
    fn every_filter_must_fit() {
        let mut db = TestDb::new();
        let task = db.task("t1").id;
        tell(&db, Some(&task), "command_created", "one", Severity::Info);
        tell(&db, Some(&task), "command_failed", "two", Severity::Error);
        tell(&db, None, "command_created", "three", Severity::Info);
        let check = |wanted: Find, expect: &[&str]| {
            let wanted = Find { limit: 10, ..wanted };
            assert_eq!(summaries(&find(&db.conn, &wanted).unwrap()), expect, "{wanted:?}");
        };
        let any = Find::default;
        let text = |text: &str| Some(text.to_owned());
        check(any(), &["three", "two", "one"]);
        check(Find { task: text("t1"), ..any() }, &["two", "one"]);
        check(Find { severity: Some(Severity::Error), ..any() }, &["two"]);
        check(Find { event_type: text("command_created"), ..any() }, &["three", "one"]);
        check(Find { actor: Some(Actor::Dispatch), ..any() }, &[]);
        check(
            Find { task: text("t1"), words: text("w1"), severity: Some(Severity::Info), ..any() },
            &["one"],
        );
        check(Find { task: text("t1"), words: text("command_failed"), ..any() }, &["two"]);
        check(Find { since: Some("2100-01-01T00:00:00Z".parse().unwrap()), ..any() }, &[]);
        assert!(find(&db.conn, &Find { task: text("nope"), ..any() }).is_err());
        assert!(find(&db.conn, &Find { run: text("nope"), ..any() }).is_err());
    }
}
