//! The terminal that a session is started in, watched until it is up.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::actors::blocking::blocking;
use crate::actors::pane_class::classify_view;
use crate::codex::launch::LAUNCHER_VARIABLES;
use crate::codex::pane::{Block, PaneClass};
use crate::domain::Failure;
use crate::tmux::{KeyName, Pane, PaneView, SessionName, SpawnOptions, Target, TmuxError, TmuxServer};

use super::leftovers::LAUNCH_VARIABLE;
use super::plan::Plan;
use super::progress;

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// How long a screen must ask something before it counts: a half-drawn one may look like it.
const ASKS_FOR: Duration = Duration::from_secs(1);

/// How long an Enter may take to be seen before it is pressed again.
const ENTER_TAKES: Duration = Duration::from_secs(2);

/// Lines of scroll-back that are read of a program that has ended.
const SCROLL_BACK: u32 = 50;

/// What tmux writes when a program has ended.
const TMUX_EPITAPH: &str = "Pane is dead";

/// The lines of a screen that are shown in an error.
const SHOWN_LINES: usize = 20;

/// The pane of a session that is starting.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    server: TmuxServer,
    session: SessionName,
    /// The pane as it was at the start.
    pub(super) pane: Pane,
}

/// What is seen of a pane.
#[derive(Debug)]
pub(super) struct Sight {
    /// What Codex shows.
    pub(super) class: PaneClass,
    screen: String,
    dead: bool,
    exit_status: Option<i32>,
}

/// How waiting for a session ended.
#[derive(Debug)]
pub(super) enum Awaited<T> {
    /// It is up.
    Up(T),
    /// The time is up, and the program still runs.
    Late(Failure),
}

/// What a watched screen asked, since when, and when it was answered.
#[derive(Debug, Default)]
struct Asking {
    since: Option<(Block, Instant)>,
    answered: Option<Instant>,
}

/// Refuses a name that is taken, before anything is started.
pub(super) async fn refuse_taken(server: &TmuxServer, session: &SessionName) -> Result<(), Failure> {
    let (server, name) = (server.clone(), session.clone());
    match blocking(move || server.has_session(&name)).await? {
        Ok(false) => Ok(()),
        Ok(true) => Err(TmuxError::SessionExists { name: session.to_string() }.into()),
        Err(error @ TmuxError::NoProgram { .. }) => {
            Err(Failure::from(error).hint("or start the session without a terminal: --no-tmux"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends a session and what runs in it. One that is gone is as good as ended.
pub(super) async fn end(server: TmuxServer, session: SessionName) -> Result<(), Failure> {
    match blocking(move || server.kill_session(&session)).await? {
        Err(TmuxError::NoSession { .. }) => Ok(()),
        Err(error) if error.server_absent() => Ok(()),
        ended => Ok(ended?),
    }
}

impl Terminal {
    /// Opens a terminal that runs `argv`. Its last screen stays until [`Terminal::settle`].
    pub(super) async fn open(
        plan: &Plan,
        server: &TmuxServer,
        session: &SessionName,
        argv: Vec<OsString>,
    ) -> Result<Self, Failure> {
        progress(format_args!("opening the terminal {session}"));
        let argv = argv.into_iter().map(OsString::into_string).collect::<Result<_, _>>();
        let argv = argv.map_err(|word| Failure::usage(format!("{word:?} is not UTF-8, which tmux needs")))?;
        let options = SpawnOptions {
            env: [&plan.variables[..], &[(LAUNCH_VARIABLE.to_owned(), plan.id.clone())]].concat(),
            unset_env: LAUNCHER_VARIABLES.iter().map(|name| (*name).to_owned()).collect(),
            keep_dead_pane: true,
            ..SpawnOptions::new(session.clone(), &plan.cwd, argv)
        };
        let opener = server.clone();
        let pane = blocking(move || opener.new_session(&options)).await??;
        Ok(Self { server: server.clone(), session: session.clone(), pane })
    }

    /// From now on the terminal closes when its program ends.
    pub(super) async fn settle(&self) {
        let (server, target) = (self.server.clone(), self.target());
        if let Ok(Err(error)) = blocking(move || server.keep_dead_pane(&target, false)).await {
            tracing::debug!(%error, "the terminal will keep its last screen");
        }
    }

    /// Looks until `is_up` finds what it waits for.
    ///
    /// # Errors
    /// When the program ended, or asks something that only a person may answer.
    pub(super) async fn wait<T>(
        &self,
        plan: &Plan,
        mut is_up: impl AsyncFnMut(&Sight) -> Result<Option<T>, Failure>,
    ) -> Result<Awaited<T>, Failure> {
        let mut asking = Asking::default();
        loop {
            plan.go_on()?;
            let sight = self.look().await?;
            if sight.dead {
                return Err(sight.ended());
            }
            if let Some(found) = is_up(&sight).await? {
                return Ok(Awaited::Up(found));
            }
            self.answer(&sight, plan.accept_trust, &mut asking).await?;
            if plan.is_late() {
                return Ok(Awaited::Late(self.late(plan, &sight)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn look(&self) -> Result<Sight, Failure> {
        let view = self.view(0).await?;
        let class = classify_view(&view);
        // What tmux writes below a program's last words moves the first of them off the screen.
        let view = if view.pane.dead { self.view(SCROLL_BACK).await? } else { view };
        Ok(Sight { class, dead: view.pane.dead, exit_status: view.pane.exit_status, screen: view.text })
    }

    async fn view(&self, history_lines: u32) -> Result<PaneView, Failure> {
        let (server, target) = (self.server.clone(), self.target());
        match blocking(move || server.view(&target, history_lines)).await? {
            Ok(view) => Ok(view),
            Err(TmuxError::NoSession { .. }) => Err(self.closed()),
            Err(error) if error.server_absent() => Err(self.closed()),
            Err(error) => Err(error.into()),
        }
    }

    fn closed(&self) -> Failure {
        Failure::external(format!("the terminal {} was closed by somebody", self.session))
    }

    /// Presses Enter at a trust screen, if that is allowed. Every other question is a failure.
    async fn answer(&self, sight: &Sight, accept_trust: bool, asking: &mut Asking) -> Result<(), Failure> {
        let PaneClass::Blocked(block) = sight.class else {
            asking.since = None;
            return Ok(());
        };
        let since = match asking.since {
            Some((asked, since)) if asked == block => since,
            _ => asking.since.insert((block, Instant::now())).1,
        };
        if since.elapsed() < ASKS_FOR {
            return Ok(());
        }
        if block != Block::Trust || !accept_trust {
            return Err(sight.asks(block));
        }
        if asking.answered.is_none_or(|at| at.elapsed() > ENTER_TAKES) {
            progress("accepting that Codex trusts the directory");
            let (server, target) = (self.server.clone(), self.target());
            blocking(move || server.send_key(&target, &KeyName::enter())).await??;
            asking.answered = Some(Instant::now());
        }
        Ok(())
    }

    fn late(&self, plan: &Plan, sight: &Sight) -> Failure {
        let seconds = plan.timeout.as_secs();
        Failure::unknown(format!(
            "no Codex session showed up in the terminal {} within {seconds} s{}",
            self.session,
            sight.shown()
        ))
        .hint(format!("it still runs; see it: {}", plan.attach_command().unwrap_or_default()))
        .hint(format!(
            "register it when it is up, with --pid {} --tmux-session {}",
            self.pane.pid, self.session
        ))
        .hint("or end it, and try again with a longer --timeout-seconds")
    }

    fn target(&self) -> Target {
        self.pane.id.into()
    }
}

impl Sight {
    fn ended(&self) -> Failure {
        let status = self.exit_status.map(|status| format!(" with exit status {status}")).unwrap_or_default();
        Failure::external(format!("Codex ended at once{status}{}", self.shown()))
            .hint("run it by hand to see more: codex")
    }

    fn asks(&self, block: Block) -> Failure {
        let class = PaneClass::Blocked(block);
        let failure = Failure::refused(format!("Codex asks something first ({class}){}", self.shown()));
        match block {
            Block::Trust => failure.hint("if you trust the directory, add --accept-trust"),
            Block::Update => failure.hint("update Codex, or answer once by hand: codex"),
            _ => failure.hint("answer it once by hand: codex"),
        }
    }

    /// The end of the screen, to stand behind a sentence.
    fn shown(&self) -> String {
        let says = |line: &&str| !line.trim().is_empty() && !line.starts_with(TMUX_EPITAPH);
        let lines: Vec<&str> = self.screen.lines().filter(says).collect();
        if lines.is_empty() {
            return "; its terminal shows nothing".to_owned();
        }
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("; its terminal shows:\n    {}", shown.join("\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(screen: &str, exit_status: Option<i32>) -> Sight {
        Sight { class: PaneClass::Unknown, screen: screen.into(), dead: true, exit_status }
    }

    #[test]
    fn an_end_is_told_with_the_last_screen() {
        let failure =
            sight("error: unexpected argument '-a'\n\n  usage: codex\nPane is dead (status 2, …)\n", Some(2))
                .ended();
        assert_eq!(
            failure.message,
            "Codex ended at once with exit status 2; its terminal shows:\n    \
             error: unexpected argument '-a'\n      usage: codex"
        );
        assert!(sight("", None).ended().message.ends_with("its terminal shows nothing"));
        let long = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        let failure = sight(&long, None).ended();
        assert!(!failure.message.contains("line 79\n") && failure.message.contains("line 80\n"));
    }

    #[test]
    fn a_question_is_told_with_what_to_do() {
        let check = |block: Block, hint: &str| {
            let failure = sight("Trust this folder?", None).asks(block);
            assert!(failure.message.contains("Trust this folder?"), "{failure:?}");
            assert!(failure.hints[0].contains(hint), "{failure:?}");
        };
        check(Block::Trust, "--accept-trust");
        check(Block::Update, "update Codex");
        check(Block::Hooks, "by hand");
    }
}
