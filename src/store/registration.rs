//! Registration: a Codex session becomes known under a name, and stops being known.

use rusqlite::Connection;
use serde_json::json;

use super::commands::{self, NewCommand, Outcome};
use super::events::{self, Event};
use super::session_facts;
use super::session_links::{self, Link};
use super::sessions::{self, LinkedSession, Session};
use super::{Change, StoreError, Topic, bindings, tasks};
use crate::domain::shell::quoted;
use crate::domain::{
    Failure, Recipe, Role,
    ids::{new_id, new_token},
    time::now_iso,
};

/// Registers a session, or the same name again after its session moved or came back.
///
/// A name keeps its id and its identity token for ever. Where its rollout was read up to is
/// forgotten: the new rollout may be another file.
#[derive(Debug, Clone)]
pub struct Register {
    /// The name.
    pub name: String,
    /// Which side it is on. A name never changes sides.
    pub role: Role,
    /// The process that runs it.
    pub pid: Option<i64>,
    /// Its working directory.
    pub cwd: String,
    /// The tmux session it runs in.
    pub tmux_session: Option<String>,
    /// The pane inside it.
    pub tmux_pane_id: Option<String>,
    /// Its rollout file, absolute.
    pub codex_session_path: Option<String>,
    /// Its Codex thread.
    pub codex_session_id: Option<String>,
    /// How it was found.
    pub link: Link,
}

impl Change for Register {
    type Out = LinkedSession;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<LinkedSession, StoreError> {
        register(tx, self)
    }
}

/// As [`Register`], for use inside another change.
///
/// # Errors
/// `Refused` when the name belongs to the other role.
pub fn register(conn: &Connection, mut new: Register) -> Result<LinkedSession, StoreError> {
    let session = match find_by_name(conn, &new.name)? {
        None => insert(conn, &new)?,
        Some(known) if known.role == new.role => {
            keep_private_server(conn, &known, &mut new)?;
            revive(conn, &known, &new)?
        }
        Some(known) => return Err(other_role(&new, known.role).into()),
    };
    session_links::put(conn, &session.id, &new.link)?;
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "session_registered",
            payload: json!({
                "codex_session_id": session.codex_session_id,
                "name": session.name,
                "pid": session.pid,
                "role": session.role,
                "session_id": session.id,
            }),
            ..Event::default()
        },
    )?;
    Ok(LinkedSession { session, link: Some(new.link) })
}

fn other_role(new: &Register, role: Role) -> Failure {
    Failure::refused(format!("session {} is a {role} and cannot be registered as a {}", new.name, new.role))
        .hint(format!("choose another name, e.g. {}-{}", new.name, new.role))
}

/// By name only: an id is no name to register under.
fn find_by_name(conn: &Connection, name: &str) -> Result<Option<Session>, StoreError> {
    Ok(sessions::find(conn, name)?.filter(|session| session.name == name))
}

/// The app-server we started for a thread still runs it, whoever names that thread again.
fn keep_private_server(conn: &Connection, known: &Session, new: &mut Register) -> Result<(), StoreError> {
    let same_thread = known.codex_session_id.is_some() && known.codex_session_id == new.codex_session_id;
    if same_thread
        && let Some(link) = session_links::find(conn, &known.id)?
        && link.recipe == Recipe::PrivateServer
        && new.link.recipe != Recipe::PrivateServer
    {
        new.link = link;
    }
    Ok(())
}

fn insert(conn: &Connection, new: &Register) -> Result<Session, StoreError> {
    let now = now_iso();
    let session = Session {
        id: new_id("session"),
        name: new.name.clone(),
        role: new.role,
        identity_token: new_token("session-token"),
        tmux_session: new.tmux_session.clone(),
        tmux_pane_id: new.tmux_pane_id.clone(),
        codex_session_path: new.codex_session_path.clone(),
        codex_session_id: new.codex_session_id.clone(),
        pid: new.pid,
        cwd: new.cwd.clone(),
        registered_at: now.clone(),
        last_heartbeat_at: Some(now),
        state: "active".into(),
        last_ingest_offset: None,
    };
    conn.prepare_cached(
        "INSERT INTO sessions (id, name, role, identity_token, tmux_session, tmux_pane_id, codex_session_path,
                               codex_session_id, pid, cwd, registered_at, last_heartbeat_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute((
        &session.id,
        &session.name,
        session.role.as_str(),
        &session.identity_token,
        &session.tmux_session,
        &session.tmux_pane_id,
        &session.codex_session_path,
        &session.codex_session_id,
        session.pid,
        &session.cwd,
        &session.registered_at,
        &session.last_heartbeat_at,
        &session.state,
    ))?;
    Ok(session)
}

fn revive(conn: &Connection, known: &Session, new: &Register) -> Result<Session, StoreError> {
    conn.prepare_cached(
        "UPDATE sessions
         SET tmux_session = ?2, tmux_pane_id = ?3, codex_session_path = ?4, codex_session_id = ?5, pid = ?6,
             cwd = ?7, last_heartbeat_at = ?8, state = 'active', last_ingest_offset = NULL
         WHERE id = ?1",
    )?
    .execute((
        &known.id,
        &new.tmux_session,
        &new.tmux_pane_id,
        &new.codex_session_path,
        &new.codex_session_id,
        new.pid,
        &new.cwd,
        now_iso(),
    ))?;
    conn.prepare_cached("DELETE FROM rollout_cursors WHERE session_id = ?1")?.execute([&known.id])?;
    session_facts::clear(conn, &known.id, None)?;
    sessions::get(conn, &known.id)
}

/// Marks a session gone, unless it is bound. The attempt is recorded either way.
#[derive(Debug)]
pub struct Deregister {
    /// The session's name or id.
    pub session: String,
}

/// A deregistered session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deregistered {
    /// The session, now `gone`.
    pub session: Session,
    /// The command that records it.
    pub command_id: String,
}

impl Change for Deregister {
    /// The inner failure is a refusal that was recorded.
    type Out = Result<Deregistered, Failure>;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    fn run(self, tx: &Connection) -> Result<Self::Out, StoreError> {
        let session = sessions::get(tx, &self.session)?;
        let bound_task = match bindings::live_of_session(tx, &session.id)? {
            Some(binding) => Some(tasks::get(tx, &binding.task_id)?),
            None => None,
        };
        let command = commands::insert(
            tx,
            NewCommand {
                command_type: "deregister_session",
                task_id: bound_task.as_ref().map(|task| task.id.as_str()),
                correlation_id: None,
                required_permission: None,
                idempotency_key: None,
                payload: json!({ "name": session.name, "role": session.role, "session_id": session.id }),
            },
        )?;
        commands::attempt(tx, &command.id)?;
        match bound_task {
            Some(task) => refuse_bound(tx, &command.id, &session, &task).map(Err),
            None => mark_gone(tx, command.id, session).map(Ok),
        }
    }
}

fn mark_gone(conn: &Connection, command_id: String, session: Session) -> Result<Deregistered, StoreError> {
    sessions::set_gone(conn, &session.id)?;
    let known = json!({ "name": session.name, "role": session.role, "session_id": session.id });
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "session_deregistered",
            command_id: Some(&command_id),
            payload: known.clone(),
            ..Event::default()
        },
    )?;
    commands::settle(conn, &command_id, &Outcome::Succeeded(known))?;
    Ok(Deregistered { session: Session { state: "gone".into(), ..session }, command_id })
}

fn refuse_bound(
    conn: &Connection,
    command_id: &str,
    session: &Session,
    task: &tasks::Task,
) -> Result<Failure, StoreError> {
    let failure = Failure::refused(format!(
        "session {} was not deregistered: it is bound to task {}",
        session.name, task.name
    ))
    .hint(format!("conveyor unbind --task {}", quoted(&task.name)));
    let known = json!({
        "error": failure.message,
        "expected_failure": true,
        "name": session.name,
        "role": session.role,
        "session_id": session.id,
    });
    events::record(
        conn,
        &Event {
            actor: "workerctl",
            event_type: "session_deregister_failed",
            task_id: Some(&task.id),
            command_id: Some(command_id),
            payload: known.clone(),
            ..Event::default()
        },
    )?;
    let outcome = Outcome::Failed { error: failure.message.clone(), result: known };
    commands::settle(conn, command_id, &outcome)?;
    Ok(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transport::TransportKind;
    use crate::store::sessions::{ListSessions, SessionFilter};
    use crate::store::testing::TestDb;

    fn session(name: &str, role: Role) -> Register {
        Register {
            name: name.into(),
            role,
            pid: Some(7),
            cwd: "/w".into(),
            tmux_session: Some("codex-w1".into()),
            tmux_pane_id: None,
            codex_session_path: Some("/r/w1.jsonl".into()),
            codex_session_id: Some("thread-1".into()),
            link: Link::new(Recipe::Given),
        }
    }

    #[test]
    fn a_name_that_comes_back_keeps_its_identity_and_forgets_its_place() {
        let mut db = TestDb::new();
        let first = db.write(session("w1", Role::Worker)).unwrap().session;
        db.write(Deregister { session: "w1".into() }).unwrap().unwrap();
        db.conn
            .execute_batch(&format!(
                "UPDATE sessions SET last_ingest_offset = 9;
             INSERT INTO rollout_cursors (session_id, rollout_path, offset, updated_at)
             VALUES ('{}', '/r/w1.jsonl', 9, 'now')",
                first.id
            ))
            .unwrap();

        let moved = Register { tmux_session: None, cwd: "/elsewhere".into(), ..session("w1", Role::Worker) };
        let again = db.write(moved).unwrap().session;
        assert_eq!(
            (&again.id, &again.identity_token, &again.registered_at),
            (&first.id, &first.identity_token, &first.registered_at)
        );
        assert_eq!((again.tmux_session, again.last_ingest_offset), (None, None));
        assert_eq!((&*again.state, &*again.cwd), ("active", "/elsewhere"));
        assert_eq!(db.number("SELECT count(*) FROM rollout_cursors"), 0);
    }

    #[test]
    fn a_name_never_changes_sides() {
        let mut db = TestDb::new();
        db.write(session("w1", Role::Worker)).unwrap();
        let error = db.write(session("w1", Role::Manager)).unwrap_err();
        assert!(error.to_string().contains("is a worker"), "{error}");
        assert_eq!(db.texts("SELECT type FROM events"), ["session_registered"]);
    }

    #[test]
    fn a_registration_replaces_what_was_known_about_other_processes() {
        let mut db = TestDb::new();
        let link = Link {
            app_server_socket: Some("/run/as.sock".into()),
            app_server_pid: Some(11),
            codex_home: Some("/home/u/.codex".into()),
            codex_program: Some("/opt/codex".into()),
            mcp: true,
            transports: vec![TransportKind::Tmux],
            ..Link::new(Recipe::PrivateServer)
        };
        let started = Register { link: link.clone(), ..session("w1", Role::Worker) };
        let id = db.write(started).unwrap().session.id;
        assert_eq!(session_links::find(&db.conn, &id).unwrap(), Some(link.clone()));
        db.write(session("w1", Role::Worker)).unwrap();
        assert_eq!(session_links::find(&db.conn, &id).unwrap(), Some(link), "the same thread");
        let other = Register { codex_session_id: Some("thread-2".into()), ..session("w1", Role::Worker) };
        db.write(other).unwrap();
        assert_eq!(session_links::find(&db.conn, &id).unwrap(), Some(Link::new(Recipe::Given)));
    }

    #[test]
    fn a_bound_session_stays_and_the_refusal_is_on_record() {
        let mut db = TestDb::new();
        db.pair("t1");
        let refusal = db.write(Deregister { session: "t1-w".into() }).unwrap().unwrap_err();
        assert!(refusal.hints[0].contains("unbind --task t1"), "{refusal:?}");
        assert!(db.write(Deregister { session: "nope".into() }).is_err());
        assert_eq!(db.texts("SELECT state FROM commands"), ["failed"]);
        assert_eq!(db.number("SELECT json_extract(result_json, '$.expected_failure') FROM commands"), 1);
        assert_eq!(db.number("SELECT count(*) FROM events WHERE type = 'session_deregister_failed'"), 1);
        assert_eq!(db.number("SELECT count(*) FROM sessions WHERE state = 'active'"), 2);
    }

    #[test]
    fn lists_filter_by_side_state_pid_and_name() {
        fn check(db: &TestDb, filter: SessionFilter, expect: &[&str]) {
            let names: Vec<String> =
                db.read(ListSessions(filter.clone())).into_iter().map(|linked| linked.session.name).collect();
            assert_eq!(names, expect, "{filter:?}");
        }
        let mut db = TestDb::new();
        db.write(session("w1", Role::Worker)).unwrap();
        db.write(session("w2", Role::Worker)).unwrap();
        db.write(session("m1", Role::Manager)).unwrap();
        db.write(Register { pid: None, ..session("old", Role::Worker) }).unwrap();
        db.write(Deregister { session: "w2".into() }).unwrap().unwrap();

        let all = SessionFilter { without_pid: true, ..SessionFilter::default() };
        check(&db, all.clone(), &["w1", "w2", "m1", "old"]);
        check(&db, SessionFilter::default(), &["w1", "w2", "m1"]);
        check(&db, SessionFilter { state: Some("gone".into()), ..all.clone() }, &["w2"]);
        check(&db, SessionFilter { role: Some(Role::Manager), ..all.clone() }, &["m1"]);
        check(&db, SessionFilter { names: vec!["w2".into(), "w1".into()], ..all }, &["w1", "w2"]);
    }
}
