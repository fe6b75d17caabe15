//! A bracketed paste into the session's pane, then Enter.
//!
//! The pane is read before anything is typed, and again before each Enter: a screen that asks
//! something is reported, never answered.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustix::fs::OFlags;
use serde_json::json;

use super::{Letter, NotReady, Sending, Transport};
use crate::actors::blocking::blocking;
use crate::actors::foreground::program_reads;
use crate::actors::liveness::{Watched, processes_of};
use crate::actors::pane_class::classify_view;
use crate::actors::tmux::{Terminal, TerminalError};
use crate::codex::exit::Process;
use crate::codex::pane::{PaneClass, composer_text};
use crate::domain::OriginHeader;
use crate::domain::shell::quoted;
use crate::domain::transport::TransportKind;
use crate::fault::Point;
use crate::store::sessions::{LinkedSession, Session};
use crate::tmux::{KeyName, Pane, PaneId, PaneView};

/// Codex takes a paste as one event; an Enter in the same instant would become a line break in it.
const SETTLE: Duration = Duration::from_millis(100);

/// How often Enter is pressed while the text still stands in the composer.
const MAX_ENTERS: u32 = 4;

/// How long an Enter gets to take effect before the composer is looked at again.
const ENTER_PATIENCE: Duration = Duration::from_millis(700);

/// How long another process may type into the pane before this gives up: longer than a text takes.
const OTHERS_PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks whether it still does.
const OTHERS_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Pushes into a pane.
pub struct TmuxTransport {
    /// The tmux server.
    terminal: Terminal,
    /// The pane. One and the same is looked at and typed into, whichever becomes the active one.
    pane: PaneId,
    /// The target's tmux session as it was recorded, for the report.
    session: String,
    /// Who is to read what is typed there.
    reader: Reader,
}

/// The program that is to read what is typed into a pane.
#[derive(Clone)]
enum Reader {
    /// One of the processes that the session was registered with.
    Registered {
        /// The processes.
        processes: Vec<Process>,
        /// Registers the session again.
        register: String,
    },
    /// What the pane was started with.
    StartedThere,
}

impl TmuxTransport {
    /// Pushes into `pane`, which is that of a registered session.
    pub fn new(terminal: Terminal, pane: PaneId, linked: &LinkedSession) -> Self {
        let Session { name, role, tmux_session, .. } = &linked.session;
        let session = tmux_session.clone().unwrap_or_default();
        let register = format!(
            "conveyor register-{role} --name {} --pid PID --tmux-session {}",
            quoted(name),
            quoted(&session)
        );
        let processes = processes_of(linked).into_iter().map(Watched::into_process).collect();
        Self { terminal, pane, session, reader: Reader::Registered { processes, register } }
    }

    /// Pushes into `pane` of a tmux session that was made for the program in it.
    pub fn unregistered(terminal: Terminal, pane: PaneId, session: String) -> Self {
        Self { terminal, pane, session, reader: Reader::StartedThere }
    }

    /// Types a text that begins with `header` and submits it, if it is taken now.
    pub async fn tell(&self, text: String, header: &str) -> Sending {
        match self.make_ready().await {
            Ok(()) => self.push(text, header).await,
            Err(not_ready) => Sending::NotSent(not_ready.error),
        }
    }

    async fn look(&self) -> Result<(PaneView, PaneClass), TerminalError> {
        let view = self.terminal.view(self.pane.into(), 0).await?;
        let class = classify_view(&view);
        Ok((view, class))
    }

    async fn make_ready(&self) -> Result<(), NotReady> {
        let (view, class) = self.look().await.map_err(|error| NotReady::closed(error.to_string()))?;
        let not_ready = |error: String, asks_a_person| {
            Err(NotReady { error, pane_class: Some(class.to_string()), asks_a_person })
        };
        if view.pane.dead {
            return not_ready(format!("the program in tmux session {} has exited", self.session), false);
        }
        if let Some(shell) = self.shell_in_front(&view.pane).await {
            return not_ready(shell, false);
        }
        if matches!(class, PaneClass::Dead(_)) {
            return not_ready(format!("nobody works behind tmux session {} ({class})", self.session), false);
        }
        if class.blocks_paste() {
            return not_ready(
                format!("tmux session {} shows a screen that takes no message ({class})", self.session),
                true,
            );
        }
        // A message of ours is no obstacle: it is submitted before the next one.
        if draft(&view).is_some_and(|draft| !OriginHeader::begins(&draft)) {
            return not_ready(self.stands_typed("a draft"), true);
        }
        Ok(())
    }

    fn stands_typed(&self, what: &str) -> String {
        format!("{what} stands typed but not submitted in the composer of tmux session {}", self.session)
    }

    /// Why what is typed would be run by a shell, unless the program that is to read it does.
    async fn shell_in_front(&self, pane: &Pane) -> Option<String> {
        if !pane.shows_shell() {
            return None;
        }
        let (reader, pane_pid) = (self.reader.clone(), pane.pid);
        // Whoever cannot look has seen no program.
        if blocking(move || reader.reads(pane_pid)).await.unwrap_or(false) {
            return None;
        }
        Some(format!(
            "the shell {} stands in the foreground of tmux session {} and would run the text: {}",
            pane.program,
            self.session,
            self.reader.missing()
        ))
    }

    /// Waits until no process types into the pane, and keeps the others out until what this gives is dropped:
    /// two texts typed at once would be one message. All lock the pane's own terminal, whatever state root
    /// they are of; none is locked where that is not to be had.
    async fn alone(&self) -> Result<Option<File>, String> {
        let (view, _) = self.look().await.map_err(|error| error.to_string())?;
        let terminal = match blocking(move || open_terminal(&view.pane.tty)).await {
            Ok(Ok(terminal)) => terminal,
            Ok(Err(error)) => {
                tracing::debug!(%error, session = self.session, "a terminal cannot be locked");
                return Ok(None);
            }
            Err(failure) => return Err(failure.message),
        };
        let deadline = tokio::time::Instant::now() + OTHERS_PATIENCE;
        loop {
            match terminal.try_lock() {
                Ok(()) => return Ok(Some(terminal)),
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, session = self.session, "a terminal cannot be locked");
                    return Ok(None);
                }
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                    return Err(format!("another process is typing into tmux session {}", self.session));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(OTHERS_LOOK_INTERVAL).await,
            }
        }
    }

    /// Types a text that begins with `header`, behind what stands typed already, and submits it.
    async fn push(&self, text: String, header: &str) -> Sending {
        let _alone = match self.alone().await {
            Ok(alone) => alone,
            Err(error) => return Sending::NotSent(error),
        };
        match self.submit_leftover().await {
            Ok(()) => self.type_in(text, header).await,
            Err(error) => Sending::NotSent(error),
        }
    }

    /// Submits a message of ours that somebody typed and died before pressing Enter. That it is
    /// complete and still stands there is the evidence; its own receipt settles it.
    async fn submit_leftover(&self) -> Result<(), String> {
        let (view, _) = self.look().await.map_err(|error| error.to_string())?;
        if let Some(draft) = draft(&view)
            && OriginHeader::begins(&draft)
            && let Sending::NotSent(error) | Sending::Unknown { error, .. } =
                self.submit(draft.lines().next().unwrap_or_default()).await
        {
            return Err(format!("{}: {error}", self.stands_typed("an earlier message of conveyor")));
        }
        // The screen may have changed while this waited, or by what was submitted.
        self.make_ready().await.map_err(|not_ready| not_ready.error)
    }

    /// Types a command of Codex itself, which it takes only as the whole line and between two turns.
    pub async fn send_command(&self, line: &str) -> Sending {
        let _alone = match self.alone().await {
            Ok(alone) => alone,
            Err(error) => return Sending::NotSent(error),
        };
        if let Err(not_ready) = self.make_ready().await {
            return Sending::NotSent(not_ready.error);
        }
        match self.look().await {
            Ok((view, _)) if draft(&view).is_some() => {
                Sending::NotSent(self.stands_typed("an earlier message of conveyor"))
            }
            Ok((_, PaneClass::Idle | PaneClass::IdleError)) => self.type_in(line.to_owned(), line).await,
            Ok((_, class)) => Sending::NotSent(format!(
                "tmux session {} shows no Codex between two turns ({class})",
                self.session
            )),
            Err(error) => Sending::NotSent(error.to_string()),
        }
    }

    /// Types a text that begins with `header`, and submits it.
    async fn type_in(&self, text: String, header: &str) -> Sending {
        let loaded = match self.terminal.load(self.pane.into(), text).await {
            Ok(loaded) => loaded,
            Err(error) => return Sending::NotSent(error.to_string()),
        };
        if let Err(error) = self.terminal.paste(loaded).await {
            return if error.effect_unknown() {
                Sending::Unknown { error: error.to_string(), pane_class: None }
            } else {
                Sending::NotSent(error.to_string())
            };
        }
        Point::PushTyped.reach();
        self.submit(header).await
    }

    /// Presses Enter until the text has left the composer.
    async fn submit(&self, header: &str) -> Sending {
        for _ in 0..MAX_ENTERS {
            tokio::time::sleep(SETTLE).await;
            match self.look().await {
                Ok((_, class)) if class.blocks_paste() => {
                    return Sending::Unknown {
                        error: format!(
                            "the text was typed, then the screen began to ask something ({class}); Enter was not pressed"
                        ),
                        pane_class: Some(class.to_string()),
                    };
                }
                Ok((view, class)) => {
                    if let Some(shell) = self.shell_in_front(&view.pane).await {
                        return Sending::Unknown {
                            error: format!("the text was typed, Enter was not pressed: {shell}"),
                            pane_class: Some(class.to_string()),
                        };
                    }
                }
                Err(error) => return Sending::Unknown { error: error.to_string(), pane_class: None },
            }
            if let Err(error) = self.terminal.press(self.pane.into(), KeyName::enter()).await {
                return Sending::Unknown {
                    error: format!("the text was typed but Enter failed: {error}"),
                    pane_class: None,
                };
            }
            match self.has_left_the_composer(header).await {
                Ok(true) => return Sending::Sent(json!({"pane": self.pane.to_string()})),
                Ok(false) => {}
                Err(error) => {
                    return Sending::Unknown {
                        error: format!("Enter was pressed, and what came of it could not be seen: {error}"),
                        pane_class: None,
                    };
                }
            }
        }
        Sending::Unknown {
            error: format!("the text stands typed but not submitted in tmux session {}", self.session),
            pane_class: self.look().await.ok().map(|(_, class)| class.to_string()),
        }
    }

    async fn has_left_the_composer(&self, header: &str) -> Result<bool, TerminalError> {
        let deadline = tokio::time::Instant::now() + ENTER_PATIENCE;
        loop {
            let (view, _) = self.look().await?;
            if !composer_text(&view.text).is_some_and(|text| begins_like(&text, header)) {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Reader {
    /// Whether it reads what is typed into the pane that `pane_pid` was started in. Blocks.
    fn reads(&self, pane_pid: u32) -> bool {
        let Self::Registered { processes, .. } = self else { return program_reads(pane_pid, &[pane_pid]) };
        let running = processes.iter().filter(|process| process.is_running());
        let mut pids: Vec<u32> = running.filter_map(|process| process.pid.try_into().ok()).collect();
        if pids.is_empty() {
            return false;
        }
        // The registered process may be a server elsewhere, and the pane's own a mere script.
        pids.push(pane_pid);
        program_reads(pane_pid, &pids)
    }

    /// Why it does not read, and what helps.
    fn missing(&self) -> String {
        let Self::Registered { processes, register } = self else {
            return "its program has exited".to_owned();
        };
        let pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
        let missing = if pids.is_empty() {
            "no program is registered for it".to_owned()
        } else {
            format!("the program that was registered (process {}) does not read there", pids.join(", "))
        };
        format!("{missing}; when Codex runs there: `{register}`")
    }
}

/// Opens a terminal without taking it over, and reads nothing from it.
fn open_terminal(tty: &Path) -> io::Result<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(tty)
}

/// What stands typed but not submitted, if anything does.
fn draft(view: &PaneView) -> Option<String> {
    composer_text(&view.text).filter(|draft| !draft.trim().is_empty())
}

/// The composer wraps long lines, so only as much as fits its first line can be compared.
fn begins_like(composer: &str, header: &str) -> bool {
    let first_line = composer.lines().next().unwrap_or_default().trim_end();
    !first_line.is_empty() && (header.starts_with(first_line) || first_line.starts_with(header))
        || composer.starts_with("[Pasted Content")
}

impl Transport for TmuxTransport {
    fn kind(&self) -> TransportKind {
        TransportKind::Tmux
    }

    fn ready(&self) -> LocalBoxFuture<'_, Result<(), NotReady>> {
        self.make_ready().boxed_local()
    }

    fn send<'a>(&'a self, letter: &'a Letter) -> LocalBoxFuture<'a, Sending> {
        async { self.push(letter.origin.before(&letter.text), &letter.origin.to_string()).await }
            .boxed_local()
    }
}
