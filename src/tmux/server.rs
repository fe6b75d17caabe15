//! Which tmux server: a socket, and how to reach it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::getuid;
use tmux_interface::TmuxCommand;

use super::TmuxError;

const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// A tmux server, running or not. The socket path identifies it and is what a session records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TmuxServer {
    pub(super) socket: PathBuf,
    pub(super) config: Option<PathBuf>,
    pub(super) program: PathBuf,
    pub(super) deadline: Duration,
}

impl TmuxServer {
    /// The server that the environment names, looked up with `env` (such as [`std::env::var_os`]).
    ///
    /// The socket is `$CONVEYOR_TMUX_SOCKET` (a path, or a name as for `tmux -L`), else the server we
    /// run inside (`$TMUX`), else the one tmux itself would use. Empty variables count as unset.
    pub fn resolve(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        let named = |name: OsString| match PathBuf::from(&name) {
            path if path.components().count() > 1 => path,
            _ => socket_named(get("TMUX_TMPDIR"), &name),
        };
        let socket = get("CONVEYOR_TMUX_SOCKET")
            .map(named)
            .or_else(|| get("TMUX").and_then(|value| socket_in_tmux_variable(&value)))
            .unwrap_or_else(|| socket_named(get("TMUX_TMPDIR"), "default".as_ref()));
        let server = Self::at(socket);
        match get("CONVEYOR_TMUX") {
            Some(program) => server.with_program(program),
            None => server,
        }
    }

    /// The server on a recorded socket path.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        Self {
            // A relative path would mean another server to a process in another directory.
            socket: std::path::absolute(&socket).unwrap_or(socket),
            config: None,
            program: PathBuf::from("tmux"),
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// Uses this configuration file, should the server have to be started; `/dev/null` for none.
    #[must_use]
    pub fn with_config(mut self, config: impl Into<PathBuf>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Uses this tmux program: a path, or a name searched on `PATH`.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The same program and configuration, with another server's socket.
    #[must_use]
    pub fn on(mut self, socket: impl Into<PathBuf>) -> Self {
        self.socket = socket.into();
        self
    }

    /// Waits at most this long for each call. The default is 10 seconds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The path that identifies this server.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The version of the tmux program, such as `3.3a`. Everything here needs at least 3.2.
    pub fn version(&self) -> Result<String, TmuxError> {
        let printed = self.run(&[TmuxCommand::with_name("-V")])?;
        Ok(printed.trim().trim_start_matches("tmux ").to_owned())
    }

    /// Refuses a default socket directory that another user put there, as tmux does when it finds
    /// the socket by itself: the server behind it would be theirs.
    pub(super) fn refuse_foreign_directory(&self) -> Result<(), TmuxError> {
        let Some(directory) = self.default_directory() else { return Ok(()) };
        match directory.symlink_metadata() {
            Ok(metadata) if metadata.uid() != getuid().as_raw() => Err(TmuxError::NotPermitted {
                message: format!("{} belongs to another user", directory.display()),
            }),
            _ => Ok(()),
        }
    }

    /// The directory of the socket, if it is one that tmux makes and owns (`tmux-UID`).
    pub(super) fn default_directory(&self) -> Option<&Path> {
        let directory = self.socket.parent()?;
        (directory.file_name()?.to_str()? == own_directory_name()).then_some(directory)
    }
}

/// `$TMUX` is `socket,server pid,session number`.
fn socket_in_tmux_variable(value: &OsString) -> Option<PathBuf> {
    let socket = value.to_str()?.split(',').next()?;
    (!socket.is_empty()).then(|| PathBuf::from(socket))
}

/// Where tmux keeps the sockets it is told the names of.
fn socket_named(tmux_tmpdir: Option<OsString>, name: &OsStr) -> PathBuf {
    let parent = tmux_tmpdir.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    parent.join(own_directory_name()).join(name)
}

fn own_directory_name() -> String {
    format!("tmux-{}", getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestServer;
    use super::*;

    #[test]
    fn the_environment_names_the_server() {
        let check = |env: &[(&str, &str)], socket: &str, program: &str| {
            let lookup =
                |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            let server = TmuxServer::resolve(lookup);
            assert_eq!(server.socket(), Path::new(socket), "{env:?}");
            assert_eq!(server.program, Path::new(program), "{env:?}");
        };
        let uid = getuid().as_raw();
        let default = format!("/tmp/tmux-{uid}/default");
        check(&[], &default, "tmux");
        check(&[("TMUX", ""), ("CONVEYOR_TMUX_SOCKET", ""), ("TMUX_TMPDIR", "")], &default, "tmux");
        check(&[("TMUX", ",1,2")], &default, "tmux");
        check(&[("TMUX_TMPDIR", "/run/me")], &format!("/run/me/tmux-{uid}/default"), "tmux");
        check(&[("TMUX", "/run/a b/s,123,0"), ("TMUX_TMPDIR", "/x")], "/run/a b/s", "tmux");
        check(&[("CONVEYOR_TMUX_SOCKET", "/p/s"), ("TMUX", "/other,1,0")], "/p/s", "tmux");
        check(&[("CONVEYOR_TMUX_SOCKET", "mine")], &format!("/tmp/tmux-{uid}/mine"), "tmux");
        check(
            &[("CONVEYOR_TMUX_SOCKET", "mine"), ("TMUX_TMPDIR", "/run/me")],
            &format!("/run/me/tmux-{uid}/mine"),
            "tmux",
        );
        check(&[("CONVEYOR_TMUX", "/opt/tmux")], &default, "/opt/tmux");
    }

    #[test]
    fn the_version_is_known_without_a_server() {
        let version = TestServer::new().version().unwrap();
        assert!(version.chars().any(|c| c.is_ascii_digit()) && !version.contains(' '), "{version}");
    }

    #[test]
    fn a_relative_socket_is_the_same_server_everywhere() {
        assert!(TmuxServer::at("s").socket().is_absolute());
    }

    #[test]
    fn only_tmux_s_own_directory_is_checked_for_its_owner() {
        let uid = getuid().as_raw();
        let own = PathBuf::from(format!("/x/tmux-{uid}"));
        assert_eq!(TmuxServer::at(own.join("default")).default_directory(), Some(own.as_path()));
        assert_eq!(TmuxServer::at("/x/elsewhere/default").default_directory(), None);
    }
}
