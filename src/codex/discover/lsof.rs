//! Where there is no `/proc`: `lsof`, `pgrep` and `ps`.

use super::{
    error::{ProcessError, is_forbidden},
    processes::{ProcessTable, Tty},
};
use crate::codex::process::output_within;
use jiff::{SignedDuration, Timestamp};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// `lsof` may hang on a dead network file system.
const DEADLINE: Duration = Duration::from_secs(10);

/// The processes as `lsof`, `pgrep` and `ps` show them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lsof;

impl ProcessTable for Lsof {
    fn children(&self, pid: u32) -> Result<Vec<u32>, ProcessError> {
        let output = run(pid, "pgrep", &["-P", &pid.to_string()])?;
        let children: Vec<u32> = text(&output.stdout).split_whitespace().flat_map(str::parse).collect();
        if children.is_empty() {
            self.started_at(pid)?;
        }
        Ok(children)
    }

    fn open_files(&self, pid: u32) -> Result<Vec<PathBuf>, ProcessError> {
        let output = run(pid, "lsof", &["-p", &pid.to_string(), "-Fn"])?;
        parse_open_files(pid, &text(&output.stdout), &text(&output.stderr))
    }

    /// Cut at white space: `ps` does not tell where an argument ends.
    fn arguments(&self, pid: u32) -> Result<Vec<String>, ProcessError> {
        let output = run(pid, "ps", &["-ww", "-o", "args=", "-p", &pid.to_string()])?;
        let words: Vec<String> = text(&output.stdout).split_whitespace().map(str::to_owned).collect();
        if words.is_empty() { Err(ProcessError::Gone { pid }) } else { Ok(words) }
    }

    fn started_at(&self, pid: u32) -> Result<Timestamp, ProcessError> {
        let output = run(pid, "ps", &["-o", "etime=", "-p", &pid.to_string()])?;
        let age = parse_age(&text(&output.stdout)).ok_or(ProcessError::Gone { pid })?;
        // `ps` cuts the age to whole seconds, so that the process may be older by one.
        Ok(Timestamp::now() - age - SignedDuration::from_secs(1))
    }

    fn tty(&self, pid: u32) -> Result<Option<Tty>, ProcessError> {
        let output = run(pid, "ps", &["-o", "stat=", "-o", "tty=", "-p", &pid.to_string()])?;
        parse_tty(&text(&output.stdout)).ok_or(ProcessError::Gone { pid })
    }
}

/// The processes that have `file` open.
pub(super) fn users_of(file: &Path) -> Result<Vec<u32>, ProcessError> {
    let output = run(0, "lsof", &["-t", "--", &file.to_string_lossy()])?;
    Ok(text(&output.stdout).split_whitespace().flat_map(str::parse).collect())
}

fn run(pid: u32, program: &str, args: &[&str]) -> Result<Output, ProcessError> {
    let mut command = Command::new(program);
    command.args(args);
    output_within(command, DEADLINE).map_err(|error| ProcessError::from_words(pid, &error.to_string()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The `n` lines of `lsof -Fn`; it lists nothing for a process that is not there.
fn parse_open_files(pid: u32, stdout: &str, stderr: &str) -> Result<Vec<PathBuf>, ProcessError> {
    let names = || stdout.lines().filter_map(|line| line.strip_prefix('n'));
    let files: Vec<PathBuf> =
        names().filter(|name| name.starts_with('/') && !is_forbidden(name)).map(PathBuf::from).collect();
    if let Some(complaint) = names().chain(stderr.lines()).find(|line| is_forbidden(line))
        && files.is_empty()
    {
        return Err(ProcessError::from_words(pid, complaint));
    }
    if stdout.is_empty() { Err(ProcessError::Gone { pid }) } else { Ok(files) }
}

/// The state, with a `+` in the foreground, and the terminal: question marks for none.
fn parse_tty(line: &str) -> Option<Option<Tty>> {
    let (state, device) = line.trim().split_once(char::is_whitespace)?;
    let device = Some(device.trim()).filter(|device| !device.starts_with('?'));
    Some(device.map(|device| Tty { device: device.to_owned(), in_foreground: state.contains('+') }))
}

/// The `[[days-]hours:]minutes:seconds` of `ps -o etime=`.
fn parse_age(text: &str) -> Option<SignedDuration> {
    let (days, time) = match text.trim().split_once('-') {
        Some((days, time)) => (days.parse().ok()?, time),
        None => (0, text.trim()),
    };
    let mut seconds: i64 = 0;
    for part in time.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    Some(SignedDuration::from_secs(seconds.checked_add(i64::checked_mul(days, 86_400)?)?))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::check_on_real_processes, *};

    #[test]
    fn real_processes() {
        check_on_real_processes(&Lsof);
    }

    #[test]
    fn a_file_that_somebody_has_open() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(users_of(file.path()).unwrap().contains(&std::process::id()));
    }

    #[test]
    fn what_lsof_prints() {
        fn check(stdout: &str, stderr: &str, expected: Result<&[&str], &str>) {
            match (parse_open_files(7, stdout, stderr), expected) {
                (Ok(files), Ok(expected)) => {
                    assert_eq!(files, expected.iter().map(PathBuf::from).collect::<Vec<_>>())
                }
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
        check(
            "p7\nfcwd\nn/work\nf3\nn/a b/rollout.jsonl\nf4\nnpipe\n",
            "",
            Ok(&["/work", "/a b/rollout.jsonl"]),
        );
        check("p7\nfcwd\nn/work\n", "lsof: WARNING: Permission denied", Ok(&["/work"]));
        check("", "", Err("there is no process 7"));
        check("p7\nn/proc/7/fd (opendir: Permission denied)\n", "", Err("may not look into process 7"));
        check("", "lsof: Operation not permitted", Err("may not look into process 7"));
    }

    #[test]
    fn terminals() {
        fn check(line: &str, expected: Option<Option<(&str, bool)>>) {
            let found = parse_tty(line);
            let found = found.as_ref().map(|tty| tty.as_ref().map(|tty| (&*tty.device, tty.in_foreground)));
            assert_eq!(found, expected, "{line}");
        }
        check("Ss+  ttys003\n", Some(Some(("ttys003", true))));
        check("T    pts/3\n", Some(Some(("pts/3", false))));
        check("Ss   ??\n", Some(None));
        check("S    ?\n", Some(None));
        check("", None);
    }

    #[test]
    fn ages() {
        fn check(text: &str, expected_secs: Option<i64>) {
            assert_eq!(parse_age(text).map(|age| age.as_secs()), expected_secs, "{text}");
        }
        check("   00:07\n", Some(7));
        check("01:02:03", Some(3_723));
        check("2-00:00:01", Some(172_801));
        check("", None);
        check("now", None);
    }
}
