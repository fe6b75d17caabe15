//! Whether a session's processes are there, known within a second.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::blocking::blocking;
use super::ingest;
use super::whereabouts::has_rollout;
use crate::codex::discover::{LockHolder, home_of_rollout, lock_holder};
use crate::codex::exit::Process;
use crate::domain::session_fact::ProcessRole;
use crate::domain::time::parse_iso;
use crate::domain::{Failure, Recipe};
use crate::store::Store;
use crate::store::exits::RecordExit;
use crate::store::rollout::GetCursor;
use crate::store::sessions::{GetLinkedSession, LinkedSession};

/// How long a session that is being stopped on purpose gets to be marked so.
const GRACE: Duration = Duration::from_millis(250);

/// Between two attempts to record an exit.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A process of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    role: ProcessRole,
    process: Process,
    /// When the process that the session was recorded with had started.
    started_at: Option<String>,
}

impl Watched {
    /// The process alone.
    pub(super) fn into_process(self) -> Process {
        self.process
    }
}

/// The processes that a session was recorded with.
pub(super) fn processes_of(linked: &LinkedSession) -> Vec<Watched> {
    let (session, link) = (&linked.session, linked.link.as_ref());
    let started_at = link.and_then(|link| link.pid_started_at.clone());
    let ran_at = session.last_heartbeat_at.as_deref().and_then(parse_iso);
    let watch = |role, pid: i64, is_main: bool| Watched {
        role,
        process: Process {
            pid,
            began: started_at.as_deref().filter(|_| is_main).and_then(parse_iso),
            ran_at,
        },
        started_at: started_at.clone(),
    };
    let mut watched = Vec::new();
    match link.filter(|link| link.recipe == Recipe::PrivateServer) {
        Some(link) => {
            let server = link.app_server_pid.or(session.pid);
            watched.extend(server.map(|pid| watch(ProcessRole::AppServer, pid, true)));
            let terminal = link.tui_pid.filter(|pid| Some(*pid) != server);
            watched.extend(terminal.map(|pid| watch(ProcessRole::Terminal, pid, false)));
        }
        None => {
            // A wrapper may go and leave Codex behind, so the process that was found counts.
            let codex = link.and_then(|link| link.tui_pid).or(session.pid);
            watched.extend(codex.map(|pid| watch(ProcessRole::Codex, pid, true)));
        }
    }
    watched
}

/// The process that runs the session itself.
pub(super) fn main_process_of(linked: &LinkedSession) -> Option<Process> {
    processes_of(linked).into_iter().next().map(Watched::into_process)
}

/// Records that the processes of a session went while nobody watched them, as if somebody had. What
/// the session wrote last is read first.
///
/// # Errors
/// When its rollout cannot be read to its end, or the store fails.
pub(super) async fn record_death(store: &Store, linked: &LinkedSession) -> Result<(), Failure> {
    let liveness = Liveness {
        session_id: linked.session.id.clone(),
        store: store.clone(),
        processes: processes_of(linked),
    };
    liveness.catch_up().await?;
    for watched in &liveness.processes {
        let process = watched.process.clone();
        if !blocking(move || process.is_running()).await? {
            liveness.record(watched).await?;
        }
    }
    Ok(())
}

/// Watches one session's processes until all are gone.
pub(super) struct Liveness {
    pub(super) session_id: String,
    pub(super) store: Store,
    pub(super) processes: Vec<Watched>,
}

impl Liveness {
    /// Runs until every process has ended and that is on record.
    pub(super) async fn run(self) {
        let elsewhere = self.server_elsewhere().await;
        let processes = self.processes.iter().chain(&elsewhere);
        join_all(processes.map(|watched| self.watch(watched))).await;
    }

    /// A terminal that somebody named may be a mere view of a shared server, which then is what runs
    /// the thread.
    async fn server_elsewhere(&self) -> Option<Watched> {
        let linked = self.linked().await.ok()?;
        let [Watched { role: ProcessRole::Codex, process, started_at }] = self.processes.as_slice() else {
            return None;
        };
        match holder(&linked).await {
            Some(LockHolder::Process(pid)) if i64::from(pid) != process.pid => Some(Watched {
                role: ProcessRole::AppServer,
                process: Process { pid: pid.into(), began: None, ran_at: None },
                started_at: started_at.clone(),
            }),
            _ => None,
        }
    }

    async fn watch(&self, watched: &Watched) {
        watched.process.ended().await;
        tokio::time::sleep(GRACE).await;
        while let Err(failure) = self.record(watched).await {
            tracing::warn!(%failure, session = self.session_id, "failed to record an exit; trying again");
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn record(&self, watched: &Watched) -> Result<(), Failure> {
        let linked = self.linked().await?;
        if processes_of(&linked) != self.processes {
            // It was registered again, with other processes.
            return Ok(());
        }
        let thread_is_free = self.has_left_its_thread(&linked, watched).await;
        let exit = RecordExit {
            session_id: self.session_id.clone(),
            role: watched.role,
            pid: watched.process.pid,
            started_at: watched.started_at.clone(),
            thread_is_free,
        };
        if let Some(exit) = self.store.write(exit).await?.filter(|exit| exit.is_new) {
            tracing::info!(
                session = linked.session.name,
                process = watched.process.pid,
                crashed_turn = exit.crashed_turn.map(|key| key.to_string()),
                "{} is gone",
                watched.role.words()
            );
        }
        Ok(())
    }

    /// Whether nobody has the thread loaded any more. Then what it wrote last is read first: an end
    /// that was written is no crash.
    async fn has_left_its_thread(&self, linked: &LinkedSession, watched: &Watched) -> bool {
        let free = match holder(linked).await {
            Some(LockHolder::Nobody) => true,
            // The lock table still names the dead.
            Some(LockHolder::Process(pid)) => i64::from(pid) == watched.process.pid,
            Some(LockHolder::Hidden) | None => false,
        };
        free && self.has_caught_up().await
    }

    async fn has_caught_up(&self) -> bool {
        let caught_up = self.catch_up().await;
        if let Err(failure) = &caught_up {
            tracing::warn!(%failure, session = self.session_id, "failed to read what a session wrote last");
        }
        caught_up.is_ok()
    }

    async fn catch_up(&self) -> Result<(), Failure> {
        if !has_rollout(&self.store, &self.linked().await?).await? {
            // It was never given a prompt.
            return Ok(());
        }
        let cursor = self.store.read(GetCursor(self.session_id.clone())).await?;
        ingest::catch_up(&self.store, cursor).await?;
        Ok(())
    }

    async fn linked(&self) -> Result<LinkedSession, Failure> {
        Ok(self.store.read(GetLinkedSession(self.session_id.clone())).await?)
    }
}

/// Who has the session's thread loaded. A thread without a lock file is loaded by nobody: an older
/// Codex knows no locks, and then the process is all there is. `None` when it cannot be told.
async fn holder(linked: &LinkedSession) -> Option<LockHolder> {
    let Some(thread_id) = linked.session.codex_session_id.clone() else { return Some(LockHolder::Nobody) };
    let Some(codex_home) = codex_home(linked) else { return Some(LockHolder::Nobody) };
    let holder = blocking(move || lock_holder(&codex_home, &thread_id)).await.ok()?;
    holder.inspect_err(|error| tracing::warn!(%error, "failed to see who has a thread loaded")).ok()
}

/// The Codex home it lives in, when that is known.
pub(super) fn codex_home(linked: &LinkedSession) -> Option<PathBuf> {
    let recorded = linked.link.as_ref().and_then(|link| link.codex_home.as_ref()).map(PathBuf::from);
    recorded.or_else(|| home_of_rollout(Path::new(linked.session.codex_session_path.as_ref()?)))
}
