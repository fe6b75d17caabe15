//! The database made here is, table by table, the one agent-conveyor 0.1.0 makes.

use regex::Regex;
use rusqlite::{Connection, Row};
use serde_json::{Value, json};
use std::fs;

use super::fresh;

/// What a database of agent-conveyor 0.1.0 says about itself.
fn contract() -> Value {
    serde_json::from_str(include_str!("../../fixtures/contract/schema_22.json")).unwrap()
}

fn rows<T>(
    conn: &Connection,
    sql: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    conn.prepare(sql).unwrap().query_map([name], read).unwrap().map(Result::unwrap).collect()
}

fn stored_sql(conn: &Connection, name: &str) -> String {
    let sql = "SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?1";
    normalised(&rows(conn, sql, name, |row| row.get::<_, String>(0)).concat())
}

/// Lower case, no comments, one blank between words and none inside parentheses.
fn normalised(sql: &str) -> String {
    let bare: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let words: Vec<String> = bare.join(" ").split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").replace("( ", "(").replace(" )", ")").replace("in(", "in (")
}

fn columns(conn: &Connection, table: &str) -> Value {
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?1) ORDER BY cid";
    rows(conn, sql, table, |row| {
        Ok(json!({
            "name": row.get::<_, String>(0)?,
            "type": row.get::<_, String>(1)?,
            "notnull": row.get::<_, bool>(2)?,
            "default": row.get::<_, Option<String>>(3)?,
            "pk": row.get::<_, i64>(4)?,
        }))
    })
    .into()
}

fn foreign_keys(conn: &Connection, table: &str) -> Value {
    let sql = "SELECT \"from\", \"table\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1)";
    rows(conn, sql, table, |row| {
        Ok(json!({
            "from": row.get::<_, String>(0)?,
            "table": row.get::<_, String>(1)?,
            "to": row.get::<_, String>(2)?,
            "on_update": row.get::<_, String>(3)?,
            "on_delete": row.get::<_, String>(4)?,
        }))
    })
    .into()
}

fn indexes(conn: &Connection, table: &str) -> Value {
    let sql = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1) ORDER BY name";
    rows(conn, sql, table, |row| {
        let name: String = row.get(0)?;
        let origin = match row.get::<_, String>(2)?.as_str() {
            "c" => "create_index",
            "u" => "unique_constraint",
            _ => "primary_key",
        };
        let sql = stored_sql(conn, &name);
        Ok(json!({
            "name": name,
            "unique": row.get::<_, bool>(1)?,
            "origin": origin,
            "partial": row.get::<_, bool>(3)?,
            "where": sql.split_once(" where ").map(|(_, condition)| condition),
            "columns": index_columns(conn, &name),
        }))
    })
    .into()
}

fn index_columns(conn: &Connection, index: &str) -> Value {
    let sql = "SELECT name, \"desc\" FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno";
    rows(conn, sql, index, |row| {
        Ok(json!({ "column": row.get::<_, String>(0)?, "desc": row.get::<_, bool>(1)? }))
    })
    .into()
}

/// The table's row of `pragma_table_list` as (WITHOUT ROWID, STRICT).
fn kind(conn: &Connection, table: &str) -> (bool, bool) {
    rows(conn, "SELECT wr, strict FROM pragma_table_list(?1)", table, |row| Ok((row.get(0)?, row.get(1)?)))[0]
}

fn condition(check: &Value) -> String {
    let Some(allowed) = check["allowed"].as_array() else {
        return normalised(check["expression"].as_str().unwrap());
    };
    let allowed: Vec<String> = allowed.iter().map(|value| value.to_string().replace('"', "'")).collect();
    format!("{} in ({})", check["column"].as_str().unwrap(), allowed.join(", "))
}

/// Indexes are all that our migrations add to contract tables.
fn drop_our_indexes(conn: &Connection) {
    let index = Regex::new(r"CREATE INDEX (\w+)\s+ON (\w+)").unwrap();
    let contract = contract();
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    for migration in fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(migration) = fs::read_to_string(migration) else { continue };
        for found in index.captures_iter(&migration).filter(|found| !contract["tables"][&found[2]].is_null())
        {
            // A later migration may have made it anew.
            conn.execute_batch(&format!("DROP INDEX IF EXISTS {}", &found[1])).unwrap();
        }
    }
}

#[test]
fn every_contract_table_is_exactly_as_agent_conveyor_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fresh(dir.path());
    drop_our_indexes(&conn);

    for (table, mut expected) in contract()["tables"].as_object().unwrap().clone() {
        let checks = expected.as_object_mut().unwrap().remove("checks").unwrap();
        let sql = stored_sql(&conn, &table);
        let (without_rowid, strict) = kind(&conn, &table);
        let found = json!({
            "columns": columns(&conn, &table),
            "foreign_keys": foreign_keys(&conn, &table),
            "indexes": indexes(&conn, &table),
            "autoincrement": sql.contains("autoincrement"),
            "without_rowid": without_rowid,
            "strict": strict,
        });
        assert_eq!(found, expected, "{table}");

        let checks = checks.as_array().unwrap();
        assert_eq!(sql.matches("check (").count(), checks.len(), "{table}: {sql}");
        for check in checks {
            let wanted = format!("check ({})", condition(check));
            assert!(sql.contains(&wanted), "{table} lacks {wanted}: {sql}");
        }
    }
}

#[test]
fn the_file_carries_the_contract_version_and_sqlite_settings() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fresh(dir.path());
    let pragmas = &contract()["pragmas"];
    for name in ["user_version", "application_id", "page_size", "auto_vacuum"] {
        let found: i64 = conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
        assert_eq!(json!(found), pragmas[name], "{name}");
    }
    let encoding: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0)).unwrap();
    assert_eq!(json!(encoding), pragmas["encoding"]);

    let versions: Vec<i64> = conn
        .prepare("SELECT version FROM schema_migrations")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(versions, [22]);
}

#[test]
fn audit_events_cannot_be_changed_or_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fresh(dir.path());
    conn.execute_batch(
        "INSERT INTO events (created_at, actor, type, payload_json) VALUES ('t', 'a', 'x', '{}')",
    )
    .unwrap();
    for statement in ["UPDATE events SET type = 'y'", "DELETE FROM events"] {
        let error = conn.execute_batch(statement).unwrap_err().to_string();
        assert!(error.contains("events are append-only"), "{statement}: {error}");
    }
}

#[test]
fn telemetry_text_is_searched_by_summary_and_attributes_only() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fresh(dir.path());
    let expected = &contract()["fts_tables"][0];
    let found: Vec<String> =
        rows(&conn, "SELECT name FROM pragma_table_info(?1)", "telemetry_events_fts", |row| row.get(0));
    let names: Vec<&str> =
        expected["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);

    for column in expected["columns"].as_array().unwrap() {
        let word = format!("word{}", column["name"].as_str().unwrap().replace('_', ""));
        let insert =
            format!("INSERT INTO telemetry_events_fts ({}) VALUES (?1)", column["name"].as_str().unwrap());
        conn.execute(&insert, [&word]).unwrap();
        let hits: i64 = conn
            .query_row(
                "SELECT count(*) FROM telemetry_events_fts WHERE telemetry_events_fts MATCH ?1",
                [&word],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(hits == 1, column["indexed"].as_bool().unwrap(), "{column}");
    }
}
