//! The chain from cause to effect: completion, notification, delivery, look, decision, command, evidence.

mod kinds;
mod name;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Query, StoreError, row};
use crate::domain::words::words;
use kinds::Step;

words! {
    /// What can stand in a chain.
    ObjectKind {
        /// The end of a turn.
        Fact = "fact",
        /// A fact or a message, routed.
        Notification = "notification",
        /// One attempt to make a session see it.
        Delivery = "delivery",
        /// A manager's look at its worker.
        Cycle = "cycle",
        /// What the manager decided.
        Decision = "decision",
        /// What was asked for.
        Command = "command",
        /// A dispatcher's go at it.
        Attempt = "attempt",
        /// What the work is measured by.
        Criterion = "criterion",
        /// A command that was run to see whether something holds.
        Evidence = "evidence",
        /// A row of the audit log.
        Event = "event",
    }
}

/// One object, by its kind and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// The row's id.
    pub id: String,
}

/// An object with what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The object.
    #[serde(flatten)]
    pub object: Object,
    /// When it began.
    pub at: String,
    /// What is known of it.
    pub facts: Value,
    /// It is what was asked about.
    pub asked: bool,
    /// It stands elsewhere in the tree with what came of it.
    pub repeated: bool,
    /// What came of it.
    pub effects: Vec<Node>,
}

/// Objects of one chain that are told at most.
const MAX_OBJECTS: usize = 500;

/// The trees that an object stands in, from their first causes on.
#[derive(Debug)]
pub struct Trace {
    /// An id of any kind of object, with or without its kind, or a correlation id.
    pub id: String,
}

impl Query for Trace {
    type Out = Vec<Node>;

    /// # Errors
    /// `NotFound` for an unknown id, `Refused` for one that several objects have.
    fn run(self, conn: &Connection) -> Result<Vec<Node>, StoreError> {
        let asked = name::named(conn, &self.id)?;
        let mut walk = Walk { conn, asked: asked.iter().cloned().collect(), told: HashSet::new() };
        let roots = walk.roots(asked)?;
        roots.into_iter().filter_map(|root| walk.tell(root).transpose()).collect()
    }
}

struct Walk<'a> {
    conn: &'a Connection,
    asked: HashSet<Object>,
    told: HashSet<Object>,
}

impl Walk<'_> {
    /// The objects without a cause from which the given ones came, oldest first.
    fn roots(&self, objects: Vec<Object>) -> Result<Vec<Object>, StoreError> {
        let mut roots = HashMap::new();
        let mut seen: HashSet<Object> = objects.iter().cloned().collect();
        let mut queue = objects;
        while let Some(object) = queue.pop() {
            let causes = self.follow(&object, object.kind.about().causes)?;
            if causes.is_empty()
                && let Some((at, _)) = self.read(&object)?
            {
                roots.insert(object, at);
                continue;
            }
            let unseen =
                causes.into_iter().filter(|cause| seen.len() < MAX_OBJECTS && seen.insert(cause.clone()));
            queue.extend(unseen.collect::<Vec<_>>());
        }
        let mut roots: Vec<(Object, String)> = roots.into_iter().collect();
        roots.sort_by(|(a, a_at), (b, b_at)| (a_at, a.kind, &a.id).cmp(&(b_at, b.kind, &b.id)));
        Ok(roots.into_iter().map(|(object, _)| object).collect())
    }

    fn tell(&mut self, object: Object) -> Result<Option<Node>, StoreError> {
        let Some((at, facts)) = self.read(&object)? else { return Ok(None) };
        let repeated = !self.told.insert(object.clone());
        let mut effects = Vec::new();
        if !repeated && self.told.len() < MAX_OBJECTS {
            for effect in self.follow(&object, object.kind.about().effects)? {
                effects.extend(self.tell(effect)?);
            }
        }
        Ok(Some(Node { asked: self.asked.contains(&object), object, at, facts, repeated, effects }))
    }

    fn follow(&self, object: &Object, steps: &[Step]) -> Result<Vec<Object>, StoreError> {
        let mut found = Vec::new();
        for (kind, sql) in steps {
            found.extend(keys(self.conn, sql, &object.id)?.into_iter().map(|id| Object { kind: *kind, id }));
        }
        Ok(found)
    }

    fn read(&self, object: &Object) -> Result<Option<(String, Value)>, StoreError> {
        Ok(self
            .conn
            .prepare_cached(object.kind.about().read)?
            .query_row([&object.id], |row| Ok((row.get(0)?, row::json(row, 1)?)))
            .optional()?)
    }
}

/// The keys that a query gives for one parameter.
fn keys(conn: &Connection, sql: &str, parameter: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let keys = statement.query_map([parameter], |row| match row.get_ref(0)? {
        rusqlite::types::ValueRef::Integer(id) => Ok(id.to_string()),
        text => Ok(text.as_str()?.to_owned()),
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
