//! Where the socket of a private app-server lives.

use sha2::{Digest, Sha256};
use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// The longest path a Unix socket may have on every supported system: macOS allows 104 bytes with
/// the final NUL, Linux 108.
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// The socket of `session`'s app-server: `run/<session>.sock` in the state root, or a short name
/// below `/tmp/conveyor-<uid>` where that is too long for a socket or `session` is no plain name.
///
/// The same arguments always give the same path. `state_root` must be absolute.
pub fn socket_path(state_root: &Path, session: &str) -> PathBuf {
    if is_plain_name(session) {
        let path = state_root.join("run").join(format!("{session}.sock"));
        if path.as_os_str().len() <= MAX_SOCKET_PATH_BYTES {
            return path;
        }
    }
    let uid = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/tmp/conveyor-{uid}/{}.sock", short_hash(state_root, session)))
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(plain)
}

fn short_hash(state_root: &Path, session: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(state_root.as_os_str().as_bytes());
    hasher.update([0]);
    hasher.update(session.as_bytes());
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes sure that the directory of `socket` exists and that nobody else can enter it.
///
/// # Errors
/// When it cannot be made, is no directory, or belongs to somebody else.
pub(super) fn prepare_socket_dir(socket: &Path) -> io::Result<()> {
    let dir = socket.parent().ok_or_else(|| io::Error::other("a socket needs a directory"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is a link, not a directory"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to user {}", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn sockets_stay_in_the_state_root_while_they_fit() {
        fn check(state_root: &str, session: &str, stays: bool) {
            let path = socket_path(Path::new(state_root), session);
            assert_eq!(path.starts_with(state_root), stays, "{}", path.display());
            assert!(path.as_os_str().len() <= MAX_SOCKET_PATH_BYTES, "{}", path.display());
            assert_eq!(path, socket_path(Path::new(state_root), session));
        }
        check("/home/me/project/.codex-workers", "worker-1", true);
        check("/home/me/project/.codex-workers", "../escape", false);
        check("/home/me/project/.codex-workers", "", false);
        check("/home/me/project/.codex-workers", "with space", false);
        check(&format!("/{}", "d".repeat(200)), "worker-1", false);
        check("/r", &"n".repeat(200), false);
        let exact = MAX_SOCKET_PATH_BYTES - "/run/w.sock".len();
        check(&format!("/{}", "d".repeat(exact - 1)), "w", true);
        check(&format!("/{}", "d".repeat(exact)), "w", false);
    }

    #[test]
    fn sessions_and_state_roots_do_not_share_a_short_path() {
        let long = format!("/{}", "d".repeat(200));
        let path = |root: &str, session: &str| socket_path(Path::new(root), session);
        assert_ne!(path(&long, "a"), path(&long, "b"));
        assert_ne!(path(&long, "a"), path(&format!("{long}x"), "a"));
        assert_ne!(path(&format!("{long}a"), "b"), path(&long, "ab"));
    }

    #[test]
    fn the_directory_is_private_and_ours() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("a/run");
        prepare_socket_dir(&run.join("w.sock")).unwrap();
        let mode = || fs::metadata(&run).unwrap().mode() & 0o777;
        assert_eq!(mode(), 0o700);

        fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
        prepare_socket_dir(&run.join("w.sock")).unwrap();
        assert_eq!(mode(), 0o700);

        let link = root.path().join("link");
        symlink(&run, &link).unwrap();
        assert!(prepare_socket_dir(&link.join("w.sock")).is_err());
    }
}
