//! What a key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::calls::ActingCall;
use super::screen::{Mode, Screen};
use crate::domain::Role;

/// Something beyond the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// See the terminal of this tmux session.
    Attach { session: String, socket: Option<String> },
    /// Make this call.
    Call(ActingCall),
    /// Stop watching.
    End,
}

/// Takes a key; gives what is to be done beyond the screen.
pub(super) fn press(screen: &mut Screen, key: KeyEvent) -> Option<Deed> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(Deed::End);
    }
    match std::mem::replace(&mut screen.mode, Mode::Watching) {
        Mode::Watching => watching(screen, key.code),
        Mode::Writing { session, text } => writing(screen, key.code, session, text),
        Mode::Confirming { deed, .. } => (key.code == KeyCode::Char('y')).then_some(deed),
    }
}

/// Takes a text that was pasted. Where none is being written it is not for this view, and its letters
/// are no keys.
pub(super) fn paste(screen: &mut Screen, pasted: &str) {
    if let Mode::Writing { text, .. } = &mut screen.mode {
        *text += &pasted.replace('\r', "\n");
    }
}

fn watching(screen: &mut Screen, key: KeyCode) -> Option<Deed> {
    screen.said.clear();
    match key {
        KeyCode::Char('q') | KeyCode::Esc if screen.under_way.is_empty() => return Some(Deed::End),
        KeyCode::Char('q') | KeyCode::Esc => {
            screen.ask("end before it is known how that goes?".to_owned(), Deed::End);
        }
        KeyCode::Up | KeyCode::Char('k') => screen.row = screen.row.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => {
            screen.row = (screen.row + 1).min(screen.frame.pairs.len().saturating_sub(1));
        }
        KeyCode::Tab | KeyCode::Left | KeyCode::Right => {
            screen.side = if screen.side == Role::Worker { Role::Manager } else { Role::Worker };
        }
        _ => return act(screen, key),
    }
    None
}

/// A key that is about the chosen session or its task.
fn act(screen: &mut Screen, key: KeyCode) -> Option<Deed> {
    let (pair, session) = (screen.pair()?, screen.session()?);
    let name = session.name.clone();
    let cycle = Deed::Call(ActingCall::Cycle(pair.task.clone()));
    match key {
        KeyCode::Enter | KeyCode::Char('a') => match session.tmux_session.clone() {
            Some(session_of_tmux) => {
                let socket = session.tmux_socket.clone();
                return Some(Deed::Attach { session: session_of_tmux, socket });
            }
            None => screen.say(format!("{name} has no terminal")),
        },
        KeyCode::Char('n') => screen.mode = Mode::Writing { session: name, text: String::new() },
        KeyCode::Char('i') => {
            screen.ask(format!("interrupt {name}?"), Deed::Call(ActingCall::Interrupt(name)))
        }
        // A cycle takes what waits for the manager, who then hears of it from nobody.
        KeyCode::Char('c') if pair.manager.inbox > 0 => {
            screen.ask(format!("take what waits in the inbox of {}?", pair.manager.name), cycle);
        }
        KeyCode::Char('c') => return Some(cycle),
        _ => {}
    }
    None
}

fn writing(screen: &mut Screen, key: KeyCode, session: String, mut text: String) -> Option<Deed> {
    match key {
        KeyCode::Esc => return None,
        KeyCode::Enter if text.trim().is_empty() => return None,
        KeyCode::Enter => return Some(Deed::Call(ActingCall::Nudge { session, text })),
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char(character) => text.push(character),
        _ => {}
    }
    screen.mode = Mode::Writing { session, text };
    None
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::frame;
    use super::*;

    fn press_all(screen: &mut Screen, keys: &[KeyCode]) -> Vec<Deed> {
        keys.iter().filter_map(|key| press(screen, KeyEvent::from(*key))).collect()
    }

    fn check(keys: &[KeyCode], expect: &[Deed]) {
        assert_eq!(press_all(&mut Screen::new(frame()), keys), expect, "{keys:?}");
    }

    #[test]
    fn keys_act_on_the_chosen_session() {
        use KeyCode::{Backspace, Char, Down, Enter, Esc, Tab, Up};
        let attach =
            |session: &str| Deed::Attach { session: session.into(), socket: Some("/run/tmux".into()) };
        let cycle = |task: &str| Deed::Call(ActingCall::Cycle(task.into()));
        let interrupt = Deed::Call(ActingCall::Interrupt("auth-worker".into()));
        check(&[Enter], &[attach("codex-auth-worker")]);
        check(&[Tab, Enter], &[attach("codex-auth-manager")]);
        check(&[Down, Enter], &[]);
        check(&[Up, Char('c')], &[cycle("auth")]);
        check(&[Down, Down, Char('c'), Char('n'), Char('c'), Char('y')], &[cycle("docs")]);
        check(&[Char('i'), Char('n'), Char('i'), Char('y')], &[interrupt]);
        let nudge = Deed::Call(ActingCall::Nudge { session: "auth-worker".into(), text: "qo".into() });
        check(&[Char('n'), Char('q'), Char('x'), Backspace, Char('o'), Enter], &[nudge]);
        check(&[Char('n'), Char('q'), Esc, Char('n'), Char(' '), Enter, Char('q')], &[Deed::End]);
    }

    #[test]
    fn what_is_under_way_is_not_left_by_accident() {
        let mut screen = Screen::new(frame());
        screen.under_way = vec!["sending to auth-worker".into()];
        assert_eq!(press_all(&mut screen, &[KeyCode::Char('q'), KeyCode::Char('n'), KeyCode::Esc]), []);
        assert_eq!(press_all(&mut screen, &[KeyCode::Char('y')]), [Deed::End]);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut screen, interrupt), Some(Deed::End));
    }

    #[test]
    fn without_a_pair_there_is_nothing_to_act_on() {
        let mut empty = frame();
        empty.pairs.clear();
        let mut screen = Screen::new(empty);
        let keys = ['n', 'i', 'c', 'a', 'j', 'k'].map(KeyCode::Char);
        assert_eq!(press_all(&mut screen, &keys), []);
    }

    #[test]
    fn the_chosen_pair_stays_chosen_when_others_come_and_go() {
        let mut screen = Screen::new(frame());
        press_all(&mut screen, &[KeyCode::Down]);
        let mut newer = frame();
        newer.pairs.remove(0);
        screen.renew(newer.clone());
        assert_eq!(screen.pair().unwrap().task, "docs");
        newer.pairs.clear();
        screen.renew(newer);
        assert_eq!((screen.row, screen.pair()), (0, None));
    }
}
