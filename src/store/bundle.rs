//! Tables that nothing else reads, row by row, for the export of a task.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::{Map, Value};

use super::StoreError;

/// The prompts that were made for a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn prompts(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM prompts WHERE task_id = ?1 ORDER BY id", task_id)
}

/// What was noticed about the pair of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn observations(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM agent_observations WHERE task_id = ?1 ORDER BY id", task_id)
}

/// The cycles of a task, with what they saw.
///
/// # Errors
/// Whatever SQLite answers.
pub fn cycles(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM manager_cycles WHERE task_id = ?1 ORDER BY id", task_id)
}

/// The steps of the cycles of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn cycle_spans(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM manager_cycle_spans WHERE task_id = ?1 ORDER BY id", task_id)
}

/// The captured terminals of the pair of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn terminal_captures(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM terminal_captures WHERE task_id = ?1 ORDER BY id", task_id)
}

/// The captured terminals of the legacy workers that were bound to a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn transcript_captures(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    let sql = "SELECT * FROM transcript_captures
        WHERE worker_id IN (SELECT worker_id FROM bindings WHERE task_id = ?1) ORDER BY id";
    objects(conn, sql, task_id)
}

/// The runs of a task.
///
/// # Errors
/// Whatever SQLite answers.
pub fn runs(conn: &Connection, task_id: &str) -> Result<Vec<Value>, StoreError> {
    objects(conn, "SELECT * FROM runs WHERE task_id = ?1 ORDER BY rowid", task_id)
}

fn objects(conn: &Connection, sql: &str, task_id: &str) -> Result<Vec<Value>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let objects = statement.query_map([task_id], |row| object(row, &names))?.collect::<Result<_, _>>()?;
    Ok(objects)
}

/// A row with its columns' names; those that hold JSON without the `_json`.
fn object(row: &Row<'_>, names: &[String]) -> rusqlite::Result<Value> {
    let mut members = Map::new();
    for (index, name) in names.iter().enumerate() {
        let (name, is_json) = match name.strip_suffix("_json") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let value = match row.get_ref(index)? {
            ValueRef::Null | ValueRef::Blob(_) => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) if is_json => serde_json::from_slice(text).unwrap_or_default(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        };
        members.insert(name.to_owned(), value);
    }
    Ok(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::TestDb;

    #[test]
    fn a_row_is_an_object_of_its_columns() {
        let mut db = TestDb::new();
        let (task, other) = (db.task("t1").id, db.task("t2").id);
        for task in [&task, &other] {
            db.conn
                .execute(
                    "INSERT INTO prompts (task_id, kind, content, content_sha256, generator_version, source_snapshot_json,
                         policy_json, created_at)
                     VALUES (?1, 'manager', 'do it', 'h', '1', '{\"a\": [1]}', '{}', 'now')",
                    [task],
                )
                .unwrap();
        }
        let found = prompts(&db.conn, &task).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0]["id"], &found[0]["content"], &found[0]["source_snapshot"], &found[0]["manager_id"]),
            (&json!(1), &json!("do it"), &json!({ "a": [1] }), &Value::Null)
        );
        for read in [observations, cycles, cycle_spans, terminal_captures, transcript_captures, runs] {
            assert_eq!(read(&db.conn, &task).unwrap(), Vec::<Value>::new());
        }
    }
}
