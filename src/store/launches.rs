//! Sessions that this program starts: the name is free, the session is there, the first prompt is sent.

use rusqlite::Connection;

use super::deliveries::{self, ClaimedDelivery, Move, NewDelivery, Source};
use super::registration::{self, Register};
use super::sessions::{self, LinkedSession};
use super::tasks::{self, Task};
use super::{Change, Query, StoreError, Topic, leftovers, manager_config};
use crate::domain::shell::quoted;
use crate::domain::transport::TransportKind;
use crate::domain::{Failure, Role, ids::new_id};

/// Refuses a name that a living session has, or one of the other side.
#[derive(Debug)]
pub struct RefuseTakenName {
    /// The name.
    pub name: String,
    /// The side that the new session will be on.
    pub role: Role,
}

impl Query for RefuseTakenName {
    type Out = ();

    fn run(self, conn: &Connection) -> Result<(), StoreError> {
        refuse_taken(conn, &self.name, self.role)
    }
}

pub(super) fn refuse_taken(conn: &Connection, name: &str, role: Role) -> Result<(), StoreError> {
    let Some(known) = sessions::find(conn, name)?.filter(|known| known.name == name) else {
        return Ok(());
    };
    let (problem, hint) = if known.role != role {
        (format!("its name belongs to a {}", known.role), format!("choose another, e.g. {name}-{role}"))
    } else if known.is_active() {
        (
            "one of that name is registered".to_owned(),
            format!("choose another, or end that one: `conveyor stop {}`", quoted(name)),
        )
    } else {
        return Ok(());
    };
    Err(Failure::refused(problem).hint(hint).into())
}

/// The task that a reference names, and whether its supervision contract is on record.
#[derive(Debug)]
pub struct KnownTask(pub String);

impl Query for KnownTask {
    type Out = Option<(Task, bool)>;

    fn run(self, conn: &Connection) -> Result<Self::Out, StoreError> {
        let Some(task) = tasks::find(conn, &self.0)? else { return Ok(None) };
        let configured = manager_config::find(conn, &task.id)?.is_some();
        Ok(Some((task, configured)))
    }
}

/// Registers a session that was just started: from now on it is known by that.
#[derive(Debug)]
pub struct RegisterStarted {
    /// The session.
    pub session: Register,
    /// Its start, which is over.
    pub launch_id: String,
}

impl Change for RegisterStarted {
    type Out = LinkedSession;
    const TOUCHES: &'static [Topic] = &[Topic::Sessions];

    /// # Errors
    /// `Refused` when somebody else took the name meanwhile.
    fn run(self, tx: &Connection) -> Result<LinkedSession, StoreError> {
        refuse_taken(tx, &self.session.name, self.session.role)?;
        leftovers::end(tx, &self.launch_id)?;
        registration::register(tx, self.session)
    }
}

/// Records that a session's first prompt is about to be sent through its app-server.
#[derive(Debug)]
pub struct BeginFirstPrompt {
    /// The session's id.
    pub session_id: String,
    /// The prompt; only its hash and size are kept.
    pub prompt: String,
}

impl Change for BeginFirstPrompt {
    /// The claim under which it may be sent.
    type Out = ClaimedDelivery;

    fn run(self, tx: &Connection) -> Result<ClaimedDelivery, StoreError> {
        let delivery = deliveries::claim(
            tx,
            &NewDelivery {
                source: Source::Nudge,
                notification_id: None,
                command_id: None,
                attempt_id: None,
                target_session_id: &self.session_id,
                correlation_id: &new_id("dispatch"),
                body: &self.prompt,
            },
        )?;
        deliveries::make_move(tx, delivery.id, delivery.fence, &Move::Start(TransportKind::AppServer))?;
        Ok(delivery)
    }
}

/// Records how sending the first prompt went.
#[derive(Debug)]
pub struct FinishFirstPrompt {
    /// The claim.
    pub delivery: ClaimedDelivery,
    /// How it went.
    pub outcome: Move,
}

impl Change for FinishFirstPrompt {
    type Out = ();
    const TOUCHES: &'static [Topic] = &[Topic::Deliveries];

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        deliveries::make_move(tx, self.delivery.id, self.delivery.fence, &self.outcome).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Recipe;
    use crate::store::registration::Deregister;
    use crate::store::session_links::Link;
    use crate::store::testing::TestDb;

    fn started(name: &str, role: Role) -> RegisterStarted {
        let session = Register {
            name: name.into(),
            role,
            pid: Some(7),
            cwd: "/w".into(),
            tmux_session: Some(format!("codex-{name}")),
            tmux_pane_id: Some("%1".into()),
            codex_session_path: None,
            codex_session_id: Some("thread-1".into()),
            link: Link::new(Recipe::Embedded),
        };
        RegisterStarted { session, launch_id: "launch-1".into() }
    }

    #[test]
    fn a_living_name_and_one_of_the_other_side_are_taken() {
        let mut db = TestDb::new();
        let free = |db: &TestDb, role: Role| refuse_taken(&db.conn, "w1", role).is_ok();
        assert!(free(&db, Role::Worker));
        db.write(started("w1", Role::Worker)).unwrap();
        assert!(!free(&db, Role::Worker) && !free(&db, Role::Manager));
        assert!(db.write(started("w1", Role::Worker)).is_err());
        db.write(Deregister { session: "w1".into() }).unwrap().unwrap();
        assert!(free(&db, Role::Worker) && !free(&db, Role::Manager));
        assert_eq!(db.number("SELECT count(*) FROM sessions"), 1);
    }

    #[test]
    fn a_prompt_is_on_record_before_it_is_sent() {
        let mut db = TestDb::new();
        let session_id = db.write(started("w1", Role::Worker)).unwrap().session.id;
        let begin = BeginFirstPrompt { session_id: session_id.clone(), prompt: "go".into() };
        let delivery = db.write(begin).unwrap();
        let sql = "SELECT state || ' ' || transport || ' ' || body_bytes || ' ' || target_session_id FROM deliveries";
        let expect = |state: &str| format!("{state} app_server 2 {session_id}");
        assert_eq!(db.texts(sql), [expect("started")]);
        db.write(FinishFirstPrompt { delivery, outcome: Move::Sent }).unwrap();
        assert_eq!(db.texts(sql), [expect("sent")]);
    }
}
