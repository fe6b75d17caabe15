//! The composer at the bottom of the screen.
//!
//! ```text
//! › the draft, or a placeholder
//!   further lines of the draft
//!
//!   model · /working/directory · thread name
//!   ← for agents · ? for shortcuts
//! ```
//!
//! The last line goes away while a draft stands in an idle composer.

const PLACEHOLDER: &str = "Ask Codex to do anything";

/// Footers that are shown under the composer and nowhere else.
const FOOTERS: [&str; 5] =
    ["← for agents", "? for shortcuts", "tab to queue message", "Shell mode", "Browsing transcript"];

/// The footers among them that are shown only while the composer is empty.
const EMPTY_FOOTERS: [&str; 3] = ["← for agents", "? for shortcuts", "Browsing transcript"];

pub(super) struct Composer {
    /// Row of its first line.
    pub(super) first_row: usize,
    pub(super) draft: String,
}

impl Composer {
    pub(super) fn find(lines: &[&str]) -> Option<Self> {
        let above_status = lines.iter().rposition(|line| line.is_empty())?;
        let footer = match &lines[above_status + 1..] {
            [status] if is_status(status) => "",
            [footer] if starts_with_any(footer, &FOOTERS) => footer,
            [status, footer] if is_status(status) => footer,
            _ => return None,
        };
        let first_row = lines[..above_status].iter().rposition(|line| !is_continuation(line))?;
        let mut draft = first_line(lines[first_row])?;
        for line in &lines[first_row + 1..above_status] {
            draft.push('\n');
            draft.push_str(line.strip_prefix("  ").unwrap_or(line));
        }
        let empty = draft == PLACEHOLDER || starts_with_any(footer, &EMPTY_FOOTERS);
        Some(Self { first_row, draft: if empty { String::new() } else { draft } })
    }
}

/// `model · /working/directory · …`: only the composer has a path under it.
fn is_status(line: &str) -> bool {
    line.starts_with("  ") && line.split(" · ").skip(1).any(|part| part.starts_with(['/', '~']))
}

fn starts_with_any(line: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| line.trim_start().starts_with(start))
}

fn is_continuation(line: &str) -> bool {
    line.is_empty() || line.starts_with("  ")
}

fn first_line(line: &str) -> Option<String> {
    let (prompt, shell) = match line.strip_prefix('›') {
        Some(draft) => (draft, ""),
        None => (line.strip_prefix('!')?, "!"),
    };
    Some(format!("{shell}{}", prompt.trim_start()))
}
