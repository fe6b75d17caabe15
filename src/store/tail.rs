//! A look at the newest events of one session.

use std::convert::identity;

use rusqlite::Connection;
use serde_json::json;

use super::codex_events::{self, CodexEvent, Left};
use super::sessions::{self, Session};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::{Change, Query, StoreError, answer_size, bindings, rollout_files};
use crate::domain::redaction::redact_rollout;

/// Which events are looked at.
#[derive(Debug, Clone)]
pub struct ReadTail {
    /// The session, by name or id.
    pub session: String,
    /// At most this many, the newest.
    pub limit: u32,
    /// Only those with this subtype.
    pub subtype: Option<String>,
    /// Texts are to be shown verbatim.
    pub include_content: bool,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// It.
    pub event: CodexEvent,
    /// Its payload was left in this rollout.
    pub left_in: Option<(String, Left)>,
}

impl Query for ReadTail {
    /// The session, and its events, newest first.
    type Out = (Session, Vec<StoredEvent>);

    /// # Errors
    /// `NotFound` for an unknown session, `Refused` when the verbatim payloads are too much for one
    /// answer.
    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let session = sessions::get(conn, &self.session)?;
        if self.include_content {
            self.refuse_too_much(conn, &session)?;
        }
        let shape = if self.include_content { identity } else { redact_rollout };
        let events = codex_events::newest(conn, &session.id, self.subtype.as_deref(), self.limit, shape)?;
        let stored = events.into_iter().map(|event| stored(conn, &session.id, event));
        let stored = stored.collect::<Result<_, _>>()?;
        Ok((session, stored))
    }
}

fn stored(conn: &Connection, session_id: &str, event: CodexEvent) -> Result<StoredEvent, StoreError> {
    let left_in = match Left::of(&event.payload) {
        Some(left) => rollout_files::path_of(conn, session_id, event.id)?.map(|path| (path, left)),
        None => None,
    };
    Ok(StoredEvent { event, left_in })
}

impl ReadTail {
    fn refuse_too_much(&self, conn: &Connection, session: &Session) -> Result<(), StoreError> {
        let bytes = codex_events::payload_bytes(conn, &session.id, self.subtype.as_deref(), self.limit)?;
        answer_size::refuse_too_much(
            bytes,
            &format!("the newest {} events of session {}", self.limit, session.name),
        )
    }
}

/// Records that somebody looked at a session's events.
#[derive(Debug)]
pub struct RecordTail {
    /// What was asked for.
    pub look: ReadTail,
    /// How many events were shown.
    pub events: usize,
}

impl Change for RecordTail {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        let session = sessions::get(tx, &self.look.session)?;
        let binding = bindings::live_of_session(tx, &session.id)?;
        telemetry::emit(
            tx,
            &Telemetry {
                actor: Actor::Workerctl,
                event_type: "codex_events_tail_read",
                severity: Severity::Info,
                summary: &format!("showed {} rollout events of session {}", self.events, session.name),
                task_id: binding.as_ref().map(|binding| binding.task_id.as_str()),
                run_id: None,
                correlation: json!({"session": session.name, "session_id": session.id}),
                attributes: json!({
                    "event_count": self.events,
                    "include_content": self.look.include_content,
                    "limit": self.look.limit,
                    "subtype": self.look.subtype,
                }),
            },
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::Role;
    use crate::store::codex_events::NewEvent;
    use crate::store::testing::TestDb;

    fn database(payloads: &[Value]) -> TestDb {
        let db = TestDb::new();
        let session = db.session("w1", Role::Worker);
        for (byte_offset, payload) in payloads.iter().enumerate() {
            let event = NewEvent {
                byte_offset: byte_offset as u64,
                timestamp: None,
                kind: "event_msg".into(),
                subtype: payload["type"].as_str().map(str::to_owned),
                payload: payload.to_string(),
            };
            codex_events::insert(&db.conn, &session.id, &event, "2026-01-01T00:00:00.000Z").unwrap();
        }
        db
    }

    fn look(limit: u32, subtype: Option<&str>, include_content: bool) -> ReadTail {
        ReadTail { session: "w1".into(), limit, subtype: subtype.map(str::to_owned), include_content }
    }

    #[test]
    fn the_newest_come_first_and_without_their_texts() {
        let db = database(&[
            json!({"type": "agent_message", "message": "one"}),
            json!({"type": "task_complete", "last_agent_message": "secret"}),
            json!({"type": "agent_message", "message": "two"}),
        ]);
        let check = |look: ReadTail, expect: &[(i64, &str)]| {
            let (_, events) = db.read(look);
            let found: Vec<(i64, String)> =
                events.iter().map(|stored| (stored.event.id, stored.event.payload.to_string())).collect();
            assert_eq!(found.len(), expect.len());
            for ((id, payload), (expect_id, words)) in found.iter().zip(expect) {
                assert_eq!(id, expect_id);
                assert!(payload.contains(words) || words.is_empty(), "{payload}");
                assert_eq!(payload.contains("secret"), *words == "secret", "{payload}");
            }
        };
        check(
            look(50, None, false),
            &[(3, "message_byte_count"), (2, "last_agent_message_redacted"), (1, "")],
        );
        check(look(2, None, true), &[(3, "\"two\""), (2, "secret")]);
        check(look(50, Some("agent_message"), true), &[(3, "two"), (1, "one")]);
        check(look(50, Some("nothing"), false), &[]);
        check(look(0, None, false), &[]);
    }

    #[test]
    fn what_was_left_in_a_rollout_names_its_file_and_counts_as_what_it_is() {
        let left = Left { bytes: 17 << 20 };
        let db =
            database(&[serde_json::from_str(&left.to_json()).unwrap(), json!({"type": "task_complete"})]);
        let session = db.read(look(1, None, false)).0;
        let of = |path| rollout_files::Source { session_id: &session.id, path };
        for path in ["/a.jsonl", "/a.jsonl"] {
            of(path).begins_at(&db.conn, 1).unwrap();
        }
        of("/b.jsonl").begins_at(&db.conn, 2).unwrap();
        let (_, events) = db.read(look(2, None, false));
        let left_in: Vec<_> = events.into_iter().map(|event| event.left_in).collect();
        assert_eq!(left_in, [None, Some(("/a.jsonl".to_owned(), left))]);
        assert!(look(2, None, true).run(&db.conn).unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn more_than_one_answer_carries_is_refused_unless_redacted() {
        let huge = json!({"type": "agent_message", "message": "x".repeat(17 << 20)});
        let db = database(&[huge, json!({"type": "task_complete"})]);
        let refusal = look(2, None, true).run(&db.conn).unwrap_err().to_string();
        assert!(refusal.contains("w1") && refusal.contains("bytes"), "{refusal}");
        assert_eq!(db.read(look(1, None, true)).1.len(), 1);
        assert_eq!(db.read(look(2, None, false)).1.len(), 2);
    }
}
