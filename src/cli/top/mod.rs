//! `conveyor top`: all pairs, live.

mod beside;
mod calls;
mod keys;
mod rows;
mod screen;
mod view;

use std::io::{self, IsTerminal, stdout};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyEvent, KeyEventKind,
};
use ratatui::crossterm::execute;

use super::output::Output;
use super::show::Show;
use super::table::aligned;
use crate::actors::Caller;
use crate::actors::calls::top::TopArgs;
use crate::actors::paths::Paths;
use crate::domain::Failure;
use crate::store::top::TopFrame;
use crate::tmux::TmuxServer;

use beside::Beside;
use calls::Calls;
use keys::Deed;
use screen::Screen;

/// How often somebody asks after what is under way.
const ASKS: Duration = Duration::from_millis(50);

/// A look that takes longer is told of.
const PATIENCE: Duration = Duration::from_secs(3);

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
    let calls = Calls { args: args.clone(), paths: paths.clone(), caller: caller.clone() };
    let screen = Screen::new(calls.look()?);
    let mut watch = Watch {
        calls: Arc::new(calls),
        screen,
        looked_at: Instant::now(),
        looks: Beside::default(),
        deeds: Beside::default(),
    };
    let watched = take_terminal().and_then(|mut terminal| watch.follow(&mut terminal));
    give_terminal_back();
    watched.map(|()| 0).map_err(|error| no_terminal(&error))
}

/// The view. It draws and takes keys; whatever may take time happens beside it.
struct Watch {
    calls: Arc<Calls>,
    screen: Screen,
    /// When the last look was taken.
    looked_at: Instant,
    looks: Beside<Result<TopFrame, Failure>>,
    deeds: Beside<Result<String, Failure>>,
}

impl Watch {
    fn follow(&mut self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        loop {
            self.hear();
            self.look();
            terminal.draw(|frame| view::draw(frame, &self.screen))?;
            if !event::poll(self.pause())? {
                continue;
            }
            let then = match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => self.press(key, terminal)?,
                Event::Paste(text) => self.paste(&text),
                // The next drawing finds the terminal's new size by itself.
                _ => ControlFlow::Continue(()),
            };
            if then.is_break() {
                return Ok(());
            }
        }
    }

    /// Takes in what has become known.
    fn hear(&mut self) {
        for look in self.looks.ended() {
            match look {
                Ok(frame) => self.screen.renew(frame),
                Err(failure) => self.screen.trouble = Some(told(Err(failure))),
            }
        }
        for deed in self.deeds.ended() {
            self.screen.say(told(deed));
        }
        self.screen.under_way = self.deeds.names();
    }

    /// Begins a look when it is time for one.
    fn look(&mut self) {
        let since = self.looked_at.elapsed();
        if self.looks.is_idle() && since >= self.calls.args.interval.duration() {
            let calls = Arc::clone(&self.calls);
            self.looks.start("a look".to_owned(), move || calls.look());
            self.looked_at = Instant::now();
        } else if !self.looks.is_idle() && since > PATIENCE {
            self.screen.trouble = Some(format!("no answer for {}s", since.as_secs()));
        }
    }

    /// How long nothing will happen but keys.
    fn pause(&self) -> Duration {
        if self.looks.is_idle() && self.deeds.is_idle() {
            self.calls.args.interval.duration().saturating_sub(self.looked_at.elapsed())
        } else {
            ASKS
        }
    }

    fn press(&mut self, key: KeyEvent, terminal: &mut DefaultTerminal) -> io::Result<ControlFlow<()>> {
        match keys::press(&mut self.screen, key) {
            None => {}
            Some(Deed::End) => return Ok(ControlFlow::Break(())),
            Some(Deed::Attach { session, socket }) => {
                give_terminal_back();
                let attached = attach(&session, socket);
                *terminal = take_terminal()?;
                self.screen.say(told(attached));
            }
            Some(Deed::Call(call)) => {
                let calls = Arc::clone(&self.calls);
                self.deeds.start(call.to_string(), move || calls.make(call));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn paste(&mut self, text: &str) -> ControlFlow<()> {
        keys::paste(&mut self.screen, text);
        ControlFlow::Continue(())
    }
}

/// Has the terminal for the view alone. A pasted text comes as one, not as keys.
fn take_terminal() -> io::Result<DefaultTerminal> {
    let terminal = ratatui::try_init()?;
    execute!(stdout(), EnableBracketedPaste)?;
    Ok(terminal)
}

fn give_terminal_back() {
    // Where it is gone, nothing has to be as it was.
    let _ = execute!(stdout(), DisableBracketedPaste);
    ratatui::restore();
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

fn no_terminal(error: &io::Error) -> Failure {
    Failure::external(format!("failed to draw on the terminal: {error}"))
        .hint("print one look instead: `conveyor top --once`")
}
