//! The log of a private app-server, and what it says about a failed start.

use crate::codex::blocking::off_thread;
use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const MAX_READ_BYTES: u64 = 64 << 10;
const MAX_LINES: usize = 12;

/// A place in a log file: what comes after it was said since.
#[derive(Debug)]
pub(super) struct LogMark {
    path: PathBuf,
    offset: u64,
}

/// Opens the log for appending, making it and its directory if need be.
pub(super) fn open_log(path: &Path) -> io::Result<(File, LogMark)> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let file = File::options().append(true).create(true).mode(0o600).open(path)?;
    let offset = file.metadata()?.len();
    Ok((file, LogMark { path: path.to_owned(), offset }))
}

impl LogMark {
    /// The end of what was written since, without colours and stack traces.
    pub(super) async fn said_since(self) -> String {
        match off_thread(move || self.read_since()).await {
            Ok(text) => summary(&text),
            Err(error) => format!("(its log could not be read: {error})"),
        }
    }

    fn read_since(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.offset.max(length.saturating_sub(MAX_READ_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn summary(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    let said = plain.split("Stack backtrace:").next().unwrap_or_default().trim();
    if said.is_empty() {
        return "(nothing)".to_owned();
    }
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(MAX_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn summaries() {
        fn check(text: &str, expected: &str) {
            assert_eq!(summary(text), expected);
        }
        check("", "(nothing)");
        check("\u{1b}[31mERROR\u{1b}[0m it\nbroke\n", "ERROR it\nbroke");
        check("Error: in use\n\nStack backtrace:\n   0: <unknown>\n", "Error: in use");
        let long: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        check(&long.join("\n"), &long[18..].join("\n"));
    }

    #[test]
    fn only_what_came_after_the_mark_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/server.log");
        let (mut log, _) = open_log(&path).unwrap();
        log.write_all(b"the run before\n").unwrap();
        let (mut log, mark) = open_log(&path).unwrap();
        log.write_all(b"this run\n").unwrap();
        assert_eq!(mark.read_since().unwrap(), "this run\n");
    }
}
