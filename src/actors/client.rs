//! The way to the supervisor: its socket, and a look at who answers there.

use std::os::unix::net::UnixStream as BlockingStream;

use rustix::process::getuid;
use tokio::net::UnixStream;

use super::paths::Paths;
use crate::domain::Failure;
use crate::own_dir::refuse_foreign;

/// Connects to the supervisor of a state root; `None` when none listens.
///
/// # Errors
/// When what is at its place may be somebody else's: nothing was sent there.
pub async fn connect_to_supervisor(paths: &Paths) -> Result<Option<UnixStream>, Failure> {
    refuse_foreign_run_dir(paths)?;
    let Ok(stream) = UnixStream::connect(paths.socket()).await else { return Ok(None) };
    // One that is gone again is none.
    let Ok(peer) = stream.peer_cred() else { return Ok(None) };
    refuse_stranger(paths, peer.uid(), getuid().as_raw())?;
    Ok(Some(stream))
}

/// As [`connect_to_supervisor`], for a plain thread.
///
/// # Errors
/// As [`connect_to_supervisor`].
pub fn connect_blocking(paths: &Paths) -> Result<Option<BlockingStream>, Failure> {
    let failed = |error: std::io::Error| Failure::external(format!("failed to use a socket: {error}"));
    // Only tokio asks after the other end's user on every system.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let Some(stream) = runtime.block_on(connect_to_supervisor(paths))? else { return Ok(None) };
    let stream = stream.into_std().map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    Ok(Some(stream))
}

/// Refuses a directory for the supervisor's socket and lock that another user could have put there.
///
/// # Errors
/// A refusal that says what is wrong with it.
pub fn refuse_foreign_run_dir(paths: &Paths) -> Result<(), Failure> {
    refuse_foreign(&paths.run_dir()).map_err(|error| {
        Failure::refused(format!(
            "the supervisor of {} is not looked for in {}: {error}",
            paths.state_root.display(),
            paths.run_dir().display()
        ))
        .hint("if it is yours, remove it; it is made again by `conveyor run --detach`")
        .hint("a state root with a shorter path needs none there: name one with CONVEYOR_STATE_ROOT")
    })
}

/// Whoever listens reads prompts and decides what the caller is told.
fn refuse_stranger(paths: &Paths, peer: u32, own: u32) -> Result<(), Failure> {
    if peer == own || peer == 0 {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{} is served by user {peer}, and this is user {own}: nothing was sent there",
        paths.socket().display()
    ))
    .hint("run the command as that user, or name a state root of your own with CONVEYOR_STATE_ROOT"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::domain::FailureKind;
    use crate::own_dir::{own_temporary, private_dir};

    #[test]
    fn only_the_user_and_root_are_talked_to() {
        let paths = Paths::of("/r".as_ref(), None);
        for (peer, own, expect) in [(7, 7, true), (0, 7, true), (8, 7, false), (7, 0, false)] {
            assert_eq!(refuse_stranger(&paths, peer, own).is_ok(), expect, "{peer} {own}");
        }
    }

    #[test]
    fn a_supervisor_is_reached_and_one_that_is_not_there_is_none() {
        let root = tempfile::TempDir::with_prefix_in("cv-", "/tmp").unwrap();
        let paths = Paths::of(root.path(), None);
        assert!(connect_blocking(&paths).unwrap().is_none());
        private_dir(&paths.run_dir()).unwrap();
        let _listener = UnixListener::bind(paths.socket()).unwrap();
        assert!(connect_blocking(&paths).unwrap().is_some());
    }

    #[test]
    fn whoever_listens_behind_a_link_is_not_talked_to() {
        let root = tempfile::TempDir::with_prefix_in("cv-", "/tmp").unwrap();
        let paths = Paths::of(&root.path().join("x".repeat(120)), None);
        let run_dir = paths.run_dir();
        private_dir(&own_temporary()).unwrap();
        symlink(root.path(), &run_dir).unwrap();
        let listener = UnixListener::bind(root.path().join("conveyor.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let connected = connect_blocking(&paths);
        std::fs::remove_file(&run_dir).unwrap();
        let refused = connected.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Refused);
        assert!(refused.message.ends_with("is no directory"), "{refused}");
        assert!(listener.accept().is_err(), "nobody came");
    }
}
