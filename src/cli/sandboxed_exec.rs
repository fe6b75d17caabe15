//! `conveyor sandboxed-exec`: this program as the helper that confines itself and becomes a command.

use std::path::PathBuf;

use clap::Args;

use crate::actors::sandbox::Sandbox;
use crate::domain::Failure;

/// Run a command that cannot read some files
#[derive(Debug, Clone, Args)]
pub struct SandboxedExecArgs {
    /// A file or directory that it cannot read; repeatable
    #[arg(long, value_name = "PATH")]
    deny: Vec<PathBuf>,
    /// A directory that it may read in any case
    #[arg(long, value_name = "DIRECTORY")]
    scratch: PathBuf,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Comes back only when it fails.
pub fn run(args: SandboxedExecArgs) -> Result<u8, Failure> {
    Err(Sandbox { denied: args.deny, scratch: args.scratch }.become_command(&args.command))
}
