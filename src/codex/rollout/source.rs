//! Opening a rollout at an offset, compressed or not.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Why a rollout could not be read from an offset.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file, nor one with `.zst` appended.
    #[error("the rollout {} does not exist", path.display())]
    Missing {
        /// The file asked for.
        path: PathBuf,
    },
    /// The path names a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// Opening, reading or decompressing failed.
    #[error("the rollout {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file ends before the offset: it was truncated or replaced.
    #[error("the rollout {} has {length} bytes, fewer than the {offset} already read", path.display())]
    Shorter {
        /// The file asked for.
        path: PathBuf,
        /// Its length now, decompressed.
        length: u64,
        /// Where reading should have gone on.
        offset: u64,
    },
    /// The offset is not the start of a line: another file stands at this path.
    #[error("the rollout {} was replaced: no line starts at byte {offset}", path.display())]
    Replaced {
        /// The file asked for.
        path: PathBuf,
        /// Where reading should have gone on.
        offset: u64,
    },
}

/// A rollout's bytes, decompressed.
pub(super) type Source = Box<dyn Read + Send>;

/// Opens the rollout at `path`, or its compressed form `path.zst`, and moves to `offset` bytes of
/// the decompressed stream.
pub(super) fn open_at(path: &Path, offset: u64) -> Result<Source, ReadError> {
    match open(path)? {
        Opened::Plain(file) => seek_to(file, path, offset),
        Opened::Compressed(stream) => skip_to(stream, path, offset),
    }
}

/// As [`open_at`], and reads the first line, or its first `limit` bytes. A plain file is opened once.
pub(super) fn open_at_with_first_line(
    path: &Path,
    offset: u64,
    limit: u64,
) -> Result<(Source, Vec<u8>), ReadError> {
    match open(path)? {
        Opened::Plain(file) => {
            let line = first_line(&file, path, limit)?;
            Ok((seek_to(file, path, offset)?, line))
        }
        Opened::Compressed(stream) => {
            let line = first_line(stream, path, limit)?;
            Ok((open_at(path, offset)?, line))
        }
    }
}

fn first_line(stream: impl Read, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut line = Vec::new();
    BufReader::new(stream.take(limit))
        .read_until(b'\n', &mut line)
        .map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    Ok(line)
}

enum Opened {
    Plain(File),
    Compressed(Source),
}

fn open(path: &Path) -> Result<Opened, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    let Some(found) = existing(path).map_err(unreadable)? else {
        return Err(ReadError::Missing { path: path.to_owned() });
    };
    if !found.regular {
        return Err(ReadError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(&found.path).map_err(unreadable)?;
    if found.path.extension().is_some_and(|extension| extension == "zst") {
        let decoder = zstd::stream::read::Decoder::new(file).map_err(unreadable)?;
        Ok(Opened::Compressed(Box::new(UntilCut(decoder))))
    } else {
        Ok(Opened::Plain(file))
    }
}

struct Found {
    path: PathBuf,
    /// Opening a pipe would wait for a writer, so this is asked before opening.
    regular: bool,
}

fn existing(path: &Path) -> io::Result<Option<Found>> {
    let mut compressed = path.as_os_str().to_owned();
    compressed.push(".zst");
    for candidate in [path.to_owned(), PathBuf::from(compressed)] {
        match fs::metadata(&candidate) {
            Ok(metadata) => return Ok(Some(Found { path: candidate, regular: metadata.is_file() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn seek_to(mut file: File, path: &Path, offset: u64) -> Result<Source, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    let length = file.metadata().map_err(unreadable)?.len();
    if length < offset {
        return Err(ReadError::Shorter { path: path.to_owned(), length, offset });
    }
    if let Some(before) = offset.checked_sub(1) {
        file.seek(SeekFrom::Start(before)).map_err(unreadable)?;
        expect_newline(&mut file, path, offset)?;
    }
    Ok(Box::new(file))
}

fn skip_to(mut stream: Source, path: &Path, offset: u64) -> Result<Source, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    if let Some(before) = offset.checked_sub(1) {
        let length = io::copy(&mut stream.by_ref().take(before), &mut io::sink()).map_err(unreadable)?;
        if length < before {
            return Err(ReadError::Shorter { path: path.to_owned(), length, offset });
        }
        expect_newline(&mut stream, path, offset)?;
    }
    Ok(stream)
}

/// Reads the byte before `offset`, which ends the line read last if this is still the same file.
fn expect_newline(stream: &mut impl Read, path: &Path, offset: u64) -> Result<(), ReadError> {
    let mut byte = [0];
    match stream.read_exact(&mut byte) {
        Ok(()) if byte == *b"\n" => Ok(()),
        Ok(()) => Err(ReadError::Replaced { path: path.to_owned(), offset }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ReadError::Shorter { path: path.to_owned(), length: offset - 1, offset })
        }
        Err(source) => Err(ReadError::Unreadable { path: path.to_owned(), source }),
    }
}

/// A compressed file that is cut short ends where it is cut, as a plain one does.
struct UntilCut<R>(R);

impl<R: Read> Read for UntilCut<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "one\ntwo\nthr";

    fn read(path: &Path, offset: u64) -> Result<String, ReadError> {
        let mut text = String::new();
        let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
        open_at(path, offset)?.read_to_string(&mut text).map_err(unreadable)?;
        Ok(text)
    }

    /// What reading says of a file that should hold [`TEXT`].
    fn check_text(path: &Path) {
        assert_eq!(read(path, 0).unwrap(), TEXT);
        assert_eq!(read(path, 4).unwrap(), "two\nthr");
        assert_eq!(read(path, 8).unwrap(), "thr");
        assert!(matches!(read(path, 5), Err(ReadError::Replaced { offset: 5, .. })));
        assert!(matches!(read(path, 12), Err(ReadError::Shorter { length: 11, offset: 12, .. })));
        assert!(matches!(read(path, 900), Err(ReadError::Shorter { length: 11, offset: 900, .. })));
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("a.jsonl");
        fs::write(&plain, TEXT).unwrap();
        check_text(&plain);

        let archive = dir.path().join("b.jsonl.zst");
        fs::write(&archive, zstd::encode_all(TEXT.as_bytes(), 3).unwrap()).unwrap();
        check_text(&archive);
        check_text(&dir.path().join("b.jsonl"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(&dir.path().join("a.jsonl"), 0), Err(ReadError::Missing { .. })));
        assert!(matches!(read(dir.path(), 0), Err(ReadError::NotAFile { .. })));
        assert!(matches!(read(Path::new("/dev/zero"), 0), Err(ReadError::NotAFile { .. })));
    }

    #[test]
    fn a_damaged_archive_is_an_error_and_a_cut_one_ends_early() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl.zst");
        fs::write(&path, "this is no zstd frame, and long enough to have a header").unwrap();
        assert!(matches!(read(&path, 0), Err(ReadError::Unreadable { .. })));

        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(b"one\n").unwrap();
        encoder.flush().unwrap();
        let flushed = encoder.get_ref().len();
        encoder.write_all(b"two\n").unwrap();
        let whole = encoder.finish().unwrap();
        fs::write(&path, &whole[..flushed]).unwrap();
        assert_eq!(read(&path, 0).unwrap(), "one\n");
    }
}
