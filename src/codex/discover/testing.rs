//! Processes and rollouts for the tests here.

use super::{
    error::ProcessError,
    held::LOCK_DIRECTORY,
    processes::{ProcessTable, Tty},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A thread id; a greater `age_rank` is a newer thread.
pub(super) fn thread_id(age_rank: u32) -> String {
    format!("01a2062e-2b3a-7de1-a4f8-{age_rank:012x}")
}

pub(super) fn lock_path(codex_home: &Path, thread_id: &str) -> PathBuf {
    codex_home.join(LOCK_DIRECTORY).join(format!("{thread_id}.lock"))
}

/// Writes a rollout that began with the year 2026.
pub(super) fn write_rollout(codex_home: &Path, thread_id: &str, parent: Option<&str>) -> PathBuf {
    let directory = codex_home.join("sessions/2026/01/01");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("rollout-2026-01-01T00-00-00-{thread_id}.jsonl"));
    let meta = json!({"id": thread_id, "timestamp": "2026-01-01T00:00:00Z", "parent_thread_id": parent});
    fs::write(&path, format!("{}\n", json!({"type": "session_meta", "payload": meta}))).unwrap();
    path
}

/// Processes that are made up. Every number that is mentioned is a process.
#[derive(Default)]
pub(super) struct FakeProcesses {
    children: HashMap<u32, Vec<u32>>,
    open: HashMap<u32, Vec<PathBuf>>,
    arguments: HashMap<u32, Vec<String>>,
    known: HashSet<u32>,
    forbidden: HashSet<u32>,
}

impl FakeProcesses {
    pub(super) fn of(children: &[(u32, &[u32])], open: &[(u32, &[&Path])]) -> Self {
        let mut fake = Self::default();
        for (pid, children) in children {
            fake.known.insert(*pid);
            fake.known.extend(*children);
            fake.children.insert(*pid, children.to_vec());
        }
        for (pid, files) in open {
            fake.known.insert(*pid);
            fake.open.insert(*pid, files.iter().map(|file| file.to_path_buf()).collect());
        }
        fake
    }

    pub(super) fn start_with(&mut self, pid: u32, arguments: &[&str]) {
        self.arguments.insert(pid, arguments.iter().map(ToString::to_string).collect());
    }

    pub(super) fn forbid(&mut self, pid: u32) {
        self.forbidden.insert(pid);
    }

    fn look<T: Clone + Default>(&self, map: &HashMap<u32, T>, pid: u32) -> Result<T, ProcessError> {
        if !self.known.contains(&pid) {
            return Err(ProcessError::Gone { pid });
        }
        Ok(map.get(&pid).cloned().unwrap_or_default())
    }
}

impl ProcessTable for FakeProcesses {
    fn children(&self, pid: u32) -> Result<Vec<u32>, ProcessError> {
        self.look(&self.children, pid)
    }

    fn open_files(&self, pid: u32) -> Result<Vec<PathBuf>, ProcessError> {
        if self.forbidden.contains(&pid) {
            return Err(ProcessError::Forbidden { pid, reason: "permission denied".into() });
        }
        self.look(&self.open, pid)
    }

    fn arguments(&self, pid: u32) -> Result<Vec<String>, ProcessError> {
        self.look(&self.arguments, pid)
    }

    fn started_at(&self, pid: u32) -> Result<Timestamp, ProcessError> {
        self.children(pid).map(|_| Timestamp::UNIX_EPOCH)
    }

    fn tty(&self, pid: u32) -> Result<Option<Tty>, ProcessError> {
        self.children(pid).map(|_| None)
    }
}

/// Looks at a shell, its child and their files through `processes`.
pub(super) fn check_on_real_processes(processes: &dyn ProcessTable) {
    let file = tempfile::NamedTempFile::with_prefix("an open file ").unwrap();
    let began = Timestamp::now();
    let script = "exec 3< \"$0\"; sleep 1000 & echo $!; wait";
    let mut shell =
        Command::new("/bin/sh").args(["-c", script]).arg(file.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (pid, child): (u32, u32) = (shell.id(), line.trim().parse().unwrap());

    let children = processes.children(pid);
    let files = [processes.open_files(pid), processes.open_files(child)];
    let started = processes.started_at(pid);
    let arguments = processes.arguments(pid);
    let no_children = processes.children(child);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    shell.wait().unwrap();

    assert_eq!((children, no_children), (Ok(vec![child]), Ok(vec![])));
    let path = file.path().canonicalize().unwrap();
    assert!(files.iter().all(|files| files.as_ref().unwrap().contains(&path)), "{files:?}");
    assert_eq!(arguments.unwrap()[..2], ["/bin/sh", "-c"]);
    let early = began.duration_since(started.unwrap());
    assert!(early > SignedDuration::from_secs(-1) && early < SignedDuration::from_secs(5), "{early:?}");
    for gone in [processes.children(pid).map(|_| ()), processes.open_files(pid).map(|_| ())] {
        assert_eq!(gone, Err(ProcessError::Gone { pid }));
    }
    assert_eq!(processes.started_at(pid), Err(ProcessError::Gone { pid }));
    assert_eq!(processes.tty(pid), Err(ProcessError::Gone { pid }));
}
