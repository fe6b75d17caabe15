//! `conveyor top`: all pairs, live.

mod keys;
mod rows;
mod screen;
mod view;

use std::io::{IsTerminal, stdout};
use std::time::Instant;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::connection::Connection;
use super::output::Output;
use super::show::Show;
use super::table::aligned;
use crate::actors::Caller;
use crate::actors::calls::act::{SessionInterruptArgs, SessionNudgeArgs};
use crate::actors::calls::cycle::CycleArgs;
use crate::actors::calls::top::TopArgs;
use crate::actors::paths::Paths;
use crate::domain::Failure;
use crate::domain::busy_wait::DEFAULT_BUSY_WAIT_SECONDS;
use crate::store::top::TopFrame;
use crate::tmux::TmuxServer;

use keys::Deed;
use screen::Screen;

impl Show for TopArgs {
    fn text(&self, frame: &TopFrame) -> Option<String> {
        let rows: Vec<_> = frame.pairs.iter().map(rows::cells).collect();
        Some([vec![rows::heading(frame)], aligned(rows::HEAD, &rows)].concat().join("\n"))
    }
}

/// Whether there is somebody to watch.
pub(super) fn is_watched(args: &TopArgs, output: &Output) -> bool {
    !args.once && !output.is_json() && stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// Shows the pairs until the person has seen enough.
pub(super) fn watch(args: &TopArgs, paths: &Paths, caller: &Caller) -> Result<u8, Failure> {
    let calls = Calls { args, paths, caller };
    let mut screen = Screen::new(calls.look()?);
    let mut terminal = ratatui::init();
    let watched = calls.follow(&mut terminal, &mut screen);
    ratatui::restore();
    watched.map(|()| 0)
}

/// The calls that the view makes. Each finds the supervisor anew: it may come and go meanwhile.
struct Calls<'a> {
    args: &'a TopArgs,
    paths: &'a Paths,
    caller: &'a Caller,
}

impl Calls<'_> {
    fn connection(&self) -> Connection {
        Connection::open(self.paths.clone(), self.caller.clone())
    }

    fn look(&self) -> Result<TopFrame, Failure> {
        self.connection().call(self.args.clone())
    }

    fn follow(&self, terminal: &mut DefaultTerminal, screen: &mut Screen) -> Result<(), Failure> {
        let mut looked_at = Instant::now();
        loop {
            terminal.draw(|frame| view::draw(frame, screen)).map_err(|error| no_terminal(&error))?;
            let rest = self.args.interval.duration().saturating_sub(looked_at.elapsed());
            if event::poll(rest).map_err(|error| no_terminal(&error))? {
                let key = match event::read().map_err(|error| no_terminal(&error))? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => key,
                    _ => continue,
                };
                match keys::press(screen, key) {
                    Some(Deed::End) => return Ok(()),
                    Some(Deed::Attach { session, socket }) => {
                        ratatui::restore();
                        let attached = attach(&session, socket);
                        *terminal = ratatui::init();
                        screen.say(told(attached));
                    }
                    Some(deed) => screen.say(told(self.act(deed))),
                    None => {}
                }
            } else {
                match self.look() {
                    Ok(frame) => screen.renew(frame),
                    Err(failure) => screen.say(told(Err(failure))),
                }
                looked_at = Instant::now();
            }
        }
    }

    /// Does what a key asked for, and says how it went.
    fn act(&self, deed: Deed) -> Result<String, Failure> {
        match deed {
            Deed::Nudge { session, text } => {
                let said = format!("sent to {session}");
                self.connection().call(SessionNudgeArgs { name: session, text, dry_run: false }).map(|_| said)
            }
            Deed::Interrupt(session) => {
                let said = format!("{session} was interrupted");
                let interrupt = SessionInterruptArgs {
                    name: session,
                    key: None,
                    followup: None,
                    dry_run: false,
                    force: false,
                };
                self.connection().call(interrupt).map(|_| said)
            }
            Deed::Cycle(task) => {
                let report = self
                    .connection()
                    .call(CycleArgs { task: task.clone(), busy_wait_seconds: DEFAULT_BUSY_WAIT_SECONDS })?;
                Ok(format!("cycle {} of {task}: the worker is {}", report.cycle_id, report.worker.state))
            }
            Deed::Attach { .. } | Deed::End => Ok(String::new()),
        }
    }
}

/// Hands the terminal to tmux until the person comes back.
fn attach(session: &str, socket: Option<String>) -> Result<String, Failure> {
    let server = TmuxServer::resolve(|name| std::env::var_os(name));
    let server = socket.map(|socket| server.clone().on(socket)).unwrap_or(server);
    server.attach(session)?;
    Ok(format!("back from {session}"))
}

/// What became of a deed, in one line.
fn told(outcome: Result<String, Failure>) -> String {
    outcome.unwrap_or_else(|failure| match failure.hints.first() {
        Some(hint) => format!("{failure}; {hint}"),
        None => failure.to_string(),
    })
}

fn no_terminal(error: &std::io::Error) -> Failure {
    Failure::external(format!("failed to draw on the terminal: {error}"))
        .hint("print one look instead: `conveyor top --once`")
}
