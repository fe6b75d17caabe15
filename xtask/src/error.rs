//! What can go wrong in an automation step.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The result of a step.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

/// A step that could not be done; the message ends with what to do, where that is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} not found; run: {install}", programs.join(" and "))]
    Missing { programs: Vec<String>, install: String },
    #[error("no Codex at {}: npm has no package for this platform; set CONVEYOR_TEST_CODEX to a codex program", .0.display())]
    NoCodex(PathBuf),
    #[error("{0} turns found something wrong; what they said is above, with the seed before it")]
    Violations(u64),
}
