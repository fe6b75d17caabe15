//! Exits: a process of a session is gone, and with it the turn it was in.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::events::{self, Event};
use super::session_facts::{self, NewSessionFact};
use super::telemetry::{self, Actor, Severity, Telemetry};
use super::turn_facts::{self, NewFact};
use super::{Change, StoreError, Topic, bindings, sessions};
use crate::domain::session_fact::{ProcessRole, SessionFactKind};
use crate::domain::{TurnKey, TurnOutcome};

/// Records that a process of a session is gone.
#[derive(Debug, Clone)]
pub struct RecordExit {
    /// The session.
    pub session_id: String,
    /// Which of its processes.
    pub role: ProcessRole,
    /// The process.
    pub pid: i64,
    /// When that process, or the one it was recorded with, had started. Numbers are used again.
    pub started_at: Option<String>,
    /// Nobody has the session's thread loaded any more: a turn that is open there has crashed.
    pub thread_is_free: bool,
}

/// What an exit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Nobody knew of it before.
    pub is_new: bool,
    /// The turn that crashed with it.
    pub crashed_turn: Option<TurnKey>,
}

impl Change for RecordExit {
    /// `None` when the session is not active any more, and nothing changed.
    type Out = Option<Exit>;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions, Topic::Work];

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let session = sessions::get(tx, &self.session_id)?;
        if !session.is_active() {
            return Ok(None);
        }
        let crashed_turn = if self.thread_is_free { self.close_open_turn(tx)? } else { None };
        let kind = self.role.exit();
        let detail = json!({
            "crashed_turn": crashed_turn.as_ref().map(TurnKey::to_string),
            "pid": self.pid,
            "process": self.role,
        });
        let incarnation = self.started_at.as_deref().unwrap_or("-");
        let dedupe_key = format!("{kind}:{}:{}:{}:{incarnation}", self.session_id, self.role, self.pid);
        let fact = NewSessionFact { session_id: &session.id, kind, dedupe_key: &dedupe_key, detail: &detail };
        let is_new = session_facts::record(tx, &fact)?;
        if kind == SessionFactKind::Exited {
            // Nobody can be answered any more.
            session_facts::clear(tx, &session.id, Some(SessionFactKind::Waiting))?;
        }
        if is_new {
            self.tell(tx, &session.name, detail)?;
        }
        Ok(Some(Exit { is_new, crashed_turn }))
    }
}

impl RecordExit {
    /// A turn without an id could not be told from an end that is written later, and stays open.
    fn close_open_turn(&self, conn: &Connection) -> Result<Option<TurnKey>, StoreError> {
        let open: Option<(String, String)> = conn
            .prepare_cached(
                "SELECT thread_id, open_turn_key FROM rollout_cursors
                 WHERE session_id = ?1 AND thread_id IS NOT NULL AND open_turn_key IS NOT NULL",
            )?
            .query_row([&self.session_id], |row| row.try_into())
            .optional()?;
        let Some((thread_id, key)) = open.map(|(thread_id, key)| (thread_id, TurnKey::parse(&key))) else {
            return Ok(None);
        };
        if key.id().is_none() {
            return Ok(None);
        }
        conn.prepare_cached("UPDATE rollout_cursors SET open_turn_key = NULL WHERE session_id = ?1")?
            .execute([&self.session_id])?;
        let fact = NewFact {
            session_id: &self.session_id,
            thread_id: &thread_id,
            key: &key,
            outcome: TurnOutcome::Failed,
            event_id: None,
            error: Some(&turn_facts::crash()),
        };
        Ok(turn_facts::record(conn, &fact)?.then_some(key))
    }

    fn tell(&self, conn: &Connection, name: &str, detail: Value) -> Result<(), StoreError> {
        let binding = bindings::live_of_session(conn, &self.session_id)?;
        let task_id = binding.as_ref().map(|binding| binding.task_id.as_str());
        let event_type = format!("session_{}", self.role.exit());
        telemetry::emit(
            conn,
            &Telemetry {
                actor: Actor::System,
                event_type: &event_type,
                severity: Severity::Warning,
                summary: &format!("session {name}: {} is gone (process {})", self.role.words(), self.pid),
                task_id,
                run_id: None,
                correlation: json!({"session": name, "session_id": self.session_id}),
                attributes: detail.clone(),
            },
        )?;
        let mut payload = detail;
        payload["session"] = name.into();
        payload["session_id"] = self.session_id.as_str().into();
        events::record(
            conn,
            &Event { actor: "system", event_type: &event_type, task_id, payload, ..Event::default() },
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Activity;
    use crate::store::bindings::BoundTask;
    use crate::store::codex_events;
    use crate::store::rollout::{AppendRollout, Meaning, ReadLine};
    use crate::store::testing::TestDb;

    /// A pair whose worker is in the turn `a`.
    struct Desk {
        db: TestDb,
        bound: BoundTask,
        offset: u64,
    }

    impl Desk {
        fn new() -> Self {
            let mut db = TestDb::new();
            let bound = db.pair("t1");
            db.conn
                .execute(
                    "UPDATE sessions SET codex_session_path = '/r', codex_session_id = 'thread-' || role",
                    [],
                )
                .unwrap();
            let mut desk = Self { db, bound, offset: 0 };
            desk.append("task_started", None, Some(TurnKey::Id("a".into())));
            desk
        }

        fn append(&mut self, subtype: &str, meaning: Option<Meaning>, open_turn: Option<TurnKey>) {
            let event = codex_events::NewEvent {
                byte_offset: self.offset,
                timestamp: None,
                kind: "event_msg".into(),
                subtype: Some(subtype.into()),
                payload: json!({"type": subtype, "turn_id": "a"}).to_string(),
            };
            let append = AppendRollout {
                session_id: self.bound.worker.id.clone(),
                path: "/r".into(),
                from_offset: self.offset,
                to_offset: self.offset + 10,
                lines: vec![ReadLine { event, ordinal: None, meaning }],
                skipped_lines: 0,
                open_turn,
                asked: false,
                at_end: true,
            };
            self.offset += 10;
            assert!(self.db.write(append).unwrap().is_some());
        }

        fn exit(&mut self, thread_is_free: bool) -> Option<Exit> {
            self.exit_of(ProcessRole::Codex, thread_is_free)
        }

        fn exit_of(&mut self, role: ProcessRole, thread_is_free: bool) -> Option<Exit> {
            let session_id = self.bound.worker.id.clone();
            self.db.write(RecordExit { session_id, role, pid: 7, started_at: None, thread_is_free }).unwrap()
        }

        fn turns(&self) -> Vec<String> {
            self.db.texts(
                "SELECT turn_key || ' ' || outcome || ' ' || COALESCE(error_json ->> '$.kind', '-') FROM turn_facts",
            )
        }

        fn activity(&self) -> Activity {
            codex_events::told(&self.db.conn, &self.bound.worker.id).unwrap().activity
        }
    }

    #[test]
    fn a_turn_that_was_open_has_crashed_and_its_worker_is_not_busy() {
        let mut desk = Desk::new();
        assert_eq!(desk.activity(), Activity::Busy);
        let exit = desk.exit(true).unwrap();
        assert_eq!(exit, Exit { is_new: true, crashed_turn: Some(TurnKey::Id("a".into())) });
        assert_eq!((desk.turns(), desk.activity()), (vec!["a failed crashed".to_owned()], Activity::Idle));
        assert_eq!(desk.db.number("SELECT count(*) FROM rollout_cursors WHERE open_turn_key IS NULL"), 1);
        assert_eq!(
            desk.db.jsons("SELECT detail_json FROM session_facts"),
            [json!({"crashed_turn": "a", "pid": 7, "process": "codex"})]
        );
        assert_eq!(desk.exit(true), Some(Exit { is_new: false, crashed_turn: None }), "known already");
        assert_eq!(desk.db.number("SELECT count(*) FROM events WHERE type = 'session_exited'"), 1);
    }

    #[test]
    fn a_turn_that_ends_after_all_is_not_doubled() {
        let mut desk = Desk::new();
        desk.exit(true).unwrap();
        let ended = Meaning::TurnEnded {
            key: TurnKey::Id("a".into()),
            outcome: TurnOutcome::Completed,
            error: None,
            silent: false,
        };
        desk.append("task_complete", Some(ended), None);
        assert_eq!(desk.turns(), ["a failed crashed"]);
        let died = Meaning::TurnDied(TurnKey::Id("a".into()));
        desk.append("task_started", Some(died), Some(TurnKey::Id("b".into())));
        assert_eq!(desk.turns(), ["a failed crashed"]);
    }

    #[test]
    fn a_turn_goes_on_while_somebody_has_its_thread_or_it_cannot_be_named() {
        let mut desk = Desk::new();
        assert_eq!(desk.exit(false).unwrap().crashed_turn, None);
        assert_eq!((desk.turns(), desk.activity()), (vec![], Activity::Busy));
        desk.db.conn.execute("UPDATE rollout_cursors SET open_turn_key = 'offset:0'", []).unwrap();
        assert_eq!(desk.exit(true).unwrap().crashed_turn, None);
        assert_eq!(desk.turns(), [""; 0]);
        // The server that ran it goes too.
        desk.db.conn.execute("UPDATE rollout_cursors SET open_turn_key = 'a'", []).unwrap();
        assert!(desk.exit_of(ProcessRole::AppServer, true).unwrap().crashed_turn.is_some());
    }

    #[test]
    fn each_process_exits_once_and_a_registration_begins_anew() {
        let mut desk = Desk::new();
        assert!(desk.exit_of(ProcessRole::Terminal, false).unwrap().is_new);
        assert!(desk.exit_of(ProcessRole::AppServer, false).unwrap().is_new);
        assert!(!desk.exit_of(ProcessRole::AppServer, false).unwrap().is_new);
        assert_eq!(
            desk.db.texts("SELECT kind FROM session_facts ORDER BY id"),
            ["terminal_exited", "exited"]
        );
        session_facts::clear(&desk.db.conn, &desk.bound.worker.id, None).unwrap();
        assert_eq!(session_facts::open(&desk.db.conn, &desk.bound.worker.id).unwrap(), []);

        desk.db.conn.execute("UPDATE sessions SET state = 'gone'", []).unwrap();
        assert_eq!(desk.exit(true), None, "it was deregistered");
    }
}
