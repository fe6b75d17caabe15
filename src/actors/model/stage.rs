//! Everything there is: sessions with their rollouts, two processes on one database, what left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::sample::Index;
use rusqlite::Connection;
use tempfile::TempDir;

use super::ledger::Ledger;
use super::step::{Fate, PROCESSES, TASKS};
use super::thread::{Letter, Thread};
use crate::actors::ingest::reading::{OwnedBatch, Reading};
use crate::domain::{DeliveryState, Failure, Recipe, Role, Settlement};
use crate::store::bindings::Bind;
use crate::store::dispatch::Push;
use crate::store::registration::Register;
use crate::store::rollout::Cursor;
use crate::store::session_links::Link;
use crate::store::tasks::CreateTask;
use crate::store::{Change, StoreError, testing};

/// A registered session and the Codex behind it.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// The thread it is in.
    pub(super) thread: usize,
    /// The thread that the database has it in.
    pub(super) known_thread: usize,
    pub(super) pushable: bool,
}

/// A process that reads, dispatches, and can be killed.
pub(super) struct Process {
    pub(super) conn: Connection,
    /// By session.
    pub(super) readers: BTreeMap<usize, Reader>,
    pub(super) flights: Vec<Flight>,
}

/// A reader of a rollout.
pub(super) struct Reader {
    pub(super) cursor: Cursor,
    pub(super) reading: Reading,
    /// What it has read and not stored.
    pub(super) batch: Option<OwnedBatch>,
}

/// A push in the hands of a dispatcher.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) push: Push,
    pub(super) state: FlightState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlightState {
    Claimed,
    /// It was told that it lost the claim.
    Refused,
    Begun,
    Acted,
}

/// A push that left.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) delivery: i64,
    /// What it is about, see [`Ledger::subject`].
    pub(super) subject: String,
    pub(super) target: usize,
    pub(super) letter: Letter,
    pub(super) arrived: bool,
}

/// A mailbox item in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) item: i64,
    pub(super) fence: i64,
}

/// What a change came to.
pub(super) enum Made<T> {
    /// It is durable, and whoever made it knows.
    Heard(T),
    /// It is durable, and its maker is dead.
    Unheard(T),
    /// Nothing of it is durable.
    Lost,
    Refused(Failure),
}

/// What happened in a story, or in several.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) stories: usize,
    pub(super) changes: usize,
    pub(super) kills: usize,
    pub(super) moves: BTreeMap<(Option<DeliveryState>, DeliveryState), usize>,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.stories += other.stories;
        self.changes += other.changes;
        self.kills += other.kills;
        for (made, times) in &other.moves {
            *self.moves.entry(*made).or_default() += times;
        }
    }
}

pub(super) struct Stage {
    pub(super) sessions: Vec<Session>,
    pub(super) threads: Vec<Thread>,
    pub(super) processes: Vec<Process>,
    /// Which process makes the present step, and its fate.
    pub(super) now: (usize, Fate),
    /// How far each thread was read and stored, by whoever got furthest.
    pub(super) stored: BTreeMap<usize, u64>,
    pub(super) effects: Vec<Effect>,
    pub(super) holds: Vec<Hold>,
    /// Items whose taker knows that they are his.
    pub(super) taken: BTreeSet<i64>,
    /// Deliveries whose claimant lost its claim.
    pub(super) lost_claims: BTreeSet<i64>,
    pub(super) settled: BTreeMap<i64, Settlement>,
    pub(super) tally: Tally,
    path: PathBuf,
    directory: TempDir,
}

impl Stage {
    /// Two workers and two managers, bound. The first manager has a terminal.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("workerctl.db");
        let mut stage = Self {
            sessions: Vec::new(),
            threads: Vec::new(),
            processes: (0..PROCESSES).map(|_| Process::start(&path)).collect(),
            now: (0, Fate::Lives),
            stored: BTreeMap::new(),
            effects: Vec::new(),
            holds: Vec::new(),
            taken: BTreeSet::new(),
            lost_claims: BTreeSet::new(),
            settled: BTreeMap::new(),
            tally: Tally { stories: 1, ..Tally::default() },
            path,
            directory,
        };
        for (name, role, pushable) in [
            ("w0", Role::Worker, true),
            ("w1", Role::Worker, false),
            ("m0", Role::Manager, true),
            ("m1", Role::Manager, false),
        ] {
            let thread = stage.new_thread(stage.sessions.len());
            stage.sessions.push(Session {
                id: String::new(),
                name,
                role,
                thread,
                known_thread: thread,
                pushable,
            });
            stage.register(stage.sessions.len() - 1, pushable);
        }
        for task in 0..TASKS {
            let create = CreateTask { name: format!("t{task}"), goal: "Ship it".into(), summary: None };
            stage.make(create);
            stage.make(Bind {
                task: format!("t{task}"),
                worker: format!("w{task}"),
                manager: format!("m{task}"),
            });
        }
        stage
    }

    /// Makes a new thread; every other one as an older Codex would.
    pub(super) fn new_thread(&mut self, owner: usize) -> usize {
        let number = self.threads.len();
        self.threads.push(Thread::create(self.directory.path(), number, owner));
        number
    }

    /// Registers a session where it is now, for the first time or again.
    pub(super) fn register(&mut self, who: usize, pushable: bool) {
        let session = &self.sessions[who];
        let thread = &self.threads[session.thread];
        let register = Register {
            name: session.name.into(),
            role: session.role,
            pid: None,
            cwd: "/repo".into(),
            tmux_session: pushable.then(|| session.name.into()),
            tmux_pane_id: None,
            codex_session_path: Some(thread.path()),
            codex_session_id: Some(thread.id.clone()),
            link: Link::new(Recipe::Given),
        };
        if let Some(linked) = self.make(register).durable() {
            let session = &mut self.sessions[who];
            session.id = linked.session.id;
            (session.known_thread, session.pushable) = (session.thread, pushable);
        }
    }

    /// Makes a change as the writer does, in the present process; kills the process if that is its
    /// fate.
    pub(super) fn make<C: Change>(&mut self, change: C) -> Made<C::Out> {
        let (process, fate) = self.now;
        let made = run(&mut self.processes[process].conn, fate, change);
        if matches!(made, Made::Lost | Made::Unheard(_)) {
            self.restart(process);
            self.now.1 = Fate::Lives;
        }
        made
    }

    /// Kills a process and starts it again.
    pub(super) fn restart(&mut self, process: usize) {
        self.processes[process] = Process::start(&self.path);
        self.tally.kills += 1;
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.processes[self.now.0]
    }

    /// A connection that nobody writes by.
    pub(super) fn look(&self) -> &Connection {
        &self.processes[1 - self.now.0].conn
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::read(self.look())
    }

    /// The thread that a session is in.
    pub(super) fn thread(&mut self, who: usize) -> &mut Thread {
        &mut self.threads[self.sessions[who].thread]
    }

    pub(super) fn session_of(&self, id: &str) -> usize {
        self.sessions.iter().position(|session| session.id == id).unwrap()
    }
}

impl Process {
    fn start(path: &Path) -> Self {
        Self { conn: testing::connect(path), readers: BTreeMap::new(), flights: Vec::new() }
    }
}

impl<T> Made<T> {
    /// What came of a change that is durable.
    pub(super) fn durable(self) -> Option<T> {
        match self {
            Self::Heard(out) | Self::Unheard(out) => Some(out),
            Self::Lost | Self::Refused(_) => None,
        }
    }

    pub(super) fn is_heard(&self) -> bool {
        matches!(self, Self::Heard(_))
    }

    /// What came of it, if its maker knows.
    pub(super) fn heard(self) -> Option<T> {
        match self {
            Self::Heard(out) => Some(out),
            _ => None,
        }
    }
}

fn run<C: Change>(conn: &mut Connection, fate: Fate, change: C) -> Made<C::Out> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let out = match change.run(&tx) {
        Ok(out) => out,
        Err(StoreError::Refused(failure)) => return Made::Refused(failure),
        Err(error) => panic!("{error}"),
    };
    match fate {
        Fate::DiesBefore => return Made::Lost,
        Fate::Lives | Fate::DiesAfter => tx.commit().unwrap(),
    }
    if fate == Fate::DiesAfter { Made::Unheard(out) } else { Made::Heard(out) }
}

/// One of what there is.
pub(super) fn pick<T: Copy>(from: &[T], index: Index) -> Option<T> {
    (!from.is_empty()).then(|| *index.get(from))
}
