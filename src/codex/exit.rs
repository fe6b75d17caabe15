//! Waiting for a process to be gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alive::is_alive;
use super::discover::system_processes;

/// Between two looks where the system does not tell by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Start times are known to two seconds, by different clocks.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(5);

/// A process that was seen, and not another one that got its number later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i64,
    /// When it began, when that is known.
    pub began: Option<Timestamp>,
    /// An instant at which it ran. Whatever began after it is another process.
    pub ran_at: Option<Timestamp>,
}

impl Process {
    /// Whether it runs. Blocks for a moment.
    pub fn is_running(&self) -> bool {
        is_alive(self.pid) && self.is_the_one()
    }

    /// Whether the process that has the number now is the one. One whose start cannot be seen is
    /// taken for it.
    fn is_the_one(&self) -> bool {
        let Some(pid) = u32::try_from(self.pid).ok() else { return false };
        let Ok(began) = system_processes().started_at(pid) else { return true };
        match (self.began, self.ran_at) {
            (Some(recorded), _) => recorded.duration_since(began).abs() <= CLOCK_SLACK,
            (None, Some(ran_at)) => began <= ran_at + CLOCK_SLACK,
            (None, None) => true,
        }
    }

    /// Ends when it has ended. On Linux the kernel tells at once; elsewhere it is looked at twice a
    /// second. Must run inside a tokio runtime.
    pub async fn ended(&self) {
        #[cfg(target_os = "linux")]
        if let Some(watch) = pidfd::watch(self.pid) {
            // Looked at after the watch began, so that the number cannot change hands in between.
            if !self.runs().await || watch.readable().await.is_ok() {
                return;
            }
        }
        while self.runs().await {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn runs(&self) -> bool {
        let process = self.clone();
        // Whoever cannot look has not seen it end.
        tokio::task::spawn_blocking(move || process.is_running()).await.unwrap_or(true)
    }
}

#[cfg(target_os = "linux")]
mod pidfd {
    use std::os::fd::OwnedFd;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A descriptor that becomes readable when the process ends. `None` when the process is gone
    /// already, or the system has none left to give.
    #[allow(
        deprecated,
        reason = "sound for an `OwnedFd`, which keeps its descriptor; the successor is unsafe"
    )]
    pub(super) fn watch(pid: i64) -> Option<AsyncFd<OwnedFd>> {
        let pid = Pid::from_raw(i32::try_from(pid).ok().filter(|pid| *pid > 0)?)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// Long enough for a loaded machine; only a failing test waits this long.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn sleeper() -> (Child, Process) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let began = system_processes().started_at(child.id()).unwrap();
        let process = Process { pid: child.id().into(), began: Some(began), ran_at: None };
        (child, process)
    }

    #[tokio::test]
    async fn a_process_has_ended_when_it_was_killed_and_not_before() {
        let (mut child, process) = sleeper();
        assert!(process.is_running());
        let early = tokio::time::timeout(Duration::from_millis(50), process.ended()).await;
        assert!(early.is_err(), "it still runs");
        child.kill().unwrap();
        // Nobody has collected it yet: it has ended all the same.
        tokio::time::timeout(PATIENCE, process.ended()).await.unwrap();
        child.wait().unwrap();
        assert!(!process.is_running());
        tokio::time::timeout(PATIENCE, process.ended()).await.unwrap();
    }

    #[tokio::test]
    async fn a_number_that_went_to_another_process_is_not_the_process() {
        async fn check(change: fn(&mut Process), runs: bool) {
            let (mut child, mut process) = sleeper();
            change(&mut process);
            assert_eq!(process.is_running(), runs, "{process:?}");
            let patience = if runs { Duration::from_millis(50) } else { PATIENCE };
            let ended = tokio::time::timeout(patience, process.ended()).await.is_ok();
            assert_eq!(ended, !runs, "{process:?}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        check(|_| {}, true).await;
        check(
            |process| process.began = process.began.map(|began| began - SignedDuration::from_secs(2)),
            true,
        )
        .await;
        check(|process| process.began = None, true).await;
        check(|process| process.pid = 0, false).await;
        check(|process| process.began = Some(Timestamp::UNIX_EPOCH), false).await;
        check(
            |process| {
                *process = Process { began: None, ran_at: Some(Timestamp::UNIX_EPOCH), ..process.clone() }
            },
            false,
        )
        .await;
        check(
            |process| *process = Process { began: None, ran_at: Some(Timestamp::now()), ..process.clone() },
            true,
        )
        .await;
    }
}
