//! A tmux server with one pane in which a Codex composer takes text.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix::prelude::*;

use crate::actors::tmux::{Kill, Load, Paste, Press, Terminal, View};
use crate::tmux::{KeyName, LoadedText, Pane, PaneView, Target, TmuxError};

/// A pane that runs a program.
pub(in crate::actors) fn pane(program: &str) -> Pane {
    Pane {
        id: "%1".parse().unwrap(),
        session: "a-w".into(),
        attached_clients: 0,
        pid: 1,
        tty: "".into(),
        dead: false,
        exit_status: None,
        in_mode: false,
        input_off: false,
        program: program.into(),
        title: String::new(),
    }
}

/// The server, and what the test knows and decides about it.
#[derive(Clone, Default)]
pub(in crate::actors) struct FakePane(Arc<Mutex<State>>);

#[derive(Default)]
pub(in crate::actors) struct State {
    /// Shown in place of the composer.
    pub(in crate::actors) screen: Option<String>,
    /// Shown in place of the composer as soon as text was pasted.
    pub(in crate::actors) screen_after_paste: Option<String>,
    /// Another pane of the tmux session, with this on it, becomes the active one as soon as text was pasted.
    pub(in crate::actors) other_after_paste: Option<&'static str>,
    other: Option<&'static str>,
    /// In the foreground as soon as text was pasted.
    pub(in crate::actors) program_after_paste: Option<&'static str>,
    /// What stands in the composer.
    pub(in crate::actors) draft: String,
    pub(in crate::actors) dead: bool,
    pub(in crate::actors) title: String,
    /// The program in the foreground; `codex` unless given.
    pub(in crate::actors) program: Option<&'static str>,
    /// Enters that have no effect before one has.
    pub(in crate::actors) lost_enters: usize,
    /// What a paste fails with. It has its effect all the same.
    pub(in crate::actors) paste_error: Option<fn() -> TmuxError>,
    /// Whoever looks gets no answer.
    pub(in crate::actors) unseen: bool,
    /// The same as soon as Enter was pressed.
    pub(in crate::actors) unseen_after_enter: bool,
    /// There is no such server.
    pub(in crate::actors) gone: bool,
    /// What was done to the pane, in order: `paste TEXT` and `press KEY`.
    pub(in crate::actors) done: Vec<String>,
    /// The texts that left the composer by Enter.
    pub(in crate::actors) submitted: Vec<String>,
    loaded: String,
}

impl FakePane {
    pub(in crate::actors) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Its addresses.
    pub(in crate::actors) fn terminal(&self) -> Terminal {
        let pane = self.clone().start();
        Terminal {
            view: pane.clone().recipient(),
            load: pane.clone().recipient(),
            paste: pane.clone().recipient(),
            press: pane.clone().recipient(),
            kill: pane.recipient(),
        }
    }
}

impl State {
    fn reached(&self) -> Result<(), TmuxError> {
        if self.gone { Err(TmuxError::NoServer { socket: "/tmp/none".into() }) } else { Ok(()) }
    }

    fn text(&self) -> String {
        if let Some(screen) = &self.screen {
            return screen.clone();
        }
        let (draft, footer) = match self.draft.as_str() {
            "" => ("Ask Codex to do anything".to_owned(), "\n  ? for shortcuts"),
            draft => (draft.replace('\n', "\n  "), ""),
        };
        format!("• Hello.\n\n› {draft}\n\n  scripted · /repo · a-w{footer}")
    }

    fn view(&self) -> PaneView {
        let pane = Pane {
            dead: self.dead,
            exit_status: self.dead.then_some(0),
            title: self.title.clone(),
            ..pane(self.program.unwrap_or("codex"))
        };
        PaneView { pane, text: self.text(), blank_lines: 0 }
    }

    fn press(&mut self, key: &KeyName) {
        self.done.push(format!("press {}", key.as_str()));
        if *key != KeyName::enter() {
            return;
        }
        self.unseen = self.unseen_after_enter;
        if self.lost_enters > 0 {
            self.lost_enters -= 1;
        } else {
            let text = std::mem::take(&mut self.draft);
            self.submitted.push(text);
        }
    }
}

/// No answer: it may have happened or not.
pub(in crate::actors) fn no_answer() -> TmuxError {
    TmuxError::TimedOut { command: "paste-buffer".into(), deadline: Duration::from_secs(5) }
}

impl Actor for FakePane {
    type Context = Context<Self>;
}

impl Handler<View> for FakePane {
    type Result = Result<PaneView, TmuxError>;

    fn handle(&mut self, view: View, _: &mut Context<Self>) -> Self::Result {
        let state = self.state();
        state.reached()?;
        let seen = state.view();
        match (&view.target, state.other) {
            _ if state.unseen => Err(no_answer()),
            (Target::Session(_), Some(other)) => Ok(PaneView { text: other.into(), ..seen }),
            (Target::Pane(id) | Target::PaneOfSession(_, id), _) if *id != seen.pane.id => {
                Err(TmuxError::NoSession { target: view.target.to_string() })
            }
            _ => Ok(seen),
        }
    }
}

impl Handler<Load> for FakePane {
    type Result = Result<LoadedText, TmuxError>;

    fn handle(&mut self, load: Load, _: &mut Context<Self>) -> Self::Result {
        let mut state = self.state();
        state.reached()?;
        state.loaded = load.text;
        Ok(LoadedText::nowhere("%1".parse()?))
    }
}

impl Handler<Paste> for FakePane {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, _: Paste, _: &mut Context<Self>) -> Self::Result {
        let mut state = self.state();
        let text = std::mem::take(&mut state.loaded);
        state.done.push(format!("paste {text}"));
        state.draft.push_str(&text);
        state.screen = state.screen_after_paste.take();
        state.other = state.other_after_paste.take();
        state.program = state.program_after_paste.take().or(state.program);
        state.paste_error.map_or(Ok(()), |error| Err(error()))
    }
}

impl Handler<Press> for FakePane {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, press: Press, _: &mut Context<Self>) -> Self::Result {
        let mut state = self.state();
        state.reached()?;
        state.press(&press.key);
        Ok(())
    }
}

impl Handler<Kill> for FakePane {
    type Result = Result<(), TmuxError>;

    fn handle(&mut self, _: Kill, _: &mut Context<Self>) -> Self::Result {
        self.state().gone = true;
        Ok(())
    }
}
