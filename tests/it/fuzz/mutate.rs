//! Real inputs, changed in a few places.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Larger inputs are left out: what is in them is in smaller ones too.
const LARGEST_BYTES: u64 = 100_000;

/// Where, how, and with what.
pub(super) type Change = (u16, u8, u8);

/// The real inputs of a target.
pub(super) struct Corpus {
    inputs: Vec<Vec<u8>>,
    made: AtomicU64,
}

impl Corpus {
    /// The files in a directory of `tests/fixtures`.
    pub(super) fn of(directory: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(directory);
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let small = files.filter(|file| file.metadata().unwrap().len() < LARGEST_BYTES);
        let mut paths: Vec<_> = small.map(|file| file.path()).collect();
        paths.sort();
        let inputs: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(!inputs.is_empty());
        Self { inputs, made: AtomicU64::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// One of them, changed.
    pub(super) fn changed(&self, which: u16, changes: &[Change]) -> Vec<u8> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let mut bytes = self.inputs[usize::from(which) % self.len()].clone();
        for change in changes.iter().take(16) {
            self.change(&mut bytes, *change);
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, (place, how, value): Change) {
        let at = usize::from(place) * 31 % (bytes.len() + 1);
        let end = bytes.len().min(at + usize::from(value));
        match how % 8 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, value),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            4 => bytes
                .splice(at..at, b"\"[{\\\n]}:,\r\0\x1b".iter().copied().skip(usize::from(value % 12)))
                .for_each(drop),
            5 => {
                let other = &self.inputs[usize::from(value) % self.len()];
                let from = at.min(other.len());
                bytes.splice(at..at, other[from..other.len().min(from + 300)].iter().copied()).for_each(drop);
            }
            _ => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte = value),
        }
    }
}

/// Who soaks wants to know how much was tried.
impl Drop for Corpus {
    fn drop(&mut self) {
        eprintln!("fuzz: {} fuzz inputs", self.made.load(Ordering::Relaxed));
    }
}
