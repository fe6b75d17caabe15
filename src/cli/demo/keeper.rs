//! The keeper: starts what must not outlive the demonstration, and ends it.
//!
//! The supervisor, the sessions and the directory belong to it. It ends them when its standard
//! input ends, which happens however the demonstration ends: also by `kill -9`.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::cast::Cast;
use super::program;
use super::scene::{Scene, session_name};
use crate::cli::output;
use crate::domain::{Failure, Role};
use crate::tmux::{SessionName, SpawnOptions, TmuxServer};

/// What the keeper is told on its standard input when the directory is to stay.
pub(super) const KEEP: &str = "keep";

/// How long a supervisor gets to stop by itself, and a tmux server to follow its last session.
const GRACE: Duration = Duration::from_secs(5);

/// An app-server ends the turn that runs first.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Holds what a demonstration has started, and ends it.
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoKeeperArgs {
    /// The directory of the demonstration
    #[arg(long)]
    pub(super) root: PathBuf,
    /// Who plays; scripted sessions are started here, the others by `pair`
    #[command(flatten)]
    pub(super) cast: Cast,
    /// The task that the sessions are about
    #[arg(long)]
    pub(super) task: String,
}

/// What the keeper says, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// Everything has been started: with the processes of the scripted sessions.
    Started(Option<Pids>),
    /// Something could not be started.
    Failed(Failure),
}

/// The processes of the scripted sessions.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Pids {
    pub(super) worker: u32,
    pub(super) manager: u32,
}

pub(in crate::cli) fn run(args: &DemoKeeperArgs) -> Result<u8, Failure> {
    let scene = Scene { root: args.root.clone(), cast: args.cast };
    let mut kept = Kept::default();
    let report = match kept.start(&scene, args) {
        Ok(pids) => Report::Started(pids),
        Err(failure) => Report::Failed(failure),
    };
    // When nobody listens any more, nothing is left to do but to clean up.
    let _ = output::print(&serde_json::json!(report).to_string());
    let mut told = String::new();
    let _ = io::stdin().read_to_string(&mut told);
    kept.end(&scene);
    if told.trim() == KEEP { Ok(0) } else { remove(&scene) }
}

/// What runs.
#[derive(Default)]
struct Kept {
    supervisor: Option<Child>,
    children: Vec<Child>,
}

impl Kept {
    fn start(&mut self, scene: &Scene, args: &DemoKeeperArgs) -> Result<Option<Pids>, Failure> {
        scene.make()?;
        let run = ["run", "--dispatcher-id", "dispatch-demo"].map(str::to_owned);
        self.supervisor = Some(program::start_logged(scene, "supervisor", &run)?);
        if args.cast.codex {
            return Ok(None);
        }
        let worker = self.start_session(scene, args, Role::Worker)?;
        let manager = self.start_session(scene, args, Role::Manager)?;
        Ok(Some(Pids { worker, manager }))
    }

    fn start_session(&mut self, scene: &Scene, args: &DemoKeeperArgs, role: Role) -> Result<u32, Failure> {
        let name = session_name(role);
        let mut session: Vec<String> =
            ["demo-session", "--role", role.as_str(), "--task", &args.task].map(str::to_owned).to_vec();
        session.extend(["--root".to_owned(), scene.root.to_string_lossy().into_owned()]);
        if args.cast.no_tmux {
            session.push("--no-tmux".to_owned());
            let child = program::start_logged(scene, role.as_str(), &session)?;
            let pid = child.id();
            self.children.push(child);
            return Ok(pid);
        }
        let mut argv = vec![program::path()?.to_string_lossy().into_owned()];
        argv.extend(session);
        let options = SpawnOptions {
            env: scene.environment(),
            unset_env: Scene::unset_environment(),
            ..SpawnOptions::new(SessionName::new(name)?, scene.work(), argv)
        };
        Ok(own_server().new_session(&options)?.pid)
    }

    fn end(self, scene: &Scene) {
        for child in self.children {
            program::end(child, Signal::KILL);
        }
        if scene.cast.codex {
            end_codex(scene);
        }
        end_tmux(&own_server());
        if let Some(supervisor) = self.supervisor {
            program::end(supervisor, Signal::TERM);
        }
    }
}

/// Ends the app-servers of the sessions, which outlive their terminals. Those that were stopped, or
/// never started, are refused.
fn end_codex(scene: &Scene) {
    for role in [Role::Worker, Role::Manager] {
        let _ = program::run_within(scene, &["stop", &session_name(role)], Stdio::null(), STOP_DEADLINE);
    }
}

/// The tmux server of the scene, which the keeper's environment names.
fn own_server() -> TmuxServer {
    TmuxServer::resolve(|name| std::env::var_os(name)).with_config("/dev/null")
}

/// A server without sessions ends by itself; until then its socket answers.
fn end_tmux(server: &TmuxServer) {
    let deadline = Instant::now() + GRACE;
    for pane in server.panes().unwrap_or_default() {
        // A session whose program has ended is gone.
        let _ = SessionName::new(pane.session).and_then(|session| server.kill_session(&session));
    }
    while std::os::unix::net::UnixStream::connect(server.socket()).is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn remove(scene: &Scene) -> Result<u8, Failure> {
    match std::fs::remove_dir_all(&scene.root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::external(format!("failed to remove {}: {error}", scene.root.display()))
                .hint("nothing runs in it any more; remove it by hand"))
        }
        _ => Ok(0),
    }
}
