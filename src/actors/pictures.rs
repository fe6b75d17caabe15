//! Comparing two picture files that a person named, and writing down what came out.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::Failure;
use crate::domain::visual_diff::{self, MAX_FILE_BYTES, Picture, VisualDiff};

/// What to compare, and where to write it down.
#[derive(Debug)]
pub struct CompareFiles {
    /// The picture to come close to.
    pub reference: PathBuf,
    /// The picture of this pass.
    pub candidate: PathBuf,
    /// The greatest share of pixels that may differ.
    pub threshold: f64,
    /// Where a picture of the difference goes.
    pub diff_output: Option<PathBuf>,
    /// Where the report goes, as JSON.
    pub report_output: Option<PathBuf>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The picture to come close to.
    pub reference: PathBuf,
    /// The picture of this pass.
    pub candidate: PathBuf,
    /// Changed pixels by all pixels.
    pub diff_score: f64,
    /// The greatest score that is good enough.
    pub threshold: f64,
    /// It is good enough.
    pub below_threshold: bool,
    /// The picture of the difference.
    pub diff_image: Option<PathBuf>,
    /// The counts.
    #[serde(flatten)]
    pub diff: VisualDiff,
}

impl CompareFiles {
    /// Does it. Nothing is written unless the pictures can be compared.
    ///
    /// # Errors
    /// `Usage` when a file is no picture that can be compared, the two are not of one size, or an
    /// output would overwrite one of them; `External` when an output cannot be written.
    pub fn run(self) -> Result<Report, Failure> {
        self.check_outputs()?;
        let (reference, candidate) = (read(&self.reference)?, read(&self.candidate)?);
        let Some(diff) = visual_diff::compare(&reference, &candidate) else {
            return Err(Failure::usage(format!(
                "the pictures are not of one size: {} is {}, {} is {}",
                self.reference.display(),
                reference.viewport(),
                self.candidate.display(),
                candidate.viewport()
            ))
            .hint("take the screenshot with the viewport of the reference"));
        };
        if let Some(path) = &self.diff_output {
            let png = visual_diff::draw(&reference, &candidate)
                .map_err(|error| Failure::internal(format!("failed to draw the difference: {error}")))?;
            write(path, &png)?;
        }
        let report = Report {
            diff_score: diff.score(),
            threshold: self.threshold,
            below_threshold: diff.score() <= self.threshold,
            reference: self.reference,
            candidate: self.candidate,
            diff_image: self.diff_output,
            diff,
        };
        if let Some(path) = &self.report_output {
            let json = serde_json::to_vec_pretty(&report)
                .map_err(|error| Failure::internal(format!("failed to write a report: {error}")))?;
            write(path, &[json.as_slice(), b"\n"].concat())?;
        }
        Ok(report)
    }

    /// Refuses outputs that would destroy an input or each other.
    fn check_outputs(&self) -> Result<(), Failure> {
        let mut taken = vec![same_file(&self.reference), same_file(&self.candidate)];
        for output in [&self.diff_output, &self.report_output].into_iter().flatten() {
            let file = same_file(output);
            if taken.contains(&file) {
                return Err(Failure::usage(format!("{} would be overwritten", output.display()))
                    .hint("name other files with --diff-output and --report-output"));
            }
            taken.push(file);
        }
        Ok(())
    }
}

/// The file behind a name, whatever links lead to it.
fn same_file(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<Picture, Failure> {
    let bytes = read_limited(path)
        .map_err(|error| Failure::usage(format!("failed to read {}: {error}", path.display())))?;
    Picture::decode(&bytes).map_err(|unfit| {
        Failure::usage(format!("{} {unfit}", path.display())).hint("pictures are compared as PNG files")
    })
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let directory = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    directory.and_then(|()| std::fs::write(path, bytes)).map_err(|error| {
        Failure::external(format!("failed to write {}: {error}; nothing was recorded", path.display()))
    })
}
