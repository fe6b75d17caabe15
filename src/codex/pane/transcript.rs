//! How the transcript above the composer ends.

/// What the last mark of the transcript says.
pub(super) enum Ending {
    /// The progress line: the app-server cannot be reached.
    ServerLost,
    /// The progress line: the model cannot be reached and is tried again.
    Retrying,
    /// The progress line of a running turn.
    Running,
    /// A prompt that nothing has closed. So it looks while text streams, when there is no progress
    /// line.
    Unclosed,
    /// An error closed the last turn.
    Error,
    /// The last turn was closed in another way, or there was none.
    Rest,
}

pub(super) fn ending(lines: &[&str]) -> Ending {
    lines.iter().rev().find_map(|line| mark(line)).unwrap_or(Ending::Rest)
}

fn mark(line: &str) -> Option<Ending> {
    if let Some(label) = progress_label(line) {
        return Some(match label {
            label if label.starts_with("Reconnecting to server") => Ending::ServerLost,
            label if label.starts_with("Reconnecting") => Ending::Retrying,
            _ => Ending::Running,
        });
    }
    if line.starts_with("■ Conversation interrupted") || is_closing(line) {
        Some(Ending::Rest)
    } else if line.starts_with('■') {
        Some(Ending::Error)
    } else if line.starts_with("› ") && !is_popup_command(line) {
        Some(Ending::Unclosed)
    } else {
        None
    }
}

/// `• Working (1m 33s • esc to interrupt)` and its kind: the text before the time.
fn progress_label(line: &str) -> Option<&str> {
    let text = line.strip_prefix("• ").or_else(|| line.strip_prefix("◦ "))?;
    let (label, rest) = text.rsplit_once(" (")?;
    let time_end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, 'h' | 'm' | 's' | ' '))?;
    let (time, after) = rest.split_at(time_end);
    let is_time =
        time.starts_with(|c: char| c.is_ascii_digit()) && time.trim_end().ends_with(['h', 'm', 's']);
    let goes_on = after.starts_with("• esc to") || label.starts_with("Reconnecting to server");
    (is_time && goes_on).then_some(label)
}

/// `  Worked for 7s • 02:30`, the line under every turn that ended by itself.
fn is_closing(line: &str) -> bool {
    line.strip_prefix("  Worked for ").is_some_and(|rest| rest.contains(" • "))
}

/// The selected row of the command list that opens over a draft such as `/mo`.
fn is_popup_command(line: &str) -> bool {
    line.strip_prefix("› /").is_some_and(|command| command.trim_end().contains("  "))
}
