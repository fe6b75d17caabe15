//! The processes that a test has started, directly or not.

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

/// A process that is not a zombie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// Its program and arguments, separated by blanks.
    pub(crate) command: String,
}

impl Process {
    /// Sends a signal; a process that is gone is left alone.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// The processes, other than this one, whose environment, arguments or working directory mention
/// `root`. A unique `root` in the environment is inherited, so that a daemon is found as well.
pub(crate) fn mentioning(root: &Path) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    all(root).into_iter().filter(|process| process.pid != own).collect()
}

#[cfg(target_os = "linux")]
fn all(root: &Path) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| read(pid, root)).collect()
}

/// Reads one process; `None` when it does not mention `root`, is a zombie or is gone.
#[cfg(target_os = "linux")]
fn read(pid: i32, root: &Path) -> Option<Process> {
    let directory = Path::new("/proc").join(pid.to_string());
    let arguments = std::fs::read(directory.join("cmdline")).ok().filter(|bytes| !bytes.is_empty())?;
    let environment = std::fs::read(directory.join("environ")).unwrap_or_default();
    let mentions = |bytes: &[u8]| memchr::memmem::find(bytes, root.as_os_str().as_encoded_bytes()).is_some();
    let is_inside = || std::fs::read_link(directory.join("cwd")).is_ok_and(|cwd| cwd.starts_with(root));
    let command = String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned();
    (mentions(&arguments) || mentions(&environment) || is_inside()).then_some(Process { pid, command })
}

#[cfg(not(target_os = "linux"))]
fn all(root: &Path) -> Vec<Process> {
    let listing = std::process::Command::new("ps").args(["-axEww", "-o", "pid=,command="]).output().unwrap();
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let root = root.display().to_string();
    let lines = listing.lines().filter(|line| line.contains(&root));
    lines.filter_map(|line| line.trim_start().split_once(' ')).filter_map(parse).collect()
}

#[cfg(not(target_os = "linux"))]
fn parse((pid, command): (&str, &str)) -> Option<Process> {
    Some(Process { pid: pid.parse().ok()?, command: command.to_owned() })
}
