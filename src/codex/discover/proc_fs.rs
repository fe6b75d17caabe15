//! Linux: `/proc`.

use super::{
    error::ProcessError,
    processes::{ProcessTable, Tty},
};
use jiff::Timestamp;
use procfs::{
    ProcError, ProcResult, boot_time_secs,
    process::{FDTarget, Process},
    ticks_per_second,
};
use std::{io, path::PathBuf};

/// The processes as `/proc` shows them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcFs;

impl ProcessTable for ProcFs {
    fn children(&self, pid: u32) -> Result<Vec<u32>, ProcessError> {
        let tasks = process(pid).and_then(|process| process.tasks()).map_err(|e| error(pid, e))?;
        // A thread that ends meanwhile has no children any more.
        Ok(tasks.flatten().filter_map(|task| task.children().ok()).flatten().collect())
    }

    fn open_files(&self, pid: u32) -> Result<Vec<PathBuf>, ProcessError> {
        let open = process(pid).and_then(|process| process.fd()).map_err(|e| error(pid, e))?;
        let path = |target| match target {
            FDTarget::Path(path) => Some(path),
            _ => None,
        };
        // A file that is closed meanwhile is not open any more.
        Ok(open.flatten().filter_map(|file| path(file.target)).collect())
    }

    fn arguments(&self, pid: u32) -> Result<Vec<String>, ProcessError> {
        process(pid).and_then(|process| process.cmdline()).map_err(|e| error(pid, e))
    }

    fn started_at(&self, pid: u32) -> Result<Timestamp, ProcessError> {
        let since_boot_ticks =
            process(pid).and_then(|process| process.stat()).map_err(|e| error(pid, e))?.starttime;
        let boot_secs = boot_time_secs().map_err(|e| error(pid, e))?;
        let start_secs = boot_secs.saturating_add(since_boot_ticks / ticks_per_second());
        let start_secs = i64::try_from(start_secs).unwrap_or(i64::MAX);
        Timestamp::from_second(start_secs).map_err(|e| ProcessError::Failed { pid, reason: e.to_string() })
    }

    fn tty(&self, pid: u32) -> Result<Option<Tty>, ProcessError> {
        let stat = process(pid).and_then(|process| process.stat()).map_err(|e| error(pid, e))?;
        let tty = Tty { device: stat.tty_nr.to_string(), in_foreground: stat.pgrp == stat.tpgid };
        Ok((stat.tty_nr != 0).then_some(tty))
    }
}

fn process(pid: u32) -> ProcResult<Process> {
    let not_a_pid = |_| ProcError::NotFound(None);
    Process::new(i32::try_from(pid).map_err(not_a_pid)?)
}

fn error(pid: u32, error: ProcError) -> ProcessError {
    match error {
        ProcError::NotFound(_) => ProcessError::Gone { pid },
        ProcError::PermissionDenied(_) => {
            ProcessError::Forbidden { pid, reason: "permission denied".to_owned() }
        }
        ProcError::Io(source, _) => ProcessError::from_io(pid, &source),
        other => ProcessError::from_io(pid, &io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::check_on_real_processes, *};

    #[test]
    fn real_processes() {
        check_on_real_processes(&ProcFs);
    }

    #[test]
    fn a_number_that_is_no_pid() {
        assert_eq!(ProcFs.children(u32::MAX), Err(ProcessError::Gone { pid: u32::MAX }));
    }
}
