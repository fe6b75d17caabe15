//! How it looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState, Wrap};

use super::rows::{self, HEAD};
use super::screen::{Mode, Screen};
use crate::domain::Role;
use crate::domain::session_fact::SessionFactKind;
use crate::domain::shell::quoted;

/// A view at least this wide shows these columns, by their place in [`HEAD`]. Widest first.
const COLUMNS: [(u16, &[usize]); 3] =
    [(100, &[0, 1, 2, 3, 4, 5, 6, 7, 8]), (60, &[0, 1, 2, 3, 6, 7, 8]), (0, &[0, 2, 3])];

/// The keys, or what stands in their place, may take this many lines.
const MOST_LINES: usize = 6;

/// What the keys do.
const KEYS: &str = "↑↓ pair  Tab side  Enter attach  n nudge  i interrupt  c cycle  q quit";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let width = usize::from(frame.area().width.max(1));
    let (news, prompt) = (news(screen), prompt(screen, width));
    let news_height: usize = news.iter().map(|line| line.chars().count().div_ceil(width)).sum();
    let last_height = news_height + prompt.iter().len();
    let parts = [
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(last_height.clamp(1, MOST_LINES) as u16),
    ];
    let [top, middle, chosen, bottom] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(heading(screen), top);
    draw_pairs(frame, screen, middle);
    frame.render_widget(Line::raw(about_chosen(screen)), chosen);
    let last: Vec<Line<'_>> = news.into_iter().chain(prompt).map(Line::raw).collect();
    frame.render_widget(Paragraph::new(last).wrap(Wrap { trim: true }), bottom);
}

fn heading(screen: &Screen) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    match &screen.trouble {
        Some(trouble) => Line::styled(format!("not up to date: {trouble}"), bold.fg(Color::Yellow)),
        None => Line::styled(rows::heading(&screen.frame), bold),
    }
}

fn draw_pairs(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let columns =
        COLUMNS.iter().find(|(width, _)| area.width >= *width).map_or(&[][..], |(_, columns)| columns);
    let cells: Vec<_> = screen.frame.pairs.iter().map(rows::cells).collect();
    let widths = columns.iter().map(|&column| {
        let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        Constraint::Length(u16::try_from(widest.max(HEAD[column].len())).unwrap_or(u16::MAX))
    });
    let table_rows = screen.frame.pairs.iter().zip(&cells).map(|(pair, cells)| {
        let style = if rows::needs_a_person(pair) { Style::new().fg(Color::Yellow) } else { Style::new() };
        Row::new(columns.iter().map(|&column| cells[column].as_str())).style(style)
    });
    let head = Row::new(columns.iter().map(|&column| HEAD[column]));
    let table = Table::new(table_rows, widths)
        .header(head.style(Style::new().add_modifier(Modifier::DIM)))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(screen.pair().map(|_| screen.row));
    frame.render_stateful_widget(table, area, &mut state);
}

/// Who is meant by the keys, and what needs to be known of them.
fn about_chosen(screen: &Screen) -> String {
    let (Some(pair), Some(session)) = (screen.pair(), screen.session()) else {
        return "no pair is bound: `conveyor pair --help`".to_owned();
    };
    let side = if screen.side == Role::Worker { "worker" } else { "manager" };
    let mut told = format!("{side} {}: {}", session.name, rows::state(session));
    let told_already = [SessionFactKind::Exited, SessionFactKind::Waiting, SessionFactKind::Unreadable];
    let conditions = session.conditions.iter().filter(|kind| !told_already.contains(kind));
    let conditions = conditions.map(|kind| format!(", {}", kind.as_str().replace('_', " ")));
    told.extend(conditions);
    if pair.unknown_deliveries > 0 {
        told += &format!("; decide on its deliveries: `conveyor deliveries --task {}`", quoted(&pair.task));
    }
    told
}

/// What is being done, and what became of what was done.
fn news(screen: &Screen) -> Vec<String> {
    let under_way = (!screen.under_way.is_empty()).then(|| format!("{} ...", screen.under_way.join(", ")));
    under_way.into_iter().chain(screen.said.iter().cloned()).collect()
}

/// What the keys are for at the moment; not repeated where something was said.
fn prompt(screen: &Screen, width: usize) -> Option<String> {
    match &screen.mode {
        Mode::Writing { session, text } => Some(end_of(&format!("to {session}: {text}▏"), width)),
        Mode::Confirming { question, .. } => Some(format!("{question} y/n")),
        Mode::Watching if !screen.said.is_empty() => None,
        Mode::Watching => Some(KEYS.to_owned()),
    }
}

/// As much of the end of a line as there is room for: where the person writes.
fn end_of(line: &str, width: usize) -> String {
    let over = line.chars().count().saturating_sub(width);
    line.chars().skip(over).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use insta::assert_snapshot;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};

    use super::super::keys::{paste, press};
    use super::*;
    use crate::domain::{Activity, TurnOutcome};
    use crate::store::top::{Dispatcher, TopFrame, TopPair, TopSession};

    fn session(name: &str, state: Activity, staleness_seconds: f64) -> TopSession {
        TopSession {
            name: name.into(),
            tmux_session: Some(format!("codex-{name}")),
            tmux_socket: Some("/run/tmux".into()),
            state,
            staleness_seconds: Some(staleness_seconds),
            conditions: Vec::new(),
            inbox: 0,
        }
    }

    /// Two pairs: one at work, one that needs a person.
    pub(in crate::cli::top) fn frame() -> TopFrame {
        let calm = TopPair {
            task: "auth".into(),
            worker: session("auth-worker", Activity::Busy, 12.0),
            manager: session("auth-manager", Activity::Idle, 95.0),
            last_turn: Some(TurnOutcome::Completed),
            open_criteria: 2,
            unknown_deliveries: 0,
        };
        let mut worker = session("docs-worker", Activity::Busy, 4_000.0);
        worker.tmux_session = None;
        worker.conditions = vec![SessionFactKind::Waiting];
        worker.inbox = 3;
        let mut manager = session("docs-manager", Activity::Unknown, 0.0);
        manager.inbox = 1;
        let stuck = TopPair {
            task: "docs".into(),
            worker,
            manager,
            last_turn: Some(TurnOutcome::Interrupted),
            open_criteria: 0,
            unknown_deliveries: 1,
        };
        TopFrame {
            at: "2026-01-01T00:00:00Z".into(),
            supervised: true,
            dispatcher: Some(Dispatcher { id: "dispatch-local".into(), age_seconds: 1.0 }),
            pairs: vec![calm, stuck],
        }
    }

    fn drawn(screen: &Screen, width: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, 7)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_snapshot!(drawn(&Screen::new(frame()), 110));
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters_most() {
        let mut screen = Screen::new(frame());
        press(&mut screen, KeyEvent::from(KeyCode::Down));
        assert_snapshot!(format!("{}\n{}", drawn(&screen, 70), drawn(&screen, 30)));
    }

    #[test]
    fn what_the_person_is_about_to_do_is_shown() {
        let mut screen = Screen::new(frame());
        for key in [KeyCode::Tab, KeyCode::Char('n'), KeyCode::Char('h'), KeyCode::Char('i')] {
            press(&mut screen, KeyEvent::from(key));
        }
        assert!(drawn(&screen, 80).contains("to auth-manager: hi"));
        press(&mut screen, KeyEvent::from(KeyCode::Esc));
        press(&mut screen, KeyEvent::from(KeyCode::Char('i')));
        assert!(drawn(&screen, 80).contains("interrupt auth-manager? y/n"));
    }

    #[test]
    fn what_is_done_beside_the_view_is_shown_with_what_comes_of_it() {
        let mut screen = Screen::new(frame());
        screen.under_way = vec!["sending to auth-worker".into(), "looking at docs".into()];
        assert!(drawn(&screen, 80).contains("sending to auth-worker, looking at docs ..."));
        assert!(drawn(&screen, 80).contains("q quit"));
        press(&mut screen, KeyEvent::from(KeyCode::Char('n')));
        screen.under_way.clear();
        screen.say("sent to auth-worker".to_owned());
        let shown = drawn(&screen, 80);
        assert!(shown.contains("sent to auth-worker") && shown.contains("to auth-worker: ▏"), "{shown}");
    }

    #[test]
    fn the_end_of_a_long_text_is_what_is_seen_of_it() {
        let mut screen = Screen::new(frame());
        press(&mut screen, KeyEvent::from(KeyCode::Char('n')));
        paste(&mut screen, &format!("{}the end", "word ".repeat(40)));
        let shown = drawn(&screen, 40);
        assert!(shown.contains("the end▏") && !shown.contains("to auth-worker"), "{shown}");
    }

    #[test]
    fn a_look_that_fails_is_told_of_until_one_does_not() {
        let mut screen = Screen::new(frame());
        screen.trouble = Some("no answer for 4s".to_owned());
        assert!(drawn(&screen, 80).contains("not up to date: no answer for 4s"));
        screen.renew(frame());
        assert!(drawn(&screen, 80).contains("2 pairs, supervised"));
    }

    #[test]
    fn nothing_is_too_small_to_draw_on() {
        let mut empty = frame();
        empty.pairs.clear();
        empty.dispatcher = None;
        empty.supervised = false;
        assert!(drawn(&Screen::new(empty), 80).contains("nobody dispatches: start `conveyor run --detach`"));
        for (width, height) in [(1, 1), (3, 2), (500, 3)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|area| draw(area, &Screen::new(frame()))).unwrap();
        }
    }
}
