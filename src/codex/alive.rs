//! Whether a process is there.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Whether the process runs. One that belongs to another user does; one that has ended, and whose
/// parent has not asked how, does not.
pub fn is_alive(pid: i64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return false;
    };
    !matches!(test_kill_process(pid), Err(Errno::SRCH)) && !has_ended(pid)
}

#[cfg(target_os = "linux")]
fn has_ended(pid: Pid) -> bool {
    let process = procfs::process::Process::new(pid.as_raw_nonzero().get());
    process.and_then(|process| process.stat()).is_ok_and(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Nothing tells it cheaply elsewhere, and there every parent asks.
#[cfg(not(target_os = "linux"))]
fn has_ended(_: Pid) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_is_alive_and_impossible_ones_are_not() {
        assert!(is_alive(i64::from(std::process::id())));
        for impossible in [0, -1, 99_999_999, i64::MAX] {
            assert!(!is_alive(impossible), "{impossible}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_has_ended_is_not_alive_although_nobody_asked_how() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i64::from(child.id());
        assert!(is_alive(pid));
        child.kill().unwrap();
        while is_alive(pid) {
            std::thread::yield_now();
        }
        assert!(test_kill_process(Pid::from_child(&child)).is_ok(), "its number is still taken");
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
