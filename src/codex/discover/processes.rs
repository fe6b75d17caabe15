//! What has to be known about processes, and who knows it.

use super::{error::ProcessError, lsof::Lsof};
use jiff::Timestamp;
use std::path::PathBuf;

/// The terminal that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tty {
    /// Which; the same words for every process of it.
    pub device: String,
    /// The process is of the group that reads what is typed there.
    pub in_foreground: bool,
}

/// The processes of this machine.
pub trait ProcessTable {
    /// The processes that `pid` started and that still run.
    ///
    /// # Errors
    /// [`ProcessError`], when there is no such process or it cannot be looked into.
    fn children(&self, pid: u32) -> Result<Vec<u32>, ProcessError>;

    /// The files that `pid` has open, by absolute path, in no particular order.
    ///
    /// # Errors
    /// As [`ProcessTable::children`].
    fn open_files(&self, pid: u32) -> Result<Vec<PathBuf>, ProcessError>;

    /// The program and the arguments that `pid` was started with.
    ///
    /// # Errors
    /// As [`ProcessTable::children`].
    fn arguments(&self, pid: u32) -> Result<Vec<String>, ProcessError>;

    /// When `pid` started, up to two seconds too early.
    ///
    /// # Errors
    /// As [`ProcessTable::children`].
    fn started_at(&self, pid: u32) -> Result<Timestamp, ProcessError>;

    /// The terminal of `pid`, if it has one.
    ///
    /// # Errors
    /// As [`ProcessTable::children`].
    fn tty(&self, pid: u32) -> Result<Option<Tty>, ProcessError>;
}

/// The processes as the system tells of them: `/proc` on Linux, else `lsof`, `pgrep` and `ps`.
pub fn system_processes() -> Box<dyn ProcessTable + Send> {
    #[cfg(target_os = "linux")]
    if std::path::Path::new("/proc/self/fd").exists() {
        return Box::new(super::proc_fs::ProcFs);
    }
    Box::new(Lsof)
}
