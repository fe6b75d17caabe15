//! Dialogs and panels that stand in the composer's place.

use super::class::Block;

/// Starts of the lines that name a dialog. Where several match, the lowest on the screen counts.
const TITLES: [(&str, Block); 14] = [
    ("Would you like to ", Block::Approval),
    ("Question ", Block::Question),
    ("Field ", Block::Question),
    ("Trust this folder?", Block::Trust),
    ("Folder access", Block::Trust),
    ("Do you trust the contents", Block::Trust),
    ("Update available", Block::Update),
    ("Hooks need review", Block::Hooks),
    ("Background server has incompatible", Block::Daemon),
    ("Resume a previous session", Block::Picker),
    ("Fork a previous session", Block::Picker),
    ("Agent command center", Block::Agents),
    ("Warnings · ", Block::Overlay),
    ("Keyboard shortcuts", Block::Overlay),
];

/// The dialog on a screen that shows no composer.
pub(super) fn find(lines: &[&str]) -> Option<Block> {
    let has_keys = lines.last().is_some_and(|line| names_keys(line));
    let has_choice = lines.iter().any(|line| is_selected_choice(line));
    if !has_keys && !has_choice {
        return None;
    }
    let transcript_end = lines.iter().rposition(|line| is_transcript(line)).map_or(0, |row| row + 1);
    let titled = lines[transcript_end..].iter().rev().find_map(|line| titled_block(line.trim_start()));
    titled.or(Some(if has_choice { Block::Modal } else { Block::Overlay }))
}

fn titled_block(line: &str) -> Option<Block> {
    if line.starts_with("Allow the ") && line.contains(" MCP server") {
        return Some(Block::Approval);
    }
    TITLES.iter().find(|(title, _)| line.starts_with(title)).map(|(_, block)| *block)
}

/// A dialog's last line names the keys that leave it: `enter select · esc back`.
fn names_keys(line: &str) -> bool {
    let keys = ["esc ", "enter ", "q/esc ", "Press enter ", "? help", "^o "];
    line.starts_with(' ')
        && keys.iter().any(|key| line.trim_start().starts_with(key) || line.contains(&format!(" {key}")))
}

/// `› 2. Skip`, also indented.
fn is_selected_choice(line: &str) -> bool {
    let Some(choice) = line.trim_start().strip_prefix("› ") else { return false };
    let label = choice.trim_start_matches(|c: char| c.is_ascii_digit());
    label.len() < choice.len() && label.starts_with(". ")
}

fn is_transcript(line: &str) -> bool {
    line.starts_with(['•', '◦', '■', '✔', '✗', '⚠']) || (line.starts_with('›') && !is_selected_choice(line))
}
