//! Workers that are known by a directory of files below the state root. What is not `async` here blocks.

mod hands;
pub mod import;
pub mod making;
mod screen;
pub mod start;
pub mod trial;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use screen::{Captured, Screen};

use super::calls::values::plain_name;
use super::launch::tmux_session;
use super::paths::Paths;
use crate::domain::Failure;
use crate::domain::legacy::WorkerStatus;
use crate::domain::time::now_iso;
use crate::own_dir::private_dir;

/// The file that makes a directory a worker's.
const CONFIG: &str = "config.json";

/// The file with what a worker says of itself.
const STATUS: &str = "status.json";

/// The file with what a worker was told.
const CONTRACT: &str = "contract.txt";

/// The file with what its terminal showed last.
const TRANSCRIPT: &str = "transcript.txt";

/// The file that says since when.
const CAPTURE: &str = "capture-meta.json";

/// The file with what was done to a worker.
const EVENTS: &str = "events.jsonl";

/// What a worker's `config.json` says; other fields are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its tmux session.
    pub tmux_session: String,
    /// Where it works.
    #[serde(default)]
    pub cwd: String,
    /// `worker-<uuid>`, once it has a row.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// `workerctl-<uuid>`.
    #[serde(default)]
    pub identity_token: Option<String>,
    /// How its start went.
    #[serde(default)]
    pub startup: Option<String>,
    /// The same in a sentence.
    #[serde(default)]
    pub startup_reason: Option<String>,
}

impl Config {
    /// That of a worker which has none.
    fn usual(name: &str) -> Self {
        Self {
            tmux_session: tmux_session(name),
            cwd: String::new(),
            worker_id: None,
            identity_token: None,
            startup: None,
            startup_reason: None,
        }
    }
}

/// A worker and its files.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// What its configuration says.
    pub config: Config,
}

/// What an [`EventFile`] says.
#[derive(Debug, Default, PartialEq)]
pub struct EventLog {
    /// The events, oldest first.
    pub events: Vec<Value>,
    /// Lines that are none.
    pub malformed: usize,
}

impl Worker {
    /// The worker with this name, if there is one. One without a configuration is known by what it says
    /// of itself, and runs where a worker of that name would.
    ///
    /// # Errors
    /// When its configuration is there, but cannot be read.
    pub fn find(paths: &Paths, name: &str) -> Result<Option<Self>, Failure> {
        if plain_name(name).is_err() {
            return Ok(None);
        }
        let directory = paths.state_root.join(name);
        let file = directory.join(CONFIG);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let speaks = directory.join(STATUS).is_file();
                return Ok(speaks.then(|| Self {
                    name: name.to_owned(),
                    directory,
                    config: Config::usual(name),
                }));
            }
            Err(error) => return Err(failed("read", &file, &error)),
        };
        let config = serde_json::from_str(&text)
            .map_err(|error| Failure::external(format!("{} is no configuration: {error}", file.display())))?;
        Ok(Some(Self { name: name.to_owned(), directory, config }))
    }

    /// As [`Self::find`].
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn get(paths: &Paths, name: &str) -> Result<Self, Failure> {
        Self::find(paths, name)?.ok_or_else(|| {
            Failure::not_found(format!("worker {name} does not exist"))
                .hint("see what there is: `conveyor list`, or `conveyor sessions` for registered sessions")
        })
    }

    /// All of them, by name. A directory whose configuration cannot be read is left out.
    pub fn all(paths: &Paths) -> Vec<Self> {
        let entries = fs::read_dir(&paths.state_root).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut workers: Vec<Self> =
            names.filter_map(|name| Self::find(paths, &name).ok().flatten()).collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }

    /// What `status.json` says, if that is understood.
    pub fn said(&self) -> Option<WorkerStatus> {
        serde_json::from_str(&fs::read_to_string(self.directory.join(STATUS)).ok()?).ok()
    }

    /// What `status.json` says; unknown when it says nothing that is understood.
    pub fn status(&self) -> WorkerStatus {
        self.said().unwrap_or_else(WorkerStatus::unknown)
    }

    /// Replaces `status.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_status(&self, status: &WorkerStatus) -> Result<(), Failure> {
        write(&self.directory, STATUS, &pretty(&json!(status)))
    }

    /// What was done to it.
    pub fn log(&self) -> EventFile {
        EventFile(self.directory.join(EVENTS))
    }
}

/// A file of what was done to a worker, one JSON object a line. A registered session may have one too.
#[derive(Debug, Clone)]
pub struct EventFile(PathBuf);

impl EventFile {
    /// That of the worker or session with this name; none for a name that can be no directory.
    pub fn of(paths: &Paths, name: &str) -> Option<Self> {
        plain_name(name).ok().map(|name| Self(paths.state_root.join(name).join(EVENTS)))
    }

    /// Appends an event, making the file and its directory when they are not there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, event_type: &str, mut event: Value) -> Result<(), Failure> {
        event["type"] = event_type.into();
        event["time"] = now_iso().into();
        let append = || -> io::Result<()> {
            self.0.parent().map_or(Ok(()), private_dir)?;
            let mut log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.0)?;
            log.write_all(format!("{event}\n").as_bytes())
        };
        append().map_err(|error| failed("write", &self.0, &error))
    }

    /// Reads it; a file that is not there is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self) -> Result<EventLog, Failure> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed("read", &self.0, &error)),
        };
        let mut log = EventLog::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Value>(line) {
                Ok(event) if event.is_object() => log.events.push(event),
                _ => log.malformed += 1,
            }
        }
        Ok(log)
    }
}

/// Replaces one of a worker's files, as a whole or not at all.
fn write(directory: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let file = directory.join(name);
    let write = || {
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        new.write_all(text.as_bytes())?;
        new.persist(&file).map_err(|error| error.error)
    };
    write().map(drop).map_err(|error| failed("write", &file, &error))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn failed(what: &str, file: &Path, error: &io::Error) -> Failure {
    Failure::external(format!("failed to {what} {}: {error}", file.display()))
}
