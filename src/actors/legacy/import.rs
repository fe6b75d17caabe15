//! Reading the files of workers to import what they say. Nothing here changes anything.
//!
//! The files may have been written by anybody: only plain files of a bounded size are read, and what is no
//! worker's file is refused with its name before anything is imported.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CAPTURE, CONFIG, EVENTS, STATUS, TRANSCRIPT, failed};
use crate::actors::calls::values::plain_name;
use crate::domain::Failure;
use crate::domain::digest::sha256;
use crate::domain::legacy::{WorkerState, WorkerStatus};
use crate::domain::time::{iso, parse_iso};
use crate::store::compat::{Content, ImportedWorker, Item};
use crate::store::workers::{KnownWorker, RecordScreen};
use crate::tmux::{DEFAULT_HISTORY_LINES, SessionName};

/// The largest file with settings.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

/// The largest file with a text or a log.
const MAX_TEXT_BYTES: u64 = 1 << 28;

/// The states that a worker's row may have.
const ROW_STATES: [&str; 5] = ["candidate", "active", "stopped", "missing", "failed"];

/// The longest type of an event.
const MAX_TYPE_BYTES: usize = 200;

/// What the files of one worker say.
#[derive(Debug)]
pub struct WorkerFiles {
    /// Its name.
    pub name: String,
    /// What can be imported, and what is left out, in order.
    pub entries: Vec<Entry>,
}

/// One thing found in a worker's files.
#[derive(Debug)]
pub enum Entry {
    /// It can be imported.
    Item(Box<Item>, Option<usize>),
    /// A line of the log that is no event.
    NoEvent {
        /// The file.
        source: String,
        /// Its line, from 1.
        line: usize,
    },
}

/// Reads the workers below `root`, or the one called `only`, by name. A root that is not there has none.
///
/// # Errors
/// With the name of the file that is none of a worker's.
pub fn read(root: &Path, only: Option<&str>) -> Result<Vec<WorkerFiles>, Failure> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", root, &error)),
    };
    let mut directories: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed("read", root, &error))?.path();
        let is_wanted = only.is_none_or(|only| path.file_name().is_some_and(|name| name == only));
        if is_wanted && path.join(CONFIG).symlink_metadata().is_ok() {
            directories.push(path);
        }
    }
    directories.sort();
    let workers: Vec<WorkerFiles> =
        directories.iter().map(|directory| worker(directory)).collect::<Result<_, _>>()?;
    Ok(workers)
}

fn worker(directory: &Path) -> Result<WorkerFiles, Failure> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Err(problem) = plain_name(&name) {
        return Err(odd(directory, &format!("is no worker's directory: {problem}")));
    }
    if directory.is_symlink() {
        return Err(odd(directory, "is a symbolic link"));
    }
    let reader = WorkerReader { name, directory };
    let config = Some(reader.config()?);
    let single = [config, reader.status()?, reader.screen()?].into_iter().flatten();
    let mut entries: Vec<Entry> = single.map(|item| Entry::Item(Box::new(item), None)).collect();
    entries.extend(reader.events()?);
    Ok(WorkerFiles { name: reader.name, entries })
}

/// What a `config.json` may say that is imported.
#[derive(Debug, Deserialize)]
struct ConfigFile {
    name: Option<String>,
    tmux_session: String,
    tmux_pane_id: Option<String>,
    identity_token: Option<String>,
    worker_id: Option<String>,
    #[serde(default)]
    cwd: String,
    state: Option<String>,
    created_at: Option<String>,
}

/// What a `status.json` may say; workers write it themselves.
#[derive(Debug, Deserialize)]
struct StatusFile {
    #[serde(default)]
    state: String,
    current_task: Option<String>,
    next_action: Option<String>,
    blocker: Option<String>,
    last_update: Option<String>,
}

/// What a `capture-meta.json` may say.
#[derive(Debug, Default, Deserialize)]
struct CaptureFile {
    captured_at: Option<String>,
    changed_at: Option<String>,
    history_lines: Option<u32>,
}

struct WorkerReader<'a> {
    name: String,
    directory: &'a Path,
}

/// A file that was read.
struct Text {
    path: PathBuf,
    bytes: Vec<u8>,
    changed_at: String,
}

impl WorkerReader<'_> {
    fn config(&self) -> Result<Item, Failure> {
        let text = self
            .text(CONFIG, MAX_SETTINGS_BYTES)?
            .ok_or_else(|| odd(&self.directory.join(CONFIG), "is gone"))?;
        let config: ConfigFile = text.json()?;
        if let Some(other) = config.name.filter(|name| *name != self.name) {
            return Err(odd(&text.path, &format!("is that of a worker called {other:?}")));
        }
        if let Err(problem) = SessionName::new(&config.tmux_session) {
            return Err(odd(&text.path, &problem.to_string()));
        }
        let state = config.state.map(|state| match ROW_STATES.contains(&&*state) {
            true => state,
            false => "candidate".to_owned(),
        });
        let worker = ImportedWorker {
            id: config.worker_id.filter(|id| !id.is_empty()),
            tmux_session: config.tmux_session,
            tmux_pane_id: config.tmux_pane_id,
            identity_token: config.identity_token.filter(|token| !token.is_empty()),
            cwd: config.cwd,
            state,
            created_at: config.created_at.filter(|at| parse_iso(at).is_some()),
        };
        Ok(self.item("worker", &text.path, &text.bytes, Content::Worker(worker)))
    }

    fn status(&self) -> Result<Option<Item>, Failure> {
        let Some(text) = self.text(STATUS, MAX_SETTINGS_BYTES)? else { return Ok(None) };
        let said: StatusFile = text.json()?;
        let status = WorkerStatus {
            // A worker may have called it something else.
            state: said.state.parse().unwrap_or(WorkerState::Unknown),
            current_task: said.current_task,
            next_action: said.next_action,
            blocker: said.blocker,
            last_update: Some(instant(said.last_update, &text)),
        };
        Ok(Some(self.item("status", &text.path, &text.bytes, Content::Status(status))))
    }

    fn screen(&self) -> Result<Option<Item>, Failure> {
        let Some(text) = self.text(TRANSCRIPT, MAX_TEXT_BYTES)? else { return Ok(None) };
        if text.bytes.is_empty() {
            return Ok(None);
        }
        let about: CaptureFile = match self.text(CAPTURE, MAX_SETTINGS_BYTES)? {
            Some(about) => about.json()?,
            None => CaptureFile::default(),
        };
        let content = String::from_utf8_lossy(&text.bytes).into_owned();
        let screen = RecordScreen {
            worker: self.known(),
            sha256: sha256(&text.bytes),
            captured_at: instant(about.captured_at, &text),
            changed_at: instant(about.changed_at, &text),
            history_lines: about.history_lines.unwrap_or(DEFAULT_HISTORY_LINES),
            byte_count: content.len(),
            line_count: content.lines().count(),
            changed: Some(content),
        };
        Ok(Some(self.item("transcript", &text.path, &text.bytes, Content::Screen(Box::new(screen)))))
    }

    fn events(&self) -> Result<Vec<Entry>, Failure> {
        let Some(text) = self.text(EVENTS, MAX_TEXT_BYTES)? else { return Ok(Vec::new()) };
        let source = text.path.to_string_lossy().into_owned();
        let lines = text.bytes.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
        let entry = |(index, line): (usize, &[u8])| {
            let number = index + 1;
            match event(line, &source) {
                // The same thing may have been done twice in one second.
                Some(event) => {
                    let item = self.item(&format!("event-{number}"), &text.path, line, event);
                    Entry::Item(Box::new(item), Some(number))
                }
                None => Entry::NoEvent { source: source.clone(), line: number },
            }
        };
        Ok(lines.map(entry).collect())
    }

    fn item(&self, kind: &str, path: &Path, bytes: &[u8], content: Content) -> Item {
        let sha256 = sha256(bytes);
        Item {
            key: format!("compat:{kind}:{}:{sha256}", self.name),
            worker: self.name.clone(),
            source: path.to_string_lossy().into_owned(),
            sha256,
            content,
        }
    }

    fn known(&self) -> KnownWorker {
        KnownWorker {
            name: self.name.clone(),
            id: None,
            tmux_session: String::new(),
            identity_token: None,
            cwd: String::new(),
        }
    }

    /// A file of the worker, if it is there.
    fn text(&self, name: &str, limit_bytes: u64) -> Result<Option<Text>, Failure> {
        let path = self.directory.join(name);
        // Neither what a link leads to, nor a pipe that nobody writes into.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path);
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) if path.is_symlink() => return Err(odd(&path, "is a symbolic link")),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let about = file.metadata().map_err(|error| failed("read", &path, &error))?;
        if !about.is_file() {
            return Err(odd(&path, "is no plain file"));
        }
        let mut bytes = Vec::new();
        file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(|error| failed("read", &path, &error))?;
        if bytes.len() as u64 > limit_bytes {
            return Err(odd(&path, &format!("is larger than {limit_bytes} bytes")));
        }
        let changed = about.modified().unwrap_or_else(|_| SystemTime::now());
        let changed_at = iso(Timestamp::try_from(changed).unwrap_or_else(|_| Timestamp::now()));
        Ok(Some(Text { path, bytes, changed_at }))
    }
}

impl Text {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| odd(&self.path, &format!("is not understood: {error}")))
    }
}

/// An event, if the line says what was done and when.
fn event(line: &[u8], source: &str) -> Option<Content> {
    let mut event: Value = serde_json::from_slice(line).ok()?;
    let fields = event.as_object_mut()?;
    let event_type = fields.remove("type")?.as_str()?.to_owned();
    let created_at = fields.remove("time")?.as_str()?.to_owned();
    let is_word = !event_type.is_empty()
        && event_type.len() <= MAX_TYPE_BYTES
        && !event_type.contains(char::is_control);
    if !is_word || parse_iso(&created_at).is_none() {
        return None;
    }
    fields.insert("source_path".to_owned(), source.into());
    Some(Content::Event { event_type: format!("compat_{event_type}"), created_at, payload: event })
}

/// When something is said to have been, else when its file was written.
fn instant(said: Option<String>, text: &Text) -> String {
    said.filter(|said| parse_iso(said).is_some()).unwrap_or_else(|| text.changed_at.clone())
}

fn odd(path: &Path, problem: &str) -> Failure {
    Failure::refused(format!("nothing was imported: {} {problem}", path.display())).hint(
        "mend it or move it away, or import the others one by one: conveyor import-compat --worker NAME",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const GOOD: &str = r#"{"name": "w", "tmux_session": "codex-w"}"#;

    /// The directory of the worker `w` with these files.
    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("w")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("w").join(name), text).unwrap();
        }
        root
    }

    #[track_caller]
    fn refused(root: &Path, file: &str, problem: &str) {
        let failure = read(root, None).unwrap_err();
        assert!(failure.message.contains(file) && failure.message.contains(problem), "{failure:?}");
    }

    #[test]
    fn what_is_none_of_a_workers_files_is_refused_with_its_name() {
        let check = |name: &str, text: &str, problem: &str| {
            refused(files(&[(CONFIG, GOOD), (name, text)]).path(), name, problem);
        };
        check(CONFIG, "{broken", "is not understood");
        check(CONFIG, "[]", "is not understood");
        check(CONFIG, "{}", "tmux_session");
        check(CONFIG, r#"{"tmux_session": "=x:1"}"#, "tmux session name");
        check(CONFIG, r#"{"tmux_session": "x", "name": "v"}"#, "called \"v\"");
        check(STATUS, r#"{"current_task": 7}"#, "is not understood");
        check(STATUS, &" ".repeat(MAX_SETTINGS_BYTES as usize + 1), "is larger than");
        let with_transcript = files(&[(CONFIG, GOOD), (TRANSCRIPT, "x"), (CAPTURE, "?")]);
        refused(with_transcript.path(), CAPTURE, "is not understood");
    }

    #[test]
    fn only_plain_files_of_plainly_named_directories_are_read() {
        let root = files(&[(CONFIG, GOOD), ("secret", "s")]);
        let directory = root.path().join("w");
        symlink(directory.join("secret"), directory.join(TRANSCRIPT)).unwrap();
        refused(root.path(), TRANSCRIPT, "is a symbolic link");
        fs::remove_file(directory.join(TRANSCRIPT)).unwrap();
        fs::create_dir(directory.join(STATUS)).unwrap();
        refused(root.path(), STATUS, "is no plain file");
        fs::remove_dir(directory.join(STATUS)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.join(EVENTS), 0o600.into()).unwrap();
        refused(root.path(), EVENTS, "is no plain file");
        fs::remove_file(directory.join(EVENTS)).unwrap();

        symlink(&directory, root.path().join("link")).unwrap();
        refused(root.path(), "link", "is a symbolic link");
        assert_eq!(read(root.path(), Some("w")).unwrap().len(), 1);
        fs::remove_file(root.path().join("link")).unwrap();
        fs::rename(&directory, root.path().join("two words")).unwrap();
        refused(root.path(), "two words", "letters, digits");
    }

    #[test]
    fn an_event_says_what_and_when() {
        let check =
            |line: &str, expect: bool| assert_eq!(event(line.as_bytes(), "f").is_some(), expect, "{line}");
        check(r#"{"type": "nudge", "time": "2025-01-01T00:00:00Z"}"#, true);
        check(r#"{"type": "nudge", "time": "2025-01-01T00:00:00Z", "message": "hi"}"#, true);
        check(r#"{"type": "nudge", "time": "yesterday"}"#, false);
        check(r#"{"type": "nudge"}"#, false);
        check(r#"{"time": "2025-01-01T00:00:00Z"}"#, false);
        check(r#"{"type": "", "time": "2025-01-01T00:00:00Z"}"#, false);
        check(r#"{"type": 7, "time": "2025-01-01T00:00:00Z"}"#, false);
        check("[]", false);
        check("{broken", false);
        check("\u{0}", false);
    }

    #[test]
    fn a_status_that_is_called_otherwise_keeps_its_words() {
        let said = r#"{"state": "on it", "current_task": "x", "last_update": "soon"}"#;
        let root = files(&[(CONFIG, GOOD), (STATUS, said)]);
        let worker = read(root.path(), None).unwrap().pop().unwrap();
        let Entry::Item(item, None) = &worker.entries[1] else { panic!("{worker:?}") };
        let Content::Status(status) = &item.content else { panic!("{item:?}") };
        assert_eq!((status.state, status.current_task.as_deref()), (WorkerState::Unknown, Some("x")));
        assert!(parse_iso(status.last_update.as_deref().unwrap()).is_some());
    }
}
