//! A private tmux server for one test.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Pane, SessionName, SpawnOptions, Target, TmuxServer};

/// How long a test waits for something that takes milliseconds on an idle machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A tmux server on a socket in a directory of its own; both go away with the value.
pub(super) struct TestServer {
    server: TmuxServer,
    directory: TempDir,
}

impl TestServer {
    /// A server without configuration that starts with its first session.
    pub(super) fn new() -> Self {
        let found = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
        assert!(found.is_ok(), "these tests need tmux: `apt-get install tmux` or `brew install tmux`");
        let directory = TempDir::new().unwrap();
        let server =
            TmuxServer::at(directory.path().join("s")).with_config("/dev/null").with_deadline(PATIENCE);
        Self { server, directory }
    }

    /// A path in the server's directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What starts `argv` in a session `name`.
    pub(super) fn options(&self, name: &str, argv: &[&str]) -> SpawnOptions {
        let argv = argv.iter().map(|argument| (*argument).to_owned()).collect();
        SpawnOptions::new(session_name(name), self.directory.path(), argv)
    }

    /// Starts `argv` in a session `name`.
    pub(super) fn start(&self, name: &str, argv: &[&str]) -> Pane {
        self.new_session(&self.options(name, argv)).unwrap()
    }

    /// Starts a program that asks for bracketed paste, as Codex does, and writes every byte it is
    /// sent to a file.
    pub(super) fn start_sink(&self, name: &str) -> Sink {
        let file = self.path(&format!("{name}.received"));
        let script = r#"stty raw -echo; printf '\033[?2004hready'; exec cat > "$0""#;
        let pane = self.start(name, &["sh", "-c", script, file.to_str().unwrap()]);
        let target = Target::from(pane.id);
        wait_for("the sink to start", || self.capture(&target, 0).unwrap().contains("ready").then_some(()));
        Sink { target, file }
    }
}

impl Deref for TestServer {
    type Target = TmuxServer;

    fn deref(&self) -> &TmuxServer {
        &self.server
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It may never have been started, or have ended with its last session.
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(self.server.socket())
            .arg("kill-server")
            .stderr(Stdio::null())
            .status();
    }
}

/// A program that keeps what it is sent.
pub(super) struct Sink {
    /// Its pane.
    pub(super) target: Target,
    file: PathBuf,
}

impl Sink {
    /// Waits until `end` was received, and returns everything received.
    pub(super) fn received_up_to(&self, end: &str) -> String {
        wait_for("the text to arrive", || {
            let received = String::from_utf8(fs::read(&self.file).ok()?).ok()?;
            received.ends_with(end).then_some(received)
        })
    }
}

/// Asks until there is an answer.
pub(super) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A session name that is known to be good.
pub(super) fn session_name(name: &str) -> SessionName {
    SessionName::new(name).unwrap()
}
