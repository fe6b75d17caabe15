//! `conveyor run`: the supervisor.

use std::io::{IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::connection::tell_other_version;
use super::output::{self, Output};
use crate::actors::Caller;
use crate::actors::client::{connect_blocking, refuse_foreign_run_dir};
use crate::actors::lock::{self, Holder, SupervisorLock, Taken};
use crate::actors::paths::Paths;
use crate::actors::runtime::{Mode, Runtime};
use crate::actors::wire::{self, Answer, Envelope};
use crate::domain::Failure;
use crate::domain::time::now_iso;
use crate::own_dir::private_dir;

/// How long a supervisor gets to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether the lock file is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// File descriptors for some thousand sessions.
const MANY_FILES: u64 = 16_384;

/// Log files kept, one a day.
const LOG_DAYS: usize = 7;

/// Supervise: watch every bound session, dispatch, and serve the other commands
///
/// One supervisor serves a state root. Stop it with Ctrl-C, SIGTERM or --stop; nothing is lost by
/// killing it.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Start it in the background, and return when it is up
    #[arg(long)]
    detach: bool,
    /// Say whether a supervisor is alive, and which; exit code 1 when none is
    #[arg(long, conflicts_with_all = ["detach", "stop"])]
    status: bool,
    /// Stop the supervisor, and return when it is gone
    #[arg(long, conflicts_with = "detach")]
    stop: bool,
    /// Started by `--detach`: nobody reads what it would say
    #[arg(long, hide = true)]
    in_background: bool,
    /// The identity recorded on what it dispatches
    #[arg(long, default_value = "dispatch-local")]
    dispatcher_id: String,
}

pub(super) fn run(args: &RunArgs, paths: &Paths, output: &mut Output) -> Result<u8, Failure> {
    refuse_foreign_run_dir(paths)?;
    if args.status {
        return status(paths, output);
    }
    if args.stop {
        return stop(paths, output);
    }
    if args.detach {
        let Up { holder, started } = ensure(paths, &args.dispatcher_id)?;
        output.answer(&json!({"running": true, "started": started, "supervisor": holder}), || {
            let since = if started { "up" } else { "up already" };
            format!("supervisor {} is {since}, dispatching as {}", holder.pid, holder.dispatcher_id)
        })?;
        tell_other_version(Some(&holder));
        return Ok(0);
    }
    supervise(args, paths)
}

fn status(paths: &Paths, output: &mut Output) -> Result<u8, Failure> {
    let holder = lock::holder(&paths.lock());
    let text = || match &holder {
        Some(holder) => format!(
            "supervisor {} (version {}) since {}, dispatching as {}",
            holder.pid, holder.version, holder.started_at, holder.dispatcher_id
        ),
        None => format!("no supervisor is alive for {}", paths.state_root.display()),
    };
    output.answer(&json!({"running": holder.is_some(), "supervisor": holder, "socket": paths.socket(), "log": paths.logs()}), text)?;
    Ok(u8::from(holder.is_none()))
}

fn stop(paths: &Paths, output: &mut Output) -> Result<u8, Failure> {
    let Some(holder) = lock::holder(&paths.lock()) else {
        output
            .answer(&json!({"running": false, "stopped": false}), || "no supervisor is alive".to_owned())?;
        return Ok(0);
    };
    let pid = i32::try_from(holder.pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid
        .ok_or_else(|| Failure::internal(format!("the lock names the impossible process {}", holder.pid)))?;
    // The lock was held an instant ago, so the number is still the supervisor's.
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        .map_err(|error| Failure::external(format!("failed to stop supervisor {}: {error}", holder.pid)))?;
    let gone = wait_until(|| lock::holder(&paths.lock()).is_none_or(|now| now.pid != holder.pid));
    if !gone {
        return Err(Failure::unknown(format!("supervisor {} was told to stop and is still there after {} s", holder.pid, PATIENCE.as_secs()))
            .hint(format!("it may be finishing a delivery; look again with `conveyor run --status`, or `kill -9 {}`: nothing is lost by it", holder.pid)));
    }
    output.answer(&json!({"running": false, "stopped": true, "supervisor": holder}), || {
        format!("supervisor {} has stopped", holder.pid)
    })?;
    Ok(0)
}

/// A supervisor that is up.
pub(super) struct Up {
    pub(super) holder: Holder,
    /// It was not before.
    pub(super) started: bool,
}

/// The supervisor that dispatches for this state root, started in the background when none is
/// alive.
///
/// # Errors
/// When it does not come up, with what it said.
pub(super) fn ensure(paths: &Paths, dispatcher_id: &str) -> Result<Up, Failure> {
    if let Some(holder) = living(paths) {
        return Ok(Up { holder, started: false });
    }
    let mut child = spawn(paths, dispatcher_id)
        .map_err(|error| Failure::external(format!("failed to start the supervisor: {error}")))?;
    let mut up = None;
    wait_until(|| {
        let holder = lock::holder(&paths.lock());
        // Of two that start at once one ends, and the other is still on its way up.
        let failed = holder.is_none() && matches!(child.try_wait(), Ok(Some(_)));
        up = holder.filter(|_| matches!(connect_blocking(paths), Ok(Some(_))));
        up.is_some() || failed
    });
    match up {
        Some(holder) => Ok(Up { started: holder.pid == child.id(), holder }),
        None => Err(did_not_come_up(child, paths)),
    }
}

/// The supervisor that holds the lock and answers. One that was just killed holds the lock for some
/// milliseconds more, and one that has just begun does not answer yet.
fn living(paths: &Paths) -> Option<Holder> {
    let mut living = None;
    wait_until(|| {
        let holder = lock::holder(&paths.lock());
        let gone = holder.is_none();
        living = holder.filter(|_| answers(paths));
        living.is_some() || gone
    });
    living
}

/// Whether the supervisor answers at all: a call of no known protocol is turned away.
fn answers(paths: &Paths) -> bool {
    let Ok(Some(mut socket)) = connect_blocking(paths) else { return false };
    let mut ask = || -> std::io::Result<Answer> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let envelope = Envelope {
            protocol: 0,
            version: wire::VERSION.to_owned(),
            database: paths.database.clone(),
            caller: Caller::default(),
            request: serde_json::Value::Null,
        };
        wire::send_blocking(&mut socket, &envelope)?;
        wire::receive_blocking(&mut socket)
    };
    ask().is_ok()
}

fn spawn(paths: &Paths, dispatcher_id: &str) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["run", "--in-background", "--dispatcher-id", dispatcher_id, "--path"])
        .arg(&paths.database)
        .env("CONVEYOR_STATE_ROOT", &paths.state_root)
        .current_dir(&*existing(&paths.state_root))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

fn did_not_come_up(mut child: Child, paths: &Paths) -> Failure {
    if !matches!(child.try_wait(), Ok(Some(_))) {
        return Failure::unknown(format!(
            "supervisor {} is not up after {} s",
            child.id(),
            PATIENCE.as_secs()
        ))
        .hint(format!("look again with `conveyor run --status`; its log is in {}", paths.logs().display()));
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What could be read of it is better than nothing.
        let _ = stderr.read_to_string(&mut said);
    }
    Failure::external(format!("the supervisor did not come up; it said: {}", said.trim()))
        .hint("run it in the foreground to see it fail: `conveyor run`")
}

fn existing(path: &Path) -> std::borrow::Cow<'_, Path> {
    if path.is_dir() { path.into() } else { Path::new("/").into() }
}

fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn supervise(args: &RunArgs, paths: &Paths) -> Result<u8, Failure> {
    let holder = Holder {
        pid: std::process::id(),
        version: wire::VERSION.to_owned(),
        protocol: wire::PROTOCOL,
        started_at: now_iso(),
        dispatcher_id: args.dispatcher_id.clone(),
        database: paths.database.clone(),
    };
    let lock = match lock::take(&paths.lock(), &holder)? {
        Taken::Ours(lock) => lock,
        Taken::Theirs(other) => return Err(already_supervised(paths, other)),
    };
    let _flush_log = log_to(&paths.logs(), !args.in_background);
    allow_many_open_files();
    let system = actix::System::new();
    system.block_on(async {
        let mode = Mode::Supervisor { dispatcher_id: args.dispatcher_id.clone() };
        let runtime = Runtime::start(paths.clone(), mode)?;
        tracing::info!(pid = holder.pid, database = %paths.database.display(), dispatcher = args.dispatcher_id, "supervising");
        tokio::select! {
            told = until_told_to_stop() => told?,
            () = until_lost(&lock, paths) => tracing::warn!("the lock file is gone: another supervisor may take its place"),
        }
        tracing::info!("stopping");
        runtime.stop().await;
        Ok::<_, Failure>(())
    })?;
    drop(lock);
    if !args.in_background {
        output::talk("stopped");
    }
    Ok(0)
}

/// A watched process or rollout each takes a file descriptor, and the usual limit is a thousand.
fn allow_many_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum.or(Some(MANY_FILES)).map(|maximum| maximum.min(MANY_FILES)),
        ..limit
    };
    if limit.current.is_some_and(|current| current < MANY_FILES) {
        // Where it stays low, processes are looked at twice a second instead of being watched.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

fn already_supervised(paths: &Paths, holder: Option<Holder>) -> Failure {
    let who = holder.map_or_else(
        || "another process".to_owned(),
        |holder| format!("process {} since {}", holder.pid, holder.started_at),
    );
    Failure::refused(format!("{} is already supervised by {who}", paths.state_root.display()))
        .hint("see it with `conveyor run --status`, stop it with `conveyor run --stop`")
}

async fn until_told_to_stop() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::external(format!("failed to listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Ends when the state root, or the directory for what runs, was moved or removed.
async fn until_lost(lock: &SupervisorLock, paths: &Paths) {
    while !lock.is_lost(&paths.lock()) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Logs to a file a day, and to standard error. The guard writes out what is left when dropped.
fn log_to(directory: &Path, also_stderr: bool) -> Option<tracing_appender::non_blocking::WorkerGuard> {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    use tracing_subscriber::{EnvFilter, fmt};

    let filter = || EnvFilter::try_from_env("CONVEYOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // If this fails, the file cannot be made either, which is said below.
    let _ = private_dir(directory);
    let file = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("conveyor")
        .filename_suffix("log")
        .max_log_files(LOG_DAYS)
        .build(directory);
    let on_stderr = || fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let to_stderr = also_stderr.then(on_stderr);
    let (to_file, guard) = match file {
        Ok(file) => {
            let (file, guard) = tracing_appender::non_blocking(file);
            (Some(fmt::layer().with_ansi(false).with_writer(file)), Some(guard))
        }
        Err(error) => {
            output::talk(&format!("no log file: {error}"));
            (None, None)
        }
    };
    // Only a second initialisation fails, and a process supervises once.
    let _ = tracing_subscriber::registry().with(filter()).with(to_stderr).with(to_file).try_init();
    guard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;
    use crate::own_dir::own_temporary;

    #[test]
    fn nobody_is_stopped_or_shown_who_is_named_behind_a_link() {
        let root = tempfile::TempDir::with_prefix_in("cv-", "/tmp").unwrap();
        let paths = Paths::of(&root.path().join("y".repeat(120)), None);
        private_dir(&own_temporary()).unwrap();
        std::os::unix::fs::symlink(root.path(), paths.run_dir()).unwrap();
        let asked = |status, stop| {
            let dispatcher_id = "d".to_owned();
            let args = RunArgs { detach: false, status, stop, in_background: false, dispatcher_id };
            run(&args, &paths, &mut Output::new(true))
        };
        let refused = [asked(true, false), asked(false, true), asked(false, false)];
        std::fs::remove_file(paths.run_dir()).unwrap();
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind, FailureKind::Refused);
        }
    }
}
