//! A session whose terminal owns its thread: found by what its processes hold.

use jiff::{SignedDuration, Timestamp};

use crate::actors::blocking::blocking;
use crate::codex::discover::{
    DiscoverError, ProcessError, ProcessTable, current_thread, rollout_for_thread, rollouts_open_by,
    system_processes, threads_held_by,
};
use crate::codex::launch::embedded;
use crate::codex::rollout::SessionMeta;
use crate::domain::{Failure, Recipe};

use super::plan::Plan;
use super::terminal::{Awaited, Terminal};
use super::undo::Begun;
use super::{Found, Started, progress};

/// A rollout's own time may be cut to whole seconds.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(1);

/// Opens the terminal and waits until its processes hold a thread. When they do not in time, what
/// became of it is unknown, and the terminal stays for a person to look at.
pub(super) async fn start(plan: &Plan, begun: &mut Begun) -> Result<Awaited<Started>, Failure> {
    let Some((tmux, session)) = &plan.tmux else {
        return Err(Failure::internal("a session that owns its thread needs a terminal"));
    };
    let wanted = Wanted {
        thread_id: plan.resume.as_ref().map(|found| found.meta.id.clone()),
        not_before: plan.resume.is_none().then(|| Timestamp::now() - CLOCK_SLACK),
    };
    let terminal = Terminal::open(plan, tmux, session, command_line(plan)).await?;
    begun.terminal = Some((tmux.clone(), session.clone()));
    progress("waiting for Codex to open its session");
    let pane_pid = terminal.pane.pid;
    let mut seen = None;
    let look = async |_: &_| {
        let wanted = wanted.clone();
        let found = blocking(move || find(&*system_processes(), pane_pid, &wanted)).await?;
        seen = found.map_err(DiscoverError::from)?;
        // The first prompt writes the rollout, a moment after the thread is there.
        let is_whole = |found: &&Found| found.rollout.is_some() || plan.prompt.is_none();
        Ok(seen.as_ref().filter(is_whole).cloned())
    };
    let failure = match terminal.wait(plan, look).await? {
        Awaited::Up(found) => return Ok(Awaited::Up(started(found, terminal))),
        Awaited::Late(failure) => failure,
    };
    if let Some(found) = seen {
        return Ok(Awaited::Up(started(found, terminal)));
    }
    begun.terminal = None;
    terminal.settle().await;
    Ok(Awaited::Late(failure))
}

fn started(found: Found, terminal: Terminal) -> Started {
    Started {
        recipe: found.recipe,
        thread_id: found.thread_id,
        rollout: found.rollout,
        pid: found.pid,
        tui_pid: Some(found.pid),
        terminal: Some(terminal),
        server: None,
    }
}

fn command_line(plan: &Plan) -> Vec<std::ffi::OsString> {
    let mut settings = plan.settings.clone();
    if let Some(found) = &plan.resume {
        settings.args.get_or_insert_default().extend(["resume".to_owned(), found.meta.id.clone()]);
    }
    embedded(&plan.program, plan.recipe, &settings, &plan.config, plan.prompt.as_deref())
}

/// Which session is looked for.
#[derive(Debug, Clone)]
struct Wanted {
    /// Only this thread.
    thread_id: Option<String>,
    /// Only one that began then or later.
    not_before: Option<Timestamp>,
}

impl Wanted {
    fn is_thread(&self, thread_id: &str) -> bool {
        self.thread_id.as_deref().is_none_or(|wanted| wanted == thread_id)
    }
}

/// The session that `pid` or a process it started runs; `None` as long as there is none, and when
/// the process is gone, which the terminal tells better.
fn find(processes: &dyn ProcessTable, pid: u32, wanted: &Wanted) -> Result<Option<Found>, ProcessError> {
    let found = by_lock(processes, pid, wanted).and_then(|found| match found {
        Some(found) => Ok(Some(found)),
        None => by_open_rollout(processes, pid, wanted),
    });
    match found {
        Err(ProcessError::Gone { .. }) => Ok(None),
        found => found,
    }
}

fn by_lock(processes: &dyn ProcessTable, pid: u32, wanted: &Wanted) -> Result<Option<Found>, ProcessError> {
    let held = current_thread(threads_held_by(processes, pid)?);
    Ok(held.filter(|held| wanted.is_thread(&held.thread_id)).map(|held| Found {
        recipe: Recipe::Embedded,
        rollout: rollout_for_thread(&held.codex_home, &held.thread_id),
        thread_id: held.thread_id,
        pid: held.pid,
    }))
}

fn by_open_rollout(
    processes: &dyn ProcessTable,
    pid: u32,
    wanted: &Wanted,
) -> Result<Option<Found>, ProcessError> {
    let open = rollouts_open_by(processes, pid, wanted.not_before)?;
    Ok(open.into_iter().rev().find_map(|(pid, rollout)| {
        let meta = SessionMeta::read(&rollout).ok()?;
        let is_it = !meta.is_subagent() && wanted.is_thread(&meta.id);
        is_it.then_some(Found { recipe: Recipe::OpenFiles, thread_id: meta.id, rollout: Some(rollout), pid })
    }))
}
