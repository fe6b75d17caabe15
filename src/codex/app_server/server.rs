//! Private app-servers: one per session, started here, outliving this program.

use super::{
    client::{AppServer, Events, peer_pid},
    error::RpcError,
    server_log::{LogMark, open_log},
    socket::prepare_socket_dir,
};
use crate::{codex::blocking::off_thread, domain::Failure};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group, test_kill_process},
};
use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long to wait before looking again whether a server accepts, or has ended.
const POLL: Duration = Duration::from_millis(10);

/// How long a server that is already there may take to answer. A slower one is found by Codex
/// itself, which does not start on a socket in use; one that is just dying does not answer at all.
const PROBE: Duration = Duration::from_secs(1);

/// What a private app-server is started with.
#[derive(Debug, Clone)]
pub struct ServerStart {
    /// The Codex program.
    pub program: PathBuf,
    /// Where it shall listen; see [`super::socket_path`].
    pub socket: PathBuf,
    /// Where its output goes, appended.
    pub log: PathBuf,
    /// Its working directory. Threads have their own.
    pub cwd: PathBuf,
    /// Changes to the inherited environment: a value to set, `None` to remove.
    pub env: Vec<(OsString, Option<OsString>)>,
}

/// An app-server that accepts calls.
#[derive(Debug)]
pub struct RunningServer {
    /// The first connection to it.
    pub client: AppServer,
    /// What it says on that connection.
    pub events: Events,
    /// The process that serves.
    pub pid: u32,
}

/// Why no app-server runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket's directory or the log could not be made.
    #[error("could not prepare {}: {source}", path.display())]
    Prepare {
        /// What could not be made.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process already listens there.
    #[error("process {pid:?} already serves {}", socket.display())]
    Occupied {
        /// The socket.
        socket: PathBuf,
        /// Who serves it, where the system tells.
        pid: Option<u32>,
    },
    /// The program could not be run.
    #[error("could not run {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended before it accepted a call.
    #[error("codex app-server ended at start ({status}); it said:\n{said}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        said: String,
    },
    /// It did not accept a call in time, and was killed.
    #[error("codex app-server accepted no call within {after:?}; it said:\n{said}")]
    TimedOut {
        /// The deadline that passed.
        after: Duration,
        /// The end of its log.
        said: String,
    },
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let failure = Failure::external(error.to_string());
        match error {
            StartError::Spawn { .. } => failure.hint("see which Codex is installed: conveyor doctor"),
            StartError::Occupied { .. } => failure.hint("see which sessions run: conveyor sessions"),
            _ => failure,
        }
    }
}

/// Starts a private app-server and waits until it accepts calls.
///
/// It gets a process group of its own, so that neither this program's end nor a Ctrl-C reaches it.
/// Codex replaces a socket that a dead server left behind.
///
/// # Errors
/// See [`StartError`]; no server of ours is left running then.
pub async fn start_server(start: &ServerStart, deadline: Duration) -> Result<RunningServer, StartError> {
    if let Ok((other, _)) = AppServer::connect(&start.socket, PROBE).await {
        return Err(StartError::Occupied { socket: start.socket.clone(), pid: other.server_pid() });
    }
    let (log, mark) = prepare(start.socket.clone(), start.log.clone()).await?;
    let mut child = spawn(start, log)?;
    tokio::select! {
        status = child.wait() => {
            let status = status.map_err(|source| spawn_failed(start, source))?;
            Err(StartError::Exited { status, said: mark.said_since().await })
        }
        accepted = timeout(deadline, first_connection(&start.socket, deadline)) => match accepted {
            Ok((client, events)) => {
                let pid = client.server_pid().or(child.id()).unwrap_or_default();
                Ok(RunningServer { client, events, pid })
            }
            Err(_) => {
                kill_group(&child);
                Err(StartError::TimedOut { after: deadline, said: mark.said_since().await })
            }
        },
    }
}

async fn prepare(socket: PathBuf, log: PathBuf) -> Result<(File, LogMark), StartError> {
    let failed = |path: &Path, source| StartError::Prepare { path: path.to_owned(), source };
    off_thread(move || {
        prepare_socket_dir(&socket).map_err(|e| failed(&socket, e))?;
        open_log(&log).map_err(|e| failed(&log, e))
    })
    .await
}

fn spawn(start: &ServerStart, log: File) -> Result<Child, StartError> {
    let mut listen = OsString::from("unix://");
    listen.push(&start.socket);
    let errors = log.try_clone().map_err(|source| spawn_failed(start, source))?;
    let mut command = Command::new(&start.program);
    command.arg("app-server").arg("--listen").arg(listen).current_dir(&start.cwd);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    for (name, value) in &start.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.spawn().map_err(|source| spawn_failed(start, source))
}

fn spawn_failed(start: &ServerStart, source: io::Error) -> StartError {
    StartError::Spawn { program: start.program.clone(), source }
}

async fn first_connection(socket: &Path, deadline: Duration) -> (AppServer, Events) {
    loop {
        match AppServer::connect(socket, deadline).await {
            Ok(connection) => return connection,
            Err(_) => sleep(POLL).await,
        }
    }
}

fn kill_group(child: &Child) {
    if let Some(pid) = child.id().and_then(as_pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// How an app-server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Nobody served the socket.
    NotRunning,
    /// It ended when asked.
    Ended,
    /// It had to be killed.
    Killed,
}

/// Ends the app-server that serves `socket`. The threads it has loaded end with it.
///
/// Codex lets a running turn finish after the first request to end and gives it up after the
/// second, which comes after half of `deadline`; after the whole of it the process is killed.
///
/// # Errors
/// [`RpcError::Connect`] when the server belongs to another user or may not be signalled.
pub async fn stop_server(socket: &Path, deadline: Duration) -> Result<Stopped, RpcError> {
    let Ok(stream) = UnixStream::connect(socket).await else { return Ok(Stopped::NotRunning) };
    let failed = |reason: String| RpcError::Connect { socket: socket.to_owned(), reason };
    let pid = peer_pid(&stream).map_err(failed)?;
    let pid = pid.and_then(as_pid).ok_or_else(|| failed("the system does not tell who serves it".into()))?;
    drop(stream);
    for (signal, how) in
        [(Signal::TERM, Stopped::Ended), (Signal::TERM, Stopped::Ended), (Signal::KILL, Stopped::Killed)]
    {
        match kill_process(pid, signal) {
            Err(Errno::SRCH) => return Ok(Stopped::Ended),
            Err(error) => return Err(failed(format!("process {pid} may not be signalled: {error}"))),
            Ok(()) if ended_within(pid, deadline / 2).await => return Ok(how),
            Ok(()) => {}
        }
    }
    Err(failed(format!("process {pid} did not end when killed")))
}

async fn ended_within(pid: Pid, time: Duration) -> bool {
    let end = Instant::now() + time;
    while test_kill_process(pid) != Err(Errno::SRCH) {
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
