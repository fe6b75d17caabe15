//! Whether a process is there.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Whether the process exists. One that belongs to another user exists.
pub fn is_alive(pid: i64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return false;
    };
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_impossible_ones_are_not() {
        assert!(is_alive(i64::from(std::process::id())));
        for impossible in [0, -1, 99_999_999, i64::MAX] {
            assert!(!is_alive(impossible), "{impossible}");
        }
    }
}
