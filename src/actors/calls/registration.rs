//! Registration: make a running Codex session known as a worker or a manager.

use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::legacy::server_of;
use super::sessions::communication;
use crate::actors::blocking::blocking;
use crate::actors::{Caller, Hub, ingest};
use crate::codex::discover::{Clues, identify, system_processes};
use crate::domain::transport::TransportKind;
use crate::domain::{Communication, Failure, Role, name};
use crate::store::registration::Register;
use crate::store::session_links::Link;
use crate::store::sessions::{FindSession, LinkedSession};
use crate::tmux::SessionName;

/// Which session, and under which name.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationArgs {
    /// The name to register it under
    #[arg(long)]
    pub name: String,
    /// The process that runs it; its rollout is found through it [default: the session this runs in]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub pid: Option<u32>,
    /// Its rollout file, when it is not to be found through the process
    #[arg(long, value_name = "PATH")]
    pub codex_session: Option<PathBuf>,
    /// Its working directory [default: the one in the rollout]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// The tmux session it runs in; without one it is told things only when it polls
    #[arg(long, value_name = "NAME")]
    pub tmux_session: Option<String>,
    /// Reach it only in this way; several are tried in the order given [default: all there are]
    #[arg(long, value_name = "TRANSPORT")]
    #[serde(default)]
    pub transport: Vec<TransportKind>,
}

/// Register a running Codex session as a worker
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RegisterWorkerArgs {
    /// Which session.
    #[command(flatten)]
    #[serde(flatten)]
    pub session: RegistrationArgs,
}

/// Register a running Codex session as a manager
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct RegisterManagerArgs {
    /// Which session.
    #[command(flatten)]
    #[serde(flatten)]
    pub session: RegistrationArgs,
}

/// A registered session.
#[derive(Debug, Serialize, Deserialize)]
pub struct RegisterReply {
    /// Its Codex thread.
    pub codex_session_id: Option<String>,
    /// Its rollout file.
    pub codex_session_path: Option<String>,
    /// How it can be reached.
    pub communication: Communication,
    /// Its working directory.
    pub cwd: String,
    /// Its name.
    pub name: String,
    /// The process that runs it.
    pub pid: Option<i64>,
    /// Which side it is on.
    pub role: Role,
    /// Its id.
    pub session_id: String,
    /// The tmux session it runs in.
    pub tmux_session: Option<String>,
}

impl Call for RegisterWorkerArgs {
    type Reply = RegisterReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<RegisterReply, Failure> {
        register(self.session, Role::Worker, hub, caller).await
    }
}

impl Call for RegisterManagerArgs {
    type Reply = RegisterReply;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<RegisterReply, Failure> {
        register(self.session, Role::Manager, hub, caller).await
    }
}

async fn register(
    args: RegistrationArgs,
    role: Role,
    hub: &Hub,
    caller: &Caller,
) -> Result<RegisterReply, Failure> {
    name::check("session", &args.name)?;
    let asker = caller.clone();
    let register = blocking(move || describe(args, role, &asker)).await??;
    read_out_the_former(&register, hub).await?;
    let linked = hub.store.write(register).await?;
    Ok(RegisterReply::of(linked, &caller.program))
}

/// What a known session wrote last is read before its name goes on with another rollout.
async fn read_out_the_former(register: &Register, hub: &Hub) -> Result<(), Failure> {
    let Some(known) = hub.store.read(FindSession(register.name.clone())).await? else { return Ok(()) };
    let leaves =
        known.codex_session_path.is_some() && known.codex_session_path != register.codex_session_path;
    if leaves && known.is_active() && known.role == register.role {
        ingest::read_out(&hub.store, &known.id).await?;
    }
    Ok(())
}

impl RegisterReply {
    /// A session and how it can be reached, as `program` would say it.
    pub fn of(linked: LinkedSession, program: &str) -> Self {
        let communication = communication(&linked, program);
        let session = linked.session;
        Self {
            codex_session_id: session.codex_session_id,
            codex_session_path: session.codex_session_path,
            communication,
            cwd: session.cwd,
            name: session.name,
            pid: session.pid,
            role: session.role,
            session_id: session.id,
            tmux_session: session.tmux_session,
        }
    }
}

/// Looks at the session's files and processes. Blocks.
fn describe(args: RegistrationArgs, role: Role, caller: &Caller) -> Result<Register, Failure> {
    let clues = Clues {
        rollout: args.codex_session.map(|path| caller.cwd.join(path)),
        pid: args.pid,
        thread_id: caller.thread_id.clone(),
        codex_home: caller.codex_home.clone(),
    };
    let found = identify(&*system_processes(), clues)
        .map_err(|error| error.failure(&format!("session {} was not registered", args.name)))?;
    let cwd = match (args.cwd, found.meta.cwd) {
        (Some(cwd), _) => text(&caller.cwd.join(cwd)),
        (None, Some(cwd)) => cwd,
        (None, None) => text(&caller.cwd),
    };
    let link = Link {
        tmux_socket: args.tmux_session.as_ref().and(caller.tmux_socket.as_deref()).map(text),
        codex_home: found.codex_home.as_deref().map(text),
        codex_version: found.meta.cli_version,
        tui_pid: found.pid.map(i64::from),
        pid_started_at: found.pid_started_at,
        transports: args.transport,
        ..Link::new(found.recipe)
    };
    let pid = args.pid.or(found.pid);
    let tmux_pane_id = args.tmux_session.as_deref().and_then(|session| pane_of(session, pid, caller));
    Ok(Register {
        name: args.name,
        role,
        pid: pid.map(i64::from),
        cwd,
        tmux_session: args.tmux_session,
        tmux_pane_id,
        codex_session_path: Some(text(&found.rollout)),
        codex_session_id: Some(found.meta.id),
        link,
    })
}

/// The pane of a tmux session that a process runs in, or the only one it has. Which of several is the
/// active one changes with where a person looks. Blocks.
fn pane_of(session: &str, pid: Option<u32>, caller: &Caller) -> Option<String> {
    let panes = server_of(caller).session_panes(&SessionName::new(session).ok()?).ok()?;
    let processes = system_processes();
    let terminal = |pid: u32| Some(processes.tty(pid).ok()??.device);
    let pane = match panes.as_slice() {
        [only] => only,
        several => {
            let device = terminal(pid?)?;
            several.iter().find(|pane| terminal(pane.pid).as_ref() == Some(&device))?
        }
    };
    Some(pane.id.to_string())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
