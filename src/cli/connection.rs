//! Where a call is served: by the supervisor, when one is alive for this state root, else by the
//! same actors inside this process.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use actix::SystemRunner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::output;
use crate::actors::calls::Place;
use crate::actors::client::connect_blocking;
use crate::actors::lock::{self, Holder};
use crate::actors::paths::Paths;
use crate::actors::runtime::{Mode, Runtime};
use crate::actors::wire::{self, Answer, Envelope};
use crate::actors::{Call, Caller, Request};
use crate::domain::Failure;
use crate::tmux::TmuxServer;

/// How long a supervisor that is well may take to answer.
const USUAL: Duration = Duration::from_secs(5);

/// Serves calls for one invocation of the program.
pub struct Connection {
    paths: Paths,
    caller: Caller,
    supervisor: Option<UnixStream>,
    embedded: Option<Embedded>,
    tells: bool,
}

struct Embedded {
    system: SystemRunner,
    runtime: Option<Runtime>,
}

impl Connection {
    /// Looks for a supervisor; nothing is started yet.
    ///
    /// # Errors
    /// When what is at the supervisor's place may be somebody else's.
    pub fn open(paths: Paths, caller: Caller) -> Result<Self, Failure> {
        let supervisor = connect_blocking(&paths)?;
        Ok(Self { paths, caller, supervisor, embedded: None, tells: false })
    }

    /// From now on a person is told when a supervisor does not answer, or is of another version.
    pub(super) fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    /// Makes a call and waits for its reply.
    ///
    /// # Errors
    /// The call's own refusal or failure; or `Unknown` when the supervisor went away after it got
    /// the call, so that nobody repeats it blindly.
    pub fn call<C: Call>(&mut self, call: C) -> Result<C::Reply, Failure> {
        let reply = self.serve(call.into())?;
        serde_json::from_value(reply)
            .map_err(|error| Failure::internal(format!("failed to read a reply: {error}")))
    }

    /// As [`Self::call`], for a call that only a command line names.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(super) fn serve(&mut self, request: Request) -> Result<Value, Failure> {
        if request.place() == Place::Supervisor
            && let Some(answer) = self.ask_supervisor(&request)?
        {
            return answer;
        }
        self.serve_here(request)
    }

    /// `None` when no supervisor serves this call.
    fn ask_supervisor(&mut self, request: &Request) -> Result<Option<Result<Value, Failure>>, Failure> {
        let Some(socket) = &mut self.supervisor else { return Ok(None) };
        let envelope = envelope(&self.paths, &self.caller, request)?;
        // A supervisor that never got the whole call cannot have acted on it.
        let answer = match wire::send_blocking(socket, &envelope) {
            Ok(()) => {
                if self.tells && !request.waits() {
                    tell_silence(socket, &self.paths);
                }
                answered(request, wire::receive_blocking(socket))
            }
            Err(_) => None,
        };
        if answer.is_none() {
            self.supervisor = None;
            if self.tells {
                tell_other_version(lock::holder(&self.paths.lock()).as_ref());
            }
        }
        Ok(answer)
    }

    fn serve_here(&mut self, request: Request) -> Result<Value, Failure> {
        let embedded = match &mut self.embedded {
            Some(embedded) => embedded,
            none => none.insert(Embedded::start(self.paths.clone())?),
        };
        let Some(runtime) = &embedded.runtime else {
            return Err(Failure::internal("the embedded runtime has stopped"));
        };
        embedded.system.block_on(runtime.hub().serve(request, self.caller.clone()))
    }
}

/// Says who is waited for, when nothing can be read within [`USUAL`].
fn tell_silence(socket: &UnixStream, paths: &Paths) {
    let Ok(patience) = Timespec::try_from(USUAL) else { return };
    // A signal, or a failure that reading will tell of, is not silence.
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)) == Ok(0) {
        output::talk(&silence(lock::holder(&paths.lock())));
    }
}

fn silence(holder: Option<Holder>) -> String {
    let who = holder
        .as_ref()
        .map_or_else(|| "the supervisor".into(), |holder| format!("supervisor {}", holder.pid));
    let end = holder.map_or_else(String::new, |holder| {
        format!(", or, if it stays silent, `kill -9 {}`: nothing is lost by it", holder.pid)
    });
    format!(
        "conveyor: waiting for {who}, which has not answered for {} s\n  \
         hint: it may be at work; look at it with `conveyor run --status`{end}",
        USUAL.as_secs()
    )
}

/// Says why a supervisor that is alive does not serve this program, where its version is the reason.
pub(super) fn tell_other_version(holder: Option<&Holder>) {
    if let Some(told) = holder.and_then(other_version) {
        output::talk(&told);
    }
}

fn other_version(holder: &Holder) -> Option<String> {
    let Holder { pid, version, protocol, .. } = holder;
    (version != wire::VERSION || *protocol != wire::PROTOCOL).then(|| {
        format!(
            "conveyor: supervisor {pid} is version {version}, this program {}: its commands are served without it\n  \
             hint: restart it with `conveyor run --stop` and `conveyor run --detach`",
            wire::VERSION
        )
    })
}

/// What a supervisor is sent.
///
/// # Errors
/// When the call has no JSON form, which is a defect.
pub(super) fn envelope(paths: &Paths, caller: &Caller, request: &Request) -> Result<Envelope, Failure> {
    Ok(Envelope {
        protocol: wire::PROTOCOL,
        version: wire::VERSION.to_owned(),
        database: paths.database.clone(),
        caller: caller.clone(),
        request: serde_json::to_value(request).map_err(|error| Failure::internal(error.to_string()))?,
    })
}

/// What came back from a supervisor that got the whole call; `None` when the call is to be served without
/// it.
pub(super) fn answered(request: &Request, answer: io::Result<Answer>) -> Option<Result<Value, Failure>> {
    match answer {
        Ok(Answer::Done { reply, .. }) => Some(Ok(reply)),
        Ok(Answer::Failed(failure)) => Some(Err(failure)),
        Ok(Answer::NotServed { reason }) => {
            tracing::info!(%reason, "served without the supervisor");
            None
        }
        Err(error) if request.reads() && !request.waits() => {
            tracing::info!(%error, "the supervisor went away; served without it");
            None
        }
        Err(error) => Some(Err(went_away(request, &error))),
    }
}

fn went_away(request: &Request, error: &io::Error) -> Failure {
    // Of an end in the middle of nothing there is no more to say.
    let how =
        if error.kind() == io::ErrorKind::UnexpectedEof { String::new() } else { format!(" ({error})") };
    let what = format!("the supervisor went away before it answered{how}");
    let failure = if request.reads() {
        // What it waited for may have happened in between.
        Failure::external(format!("{what}; nothing was changed")).hint("look how things are, then wait again")
    } else {
        Failure::unknown(format!("{what}; the call may have been carried out"))
            .hint("if it was to change something, look whether it has before repeating it")
    };
    failure.hint("see whether a supervisor is there: `conveyor run --status`")
}

impl Embedded {
    fn start(paths: Paths) -> Result<Self, Failure> {
        let system = actix::System::new();
        let runtime = system.block_on(async { Runtime::start(paths, Mode::Embedded) })?;
        Ok(Self { system, runtime: Some(runtime) })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            self.system.block_on(runtime.stop());
        }
    }
}

/// The facts about this process that answers depend on.
///
/// # Errors
/// When the working directory is gone.
pub fn caller(program: &str) -> Result<Caller, Failure> {
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::external(format!("failed to read the working directory: {error}"))
            .hint("change to a directory that exists")
    })?;
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("HOME").map(PathBuf::from);
    Ok(Caller {
        cwd,
        thread_id: variable("CODEX_THREAD_ID").map(|value| value.to_string_lossy().into_owned()),
        codex_home: variable("CODEX_HOME")
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".codex"))),
        tmux_socket: Some(TmuxServer::resolve(|name| std::env::var_os(name)).socket().to_owned()),
        program: program.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_of_another_version_is_told_of() {
        let holder = |version: &str, protocol| Holder {
            pid: 7,
            version: version.to_owned(),
            protocol,
            started_at: "now".to_owned(),
            dispatcher_id: "d".to_owned(),
            database: PathBuf::from("/r/workerctl.db"),
        };
        assert_eq!(other_version(&holder(wire::VERSION, wire::PROTOCOL)), None);
        let told = other_version(&holder("0.0.1", wire::PROTOCOL)).unwrap();
        assert!(told.starts_with("conveyor: supervisor 7 is version 0.0.1, this program "), "{told}");
        assert!(told.contains("`conveyor run --stop` and `conveyor run --detach`"), "{told}");
        assert!(other_version(&holder(wire::VERSION, wire::PROTOCOL + 1)).is_some());
    }
}
