//! Which objects an id names.

use rusqlite::{Connection, OptionalExtension};

use super::{Object, ObjectKind, keys};
use crate::domain::Failure;
use crate::store::StoreError;

/// The objects that `id` names: one by its kind and number, a command or a turn by its own id, or all of
/// one correlation.
pub(super) fn named(conn: &Connection, id: &str) -> Result<Vec<Object>, StoreError> {
    if let Some(object) = with_kind(id) {
        return if exists(conn, &object)? { Ok(vec![object]) } else { Err(unknown(&object).into()) };
    }
    if id.parse::<i64>().is_ok() {
        return numbered(conn, id);
    }
    let command = Object { kind: ObjectKind::Command, id: id.to_owned() };
    if exists(conn, &command)? {
        return Ok(vec![command]);
    }
    let mut found = correlated(conn, id)?;
    if found.is_empty() {
        found = keys(conn, "SELECT id FROM turn_facts WHERE turn_key = ?1 ORDER BY id LIMIT 2", id)?
            .into_iter()
            .map(|id| Object { kind: ObjectKind::Fact, id })
            .collect();
    }
    if found.is_empty() {
        return Err(Failure::not_found(format!("nothing on record has the id {id:?}"))
            .hint("ids stand in `conveyor replay TASK --json`, `conveyor commands`, `conveyor deliveries`")
            .hint("numbers are given with their kind: `conveyor trace delivery:7`")
            .into());
    }
    Ok(found)
}

/// `delivery:7`, `delivery-7`, `delivery#7` or `delivery/7`.
fn with_kind(id: &str) -> Option<Object> {
    let (kind, key) = id.split_once([':', '-', '#', '/'])?;
    let kind: ObjectKind = match kind {
        "turn" | "completion" => ObjectKind::Fact,
        kind => kind.parse().ok()?,
    };
    match kind {
        // Its key has a prefix of its own.
        ObjectKind::Command if key.starts_with("command-") => Some(Object { kind, id: key.to_owned() }),
        ObjectKind::Command => None,
        _ => key.parse::<i64>().ok().map(|number| Object { kind, id: number.to_string() }),
    }
}

fn numbered(conn: &Connection, id: &str) -> Result<Vec<Object>, StoreError> {
    let mut found = Vec::new();
    for kind in ObjectKind::ALL.iter().filter(|kind| **kind != ObjectKind::Command) {
        let object = Object { kind: *kind, id: id.to_owned() };
        if exists(conn, &object)? {
            found.push(object);
        }
    }
    match found.as_slice() {
        [] => Err(Failure::not_found(format!("nothing on record has the number {id}"))
            .hint("numbers stand in `conveyor replay TASK --json` as `source_id`")
            .into()),
        [_] => Ok(found),
        several => {
            let kinds: Vec<String> = several.iter().map(|object| object.kind.to_string()).collect();
            let mut failure =
                Failure::refused(format!("{id} is the number of more than one object: {}", kinds.join(", ")));
            for object in several {
                failure = failure.hint(format!("`conveyor trace {}:{id}`", object.kind));
            }
            Err(failure.into())
        }
    }
}

/// Everything with this correlation id; what others of it lead to is reached from them.
fn correlated(conn: &Connection, id: &str) -> Result<Vec<Object>, StoreError> {
    let mut found = Vec::new();
    for kind in ObjectKind::ALL {
        let Some(sql) = kind.about().correlated else { continue };
        found.extend(keys(conn, sql, id)?.into_iter().map(|id| Object { kind: *kind, id }));
    }
    Ok(found)
}

fn exists(conn: &Connection, object: &Object) -> Result<bool, StoreError> {
    let found =
        conn.prepare_cached(object.kind.about().read)?.query_row([&object.id], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

fn unknown(object: &Object) -> Failure {
    let see = match object.kind {
        ObjectKind::Command | ObjectKind::Attempt => "conveyor commands --attempts",
        ObjectKind::Delivery => "conveyor deliveries",
        ObjectKind::Criterion => "conveyor criteria TASK --list",
        _ => "conveyor replay TASK --json",
    };
    Failure::not_found(format!("{} {} does not exist", object.kind, object.id))
        .hint(format!("see what exists: `{see}`"))
}
