//! The files of a worker that is being started.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::{
    CAPTURE, CONFIG, CONTRACT, EVENTS, EventFile, STATUS, TRANSCRIPT, Worker, failed, pretty, write,
};
use crate::actors::paths::Paths;
use crate::domain::Failure;
use crate::domain::legacy::WorkerStatus;
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::own_dir::private_dir;
use crate::store::worker_starts::WorkerIdentity;

/// How far a worker has come before its terminal is open.
const STARTING: &str = "starting";

/// A worker's directory, which nobody else makes a worker of as long as this is kept.
#[derive(Debug)]
pub struct Making {
    name: String,
    /// The directory, absolute.
    pub directory: PathBuf,
    /// There was no worker in it before.
    is_new: bool,
    /// There was a log in it before: that of a registered session.
    had_log: bool,
    _lock: File,
}

/// What `config.json` says of a worker that this program made.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names are the contract's")]
pub struct NewConfig {
    pub name: String,
    pub worker_id: String,
    pub identity_token: String,
    pub cwd: String,
    pub state_dir: String,
    pub tmux_session: String,
    pub tmux_target: String,
    pub tmux_pane_id: Option<String>,
    pub created_at: String,
    pub startup: String,
    pub startup_reason: String,
}

impl Making {
    /// Takes the directory of the worker `name`, and makes it when it is not there.
    ///
    /// # Errors
    /// `Refused` when there is a worker in it that is not to be used again, or somebody else makes one.
    pub fn begin(paths: &Paths, name: &str, reuse: bool) -> Result<Self, Failure> {
        let directory = paths.state_root.join(name);
        refuse_other_things(name, &directory)?;
        let lock = lock(name, &directory)?;
        // A start that was killed has made no worker.
        let known =
            Worker::find(paths, name)?.filter(|known| known.config.startup.as_deref() != Some(STARTING));
        if known.is_some() && !reuse {
            return Err(Failure::refused(format!(
                "worker {name} exists: it is described in {}",
                directory.display()
            ))
            .hint(format!("see how it stands: `conveyor status {}`", quoted(name)))
            .hint("start it anew in its directory: add --reuse"));
        }
        let had_log = directory.join(EVENTS).exists();
        Ok(Self { name: name.to_owned(), directory, is_new: known.is_none(), had_log, _lock: lock })
    }

    /// What `config.json` says before anything runs.
    pub fn config(&self, known: WorkerIdentity, cwd: &Path, tmux_session: &str) -> NewConfig {
        NewConfig {
            name: self.name.clone(),
            worker_id: known.id,
            identity_token: known.token,
            cwd: cwd.to_string_lossy().into_owned(),
            state_dir: self.directory.to_string_lossy().into_owned(),
            tmux_session: tmux_session.to_owned(),
            tmux_target: tmux_session.to_owned(),
            tmux_pane_id: None,
            created_at: now_iso(),
            startup: STARTING.to_owned(),
            startup_reason: "its terminal is about to be opened".to_owned(),
        }
    }

    /// Writes all of its files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn fill(&self, config: &NewConfig, status: &WorkerStatus, contract: &str) -> Result<(), Failure> {
        self.write_config(config)?;
        write(&self.directory, STATUS, &pretty(&json!(status)))?;
        write(&self.directory, CONTRACT, &format!("{contract}\n"))?;
        if !self.directory.join(TRANSCRIPT).exists() {
            write(&self.directory, TRANSCRIPT, "")?;
        }
        Ok(())
    }

    /// Replaces `config.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, config: &NewConfig) -> Result<(), Failure> {
        write(&self.directory, CONFIG, &pretty(&json!(config)))
    }

    /// Where the worker's contract is kept.
    pub fn contract_path(&self) -> PathBuf {
        self.directory.join(CONTRACT)
    }

    /// What was done to the worker.
    pub fn log(&self) -> EventFile {
        EventFile(self.directory.join(EVENTS))
    }

    /// Takes the directory away again if nothing is in it.
    pub fn leave(&self) {
        let _ = fs::remove_dir(&self.directory);
    }

    /// Takes the files of a start that failed away again. A worker that was there before stays, and
    /// says so.
    pub fn take_back(&self, config: Option<NewConfig>, reason: &str) {
        if self.is_new {
            let ours =
                [CONFIG, STATUS, CONTRACT, TRANSCRIPT].into_iter().chain((!self.had_log).then_some(EVENTS));
            for file in ours {
                // What cannot be taken away is in the way of nobody who can make a file there.
                let _ = fs::remove_file(self.directory.join(file));
            }
            self.leave();
        } else if let Some(config) = config {
            let failed =
                NewConfig { startup: "failed".to_owned(), startup_reason: reason.to_owned(), ..config };
            let _ = self.write_config(&failed);
            let _ = self.log().note("create_failed", json!({ "reason": reason }));
        }
    }
}

/// Directories below the state root are not only workers'. A write that was killed leaves a hidden file.
fn refuse_other_things(name: &str, directory: &Path) -> Result<(), Failure> {
    let ours = [CONFIG, STATUS, CONTRACT, TRANSCRIPT, CAPTURE, EVENTS];
    let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names: Vec<_> = names.filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
    if names.is_empty() || names.iter().any(|name| ours.iter().any(|ours| name == ours)) {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "worker {name} was not started: {} has other things in it",
        directory.display()
    ))
    .hint("choose another name"))
}

fn lock(name: &str, directory: &Path) -> Result<File, Failure> {
    let open = || -> io::Result<File> {
        private_dir(directory)?;
        File::open(directory)
    };
    let lock = open().map_err(|error| failed("make", directory, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::refused(format!("worker {name} is being started by another command"))
                .hint(format!("see how far it is: `conveyor status {}`", quoted(name))))
        }
        Err(TryLockError::Error(error)) => Err(failed("lock", directory, &error)),
    }
}
