//! Showing a session in a window of the user's own terminal program. Everything here blocks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codex::install::on_path;
use crate::domain::Failure;
use crate::domain::shell::{command_line, quoted};
use crate::tmux::{Desk, SessionName, Target, TerminalApp, TmuxError, TmuxServer, Window};

/// How long a window may take to show the session.
const OPENS: Duration = Duration::from_secs(10);

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Where macOS keeps Ghostty.
const GHOSTTY: &str = "/Applications/Ghostty.app";

/// How a window is to be opened.
#[derive(Debug, Clone, Copy, Args, Serialize, Deserialize, JsonSchema)]
pub struct WindowOptions {
    /// The terminal program
    #[arg(long, default_value_t = TerminalApp::Auto)]
    pub terminal: TerminalApp,
    /// Only say what would be run
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
    /// Open it even if somebody looks at the session already
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// What became of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The session's tmux session.
    pub tmux_session: String,
    /// Shows it by hand.
    pub attach_command: String,
    /// The terminal program, when there is one.
    pub terminal: Option<String>,
    /// What opens the window.
    pub command: Option<Vec<String>>,
    /// It was to be said only.
    pub dry_run: bool,
    /// The terminal program was started.
    pub opened: bool,
    /// tmux has seen that the window shows the session.
    pub attached: bool,
    /// Why there is no window.
    pub reason: Option<String>,
}

/// The command that shows a session in the terminal it is typed in, with the caller's environment.
pub fn attach_command(server: &TmuxServer, session: &SessionName) -> String {
    let plain = TmuxServer::resolve(|name| std::env::var_os(name).filter(|_| name != "CONVEYOR_TMUX_SOCKET"));
    let socket = if *server.socket() == *plain.socket() {
        String::new()
    } else {
        format!(" -S {}", quoted(&server.socket().to_string_lossy()))
    };
    format!("tmux{socket} attach -t {}", quoted(&format!("={session}")))
}

/// Opens a window on a session. That none could be opened is an answer.
///
/// # Errors
/// When the session does not run, or somebody looks at it already.
pub fn show(server: &TmuxServer, session: &SessionName, options: WindowOptions) -> Result<Shown, Failure> {
    let attached_before = clients(server, session)?;
    if attached_before > 0 && !options.force && !options.dry_run {
        return Err(Failure::refused(format!("tmux session {session} is shown in a terminal already"))
            .hint("open another window all the same: add --force"));
    }
    let nothing = Shown { dry_run: options.dry_run, ..Shown::nothing(server, session) };
    let window = match desk().window(options.terminal, attach_words(server, session)) {
        Ok(window) => window,
        Err(problem) => return Ok(Shown { reason: Some(problem.to_string()), ..nothing }),
    };
    let planned =
        Shown { terminal: Some(window.program.clone()), command: Some(text(&window.argv)), ..nothing };
    if options.dry_run {
        return Ok(planned);
    }
    match open(&window, || Ok(clients(server, session)? > attached_before)) {
        Ok(attached) => Ok(Shown { opened: true, attached, ..planned }),
        Err(failure) => Ok(Shown { reason: Some(failure.message), ..planned }),
    }
}

impl Shown {
    /// No window, for this reason.
    pub fn failed(server: &TmuxServer, session: &SessionName, failure: Failure) -> Self {
        Self { reason: Some(failure.message), ..Self::nothing(server, session) }
    }

    fn nothing(server: &TmuxServer, session: &SessionName) -> Self {
        Self {
            tmux_session: session.to_string(),
            attach_command: attach_command(server, session),
            terminal: None,
            command: None,
            dry_run: false,
            opened: false,
            attached: false,
            reason: None,
        }
    }

    /// The command that opens the window, as it would be typed.
    pub fn command_line(&self) -> Option<String> {
        self.command.as_deref().map(command_line)
    }
}

/// What this machine has, as this process's environment tells.
fn desk() -> Desk<'static> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Desk {
        macos: cfg!(target_os = "macos"),
        ghostty_app: Path::new(GHOSTTY).exists(),
        display: variable("DISPLAY").or_else(|| variable("WAYLAND_DISPLAY")).is_some(),
        terminal: variable("TERMINAL"),
        find: &on_path,
    }
}

/// A terminal program may look for tmux elsewhere than this process does.
fn attach_words(server: &TmuxServer, session: &SessionName) -> Vec<OsString> {
    let mut words = server.attach_words(session);
    if let Some(tmux) = words.first_mut() {
        *tmux = on_path(&PathBuf::from(&*tmux)).map_or_else(|| tmux.clone(), PathBuf::into_os_string);
    }
    words
}

fn clients(server: &TmuxServer, session: &SessionName) -> Result<u32, Failure> {
    match server.pane(&Target::from(session.clone())) {
        Ok(pane) => Ok(pane.attached_clients),
        Err(error) if matches!(error, TmuxError::NoSession { .. }) || error.server_absent() => {
            Err(Failure::refused(format!("tmux session {session} does not exist"))
                .hint("see what runs: `conveyor sessions`, `conveyor list`"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Starts the terminal program, and gives whether the session was seen to be shown.
fn open(window: &Window, is_shown: impl Fn() -> Result<bool, Failure>) -> Result<bool, Failure> {
    let failed = |problem: String| Failure::external(format!("{} failed: {problem}", window.program));
    let mut program = window.open().map_err(|error| failed(error.to_string()))?;
    let deadline = Instant::now() + OPENS;
    loop {
        if is_shown()? {
            return Ok(true);
        }
        if let Some(status) = bad_end(&mut program) {
            return Err(failed(format!("it ended with {status}")));
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
}

/// How the terminal program failed, if it did. Some hand the window to another process and end well.
fn bad_end(program: &mut Child) -> Option<String> {
    let status = program.try_wait().ok()??;
    (!status.success()).then(|| status.to_string())
}

fn text(words: &[OsString]) -> Vec<String> {
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}
