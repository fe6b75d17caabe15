//! Reading one line again whose place is known.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::line::RolloutLine;
use super::reader::ReadLimits;
use super::source::{self, ReadError};

/// The payload, as JSON, of the line at byte `offset` of the rollout at `path` or of its compressed
/// form. `None` when what stands there is no line of a rollout.
///
/// # Errors
/// [`ReadError`], when the file is gone or is another one.
pub fn payload_at(path: &Path, offset: u64) -> Result<Option<String>, ReadError> {
    let source = source::open_at(path, offset)?.take(ReadLimits::default().line_bytes as u64);
    let mut line = Vec::new();
    BufReader::new(source)
        .read_until(b'\n', &mut line)
        .map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    Ok(RolloutLine::parse(&line).map(|line| line.payload.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_again_from_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let first = r#"{"type":"session_meta","payload":{"id":"a"}}"#;
        let second = r#"{"type":"response_item","payload":{"text":"b"}}"#;
        let text = format!("{first}\n{second}\nno line\n");
        std::fs::write(&path, &text).unwrap();
        let read = |offset: usize| payload_at(&path, offset as u64);
        assert_eq!(read(0).unwrap().unwrap(), r#"{"id":"a"}"#);
        assert_eq!(read(first.len() + 1).unwrap().unwrap(), r#"{"text":"b"}"#);
        assert_eq!(read(first.len() + second.len() + 2).unwrap(), None);
        assert!(matches!(read(3), Err(ReadError::Replaced { .. })));
        assert!(matches!(read(text.len() + 1), Err(ReadError::Shorter { .. })));
    }
}
