//! The screen of the stand-in: a transcript, a progress line, a composer.

use std::path::Path;
use std::time::Instant;

/// A draft that is longer than this is shown as a note of its size, as Codex does.
const SHOWN_DRAFT_CHARS: usize = 1000;

/// What is on the screen, whatever its size.
#[derive(Debug)]
pub(super) struct Screen {
    name: String,
    status: String,
    transcript: Vec<String>,
    draft: String,
    working_since: Option<Instant>,
}

/// Rows and columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Screen {
    pub(super) fn new(name: &str, cwd: &Path) -> Self {
        Self {
            name: name.to_owned(),
            status: format!("  scripted · {} · {name}", cwd.display()),
            transcript: vec![
                String::new(),
                "  >_ conveyor demo: stands in for OpenAI Codex".to_owned(),
                format!("     {}", cwd.display()),
                String::new(),
            ],
            draft: String::new(),
            working_since: None,
        }
    }

    pub(super) fn type_in(&mut self, text: &str) {
        self.draft.push_str(text);
    }

    pub(super) fn take_back(&mut self) {
        self.draft.pop();
    }

    /// Empties the composer.
    pub(super) fn submit(&mut self) -> String {
        std::mem::take(&mut self.draft)
    }

    /// A turn begins with what the user said.
    pub(super) fn begin_turn(&mut self, prompt: &str) {
        self.working_since = Some(Instant::now());
        self.add("› ", prompt);
    }

    /// The session says something.
    pub(super) fn say(&mut self, text: &str) {
        self.add("• ", text);
    }

    /// The session has run a command.
    pub(super) fn ran(&mut self, command: &str, result: &str) {
        self.add("• Ran ", command);
        self.transcript.pop();
        self.add("  └ ", result);
    }

    /// The turn ends; `clock` is the time of day.
    pub(super) fn end_turn(&mut self, clock: &str) {
        let seconds = self.working_seconds().unwrap_or_default();
        let seconds = if seconds == 0 { "<1".to_owned() } else { seconds.to_string() };
        self.working_since = None;
        self.transcript.extend([format!("  Worked for {seconds}s • {clock}"), String::new()]);
    }

    fn add(&mut self, mark: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            self.transcript.push(format!("{}{line}", if index == 0 { mark } else { "  " }));
        }
        self.transcript.push(String::new());
    }

    fn working_seconds(&self) -> Option<u64> {
        self.working_since.map(|since| since.elapsed().as_secs())
    }

    /// The title of the terminal: with a spinner while a turn runs.
    pub(super) fn title(&self) -> String {
        if self.working_since.is_some() { format!("⠋ {}", self.name) } else { self.name.clone() }
    }

    /// The lines from the top to the bottom of a screen of this size.
    pub(super) fn lines(&self, size: Size) -> Vec<String> {
        let bottom = self.bottom(size.columns);
        let room = size.rows.saturating_sub(bottom.len());
        let mut lines: Vec<String> =
            self.transcript.iter().flat_map(|line| wrap(line, size.columns)).collect();
        lines.drain(..lines.len().saturating_sub(room));
        lines.resize(room, String::new());
        lines.extend(bottom);
        lines
    }

    /// Progress, composer, status and footer.
    fn bottom(&self, columns: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(seconds) = self.working_seconds() {
            lines
                .extend([cut(&format!("• Working ({seconds}s • esc to interrupt)"), columns), String::new()]);
        }
        let composer = match self.draft.chars().count() {
            0 => "› Ask Codex to do anything".to_owned(),
            long if long > SHOWN_DRAFT_CHARS => format!("› [Pasted Content {long} chars]"),
            _ => format!("› {}", self.draft.replace('\n', "\n  ")),
        };
        lines.extend(composer.split('\n').flat_map(|line| wrap(line, columns)));
        lines.extend([String::new(), cut(&self.status, columns)]);
        match (self.draft.is_empty(), self.working_since) {
            (true, _) => lines.push(cut("  ← for agents · ? for shortcuts", columns)),
            (false, Some(_)) => lines.push(cut("  tab to queue message", columns)),
            (false, None) => {}
        }
        lines
    }
}

/// Leaves out what does not fit.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// Cuts a line where the screen ends; what follows is indented.
fn wrap(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(3);
    let characters: Vec<char> = line.chars().collect();
    let (first, rest) = characters.split_at(characters.len().min(columns));
    let first: String = first.iter().collect();
    let rest = rest.chunks(columns - 2).map(|part| format!("  {}", part.iter().collect::<String>()));
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codex::pane::{classify, composer_text};

    const WIDE: Size = Size { rows: 30, columns: 120 };
    const NARROW: Size = Size { rows: 14, columns: 30 };

    fn screen() -> Screen {
        Screen::new("demo-worker", Path::new("/tmp/demo/work"))
    }

    fn check(screen: &Screen, size: Size, class: &str, draft: &str) {
        let lines = screen.lines(size);
        assert_eq!(lines.len(), size.rows);
        assert!(lines.iter().all(|line| line.chars().count() <= size.columns), "{lines:#?}");
        let text = lines.join("\n");
        assert_eq!(classify(&text, Some(&screen.title())).to_string(), class, "{text}");
        assert_eq!(composer_text(&text).as_deref(), Some(draft), "{text}");
    }

    #[test]
    fn the_screen_is_read_like_the_one_of_codex() {
        let mut screen = screen();
        check(&screen, WIDE, "idle", "");
        screen.type_in("[conveyor nudge from=m id=d-1]\nwrite on");
        check(&screen, WIDE, "idle", "[conveyor nudge from=m id=d-1]\nwrite on");
        let prompt = screen.submit();
        check(&screen, WIDE, "idle", "");
        screen.begin_turn(&prompt);
        check(&screen, WIDE, "working", "");
        screen.type_in("more");
        check(&screen, WIDE, "working", "more");
        screen.take_back();
        check(&screen, WIDE, "working", "mor");
        screen.submit();
        screen.ran("conveyor cycle demo", "idle\nturn completed");
        screen.say("Done.");
        screen.end_turn("10:48");
        check(&screen, WIDE, "idle", "");
    }

    #[test]
    fn a_small_screen_shows_the_end() {
        let mut screen = screen();
        screen.begin_turn(&"many words ".repeat(60));
        check(&screen, NARROW, "working", "");
        screen.say("Done.");
        screen.end_turn("10:48");
        check(&screen, NARROW, "idle", "");
        assert!(screen.lines(NARROW).iter().any(|line| line == "• Done."));
    }

    #[test]
    fn a_long_draft_is_a_note_of_its_size() {
        let mut screen = screen();
        screen.type_in(&"x".repeat(1001));
        check(&screen, WIDE, "idle", "[Pasted Content 1001 chars]");
        assert_eq!(screen.submit().len(), 1001);
    }
}
