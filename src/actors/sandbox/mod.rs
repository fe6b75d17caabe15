//! Running a command that must not see certain files: with Landlock on Linux, `sandbox-exec` on macOS.
//!
//! What is denied is reading, listing and executing below the denied paths, and connecting to sockets
//! there where the kernel can deny that. Writing elsewhere, and the network but for listening, stay
//! open: a reviewer may well ask a model for its opinion.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(any(target_os = "macos", test))]
mod profile;

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use crate::domain::Failure;

/// What a command may not see, and where it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Files and directories that it may not read.
    pub denied: Vec<PathBuf>,
    /// A directory of its own.
    pub scratch: PathBuf,
}

#[cfg(target_os = "linux")]
impl Sandbox {
    /// The command that confines itself and then becomes `argv`. Its first line of output is its
    /// report, see [`Sandbox::report`].
    ///
    /// # Errors
    /// When this program cannot find itself.
    pub fn command(&self, argv: &[String]) -> Result<Command, Failure> {
        let own = std::env::current_exe()
            .map_err(|error| Failure::external(format!("this program cannot find itself: {error}")))?;
        let mut command = Command::new(own);
        command.arg("sandboxed-exec").arg("--scratch").arg(&self.scratch);
        for path in &self.denied {
            command.arg("--deny").arg(path);
        }
        command.arg("--").args(argv);
        Ok(command)
    }

    /// What is enforced, and what the command itself wrote.
    ///
    /// # Errors
    /// When the command never got as far as to be confined.
    pub fn report<'a>(&self, output: &'a [u8]) -> Result<(Value, &'a [u8]), Failure> {
        let end = memchr::memchr(b'\n', output);
        let report = end.and_then(|end| serde_json::from_slice(&output[..end]).ok());
        match (report, end) {
            (Some(report), Some(end)) => Ok((report, &output[end + 1..])),
            _ => Err(Failure::external("the sandbox could not be set up")),
        }
    }

    /// Confines this process for good and becomes `argv`. Comes back only when that fails.
    pub fn become_command(&self, argv: &[String]) -> Failure {
        landlock::become_command(self, argv)
    }
}

#[cfg(target_os = "macos")]
impl Sandbox {
    /// `argv` below `sandbox-exec`.
    ///
    /// # Errors
    /// When a denied path has no text form.
    pub fn command(&self, argv: &[String]) -> Result<Command, Failure> {
        let mut command = Command::new("sandbox-exec");
        command.arg("-p").arg(profile::of(self)?).args(argv);
        Ok(command)
    }

    /// What is enforced, and what the command itself wrote.
    ///
    /// # Errors
    /// Never: `sandbox-exec` starts nothing that it could not confine.
    pub fn report<'a>(&self, output: &'a [u8]) -> Result<(Value, &'a [u8]), Failure> {
        let report = serde_json::json!({
            "denied_path_count": self.denied.len(),
            "kind": "sandbox-exec",
            "listening": "denied",
            "reads": "denied",
            "unix_sockets": "denied",
            "writes": "denied below the denied paths",
        });
        Ok((report, output))
    }

    /// There is nothing to become: `sandbox-exec` does it.
    pub fn become_command(&self, _: &[String]) -> Failure {
        Failure::usage("on macOS, sandbox-exec confines commands")
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
impl Sandbox {
    /// Nothing runs without a sandbox.
    ///
    /// # Errors
    /// Always.
    pub fn command(&self, _: &[String]) -> Result<Command, Failure> {
        Err(Failure::external("there is no sandbox on this system"))
    }

    /// Nothing ran.
    ///
    /// # Errors
    /// Always.
    pub fn report<'a>(&self, _: &'a [u8]) -> Result<(Value, &'a [u8]), Failure> {
        Err(Failure::external("there is no sandbox on this system"))
    }

    /// Nothing is confined.
    pub fn become_command(&self, _: &[String]) -> Failure {
        Failure::external("there is no sandbox on this system")
    }
}
