//! Where the socket of a private app-server lives.

use crate::{domain::digest::sha256, own_dir::private_dir};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The socket of `session`'s app-server in `run_dir`. Its file name always has the length of
/// `app-server-00000000.sock`, and the same arguments always give the same path.
pub fn socket_path(run_dir: &Path, session: &str) -> PathBuf {
    run_dir.join(format!("app-server-{}.sock", &sha256(session)[..8]))
}

/// Makes sure that the directory of `socket` exists and that nobody else can enter it.
///
/// # Errors
/// When it cannot be made, is no directory, or belongs to somebody else.
pub(super) fn prepare_socket_dir(socket: &Path) -> io::Result<()> {
    let dir = socket.parent().ok_or_else(|| io::Error::other("a socket needs a directory"))?;
    private_dir(dir)?;
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is a link, not a directory"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to user {}", found.uid())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::HashSet,
        fs::Permissions,
        os::unix::fs::{PermissionsExt, symlink},
    };

    #[test]
    fn every_session_has_a_path_of_the_same_length() {
        let path = |session: &str| socket_path(Path::new("/r"), session);
        let sessions = ["worker", "manager", "", "../escape", "with space"];
        let paths: HashSet<_> = sessions.iter().map(|session| path(session)).collect();
        assert_eq!(paths.len(), sessions.len());
        for path in paths {
            assert_eq!(path.to_str().unwrap().len(), "/r/app-server-00000000.sock".len());
            assert_eq!(path.parent(), Some(Path::new("/r")));
        }
        assert_eq!(path("worker"), path("worker"));
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
