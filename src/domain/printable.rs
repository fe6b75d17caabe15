//! Text that somebody else wrote, made safe to show in a terminal: what would command the terminal, or turn
//! around what stands beside it, is seen instead of obeyed.

use std::borrow::Cow;

/// The text with its lines and tabs; every other control character is its symbol (`ESC` is `␛`).
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| !is_shown(c) && c != '\n' && c != '\t';
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let unix_lines = text.replace("\r\n", "\n");
    Cow::Owned(unix_lines.chars().map(|c| if is_hidden(c) { symbol(c) } else { c }).collect())
}

/// The text on one line, with nothing left out: a line break is its symbol, too.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_shown(c) { c } else { symbol(c) }).collect())
}

/// The words of a text, on one line.
pub fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

/// A [`printable`] text whose further lines stand `columns` in, where they cannot be taken for lines of
/// whoever shows it.
pub fn indented(text: &str, columns: usize) -> String {
    printable(text).replace('\n', &format!("\n{:columns$}", ""))
}

/// JSON in which a terminal obeys nothing either, and which holds the same.
pub fn json(json: String) -> String {
    let is_escaped = |c: char| !is_shown(c) && c != '\n';
    if !json.contains(is_escaped) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_escaped(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Marks of writing direction can make a line read as another one, and some programs end a line at the
/// separators of Unicode.
fn is_shown(c: char) -> bool {
    let turns_around = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !turns_around && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// What stands in a control character's place; one column, as widths are counted in characters.
pub fn symbol(control: char) -> char {
    match u32::from(control) {
        0x7f => '\u{2421}',
        code @ ..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_holds_what_a_terminal_would_obey() {
        let text = "a\u{7f}b\u{9b}31m\u{202e}\u{feff}\u{1b}\nc é 🦀";
        let shown = json(serde_json::to_string_pretty(&[text]).unwrap());
        assert!(shown.chars().all(|c| is_shown(c) || c == '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }

    #[test]
    fn what_would_command_the_terminal_is_seen() {
        fn check(text: &str, expect_printable: &str, expect_visible: &str, expect_one_line: &str) {
            assert_eq!(printable(text), expect_printable, "{text:?}");
            assert_eq!(visible(text), expect_visible, "{text:?}");
            assert_eq!(one_line(text), expect_one_line, "{text:?}");
        }
        check("plain é 漢字 🦀", "plain é 漢字 🦀", "plain é 漢字 🦀", "plain é 漢字 🦀");
        check("\x1b[2K\rrm", "␛[2K␍rm", "␛[2K␍rm", "␛[2K rm");
        check("a\r\n\tb", "a\n\tb", "a␍␊␉b", "a b");
        check("a\n  b", "a\n  b", "a␊  b", "a b");
        check("\0\u{7}\u{7f}\u{9b}2J", "␀␇␡\u{fffd}2J", "␀␇␡\u{fffd}2J", "␀␇␡\u{fffd}2J");
        check("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c", "a\u{fffd}b\u{fffd}c", "a\u{fffd}b\u{fffd}c");
        check("a\u{2028}b", "a\u{fffd}b", "a\u{fffd}b", "a b");
    }

    #[test]
    fn further_lines_stand_below_the_first() {
        assert_eq!(indented("one\ntwo\r\n\x1b[A", 4), "one\n    two\n    ␛[A");
        assert_eq!(indented("one", 4), "one");
    }

    proptest! {
        #[test]
        fn a_line_is_one_and_commands_nothing(text: String) {
            prop_assert!(visible(&text).chars().all(is_shown));
            prop_assert_eq!(visible(&text).chars().count(), text.chars().count());
            prop_assert!(one_line(&text).chars().all(is_shown));
            prop_assert!(printable(&text).chars().all(|c| is_shown(c) || c == '\n' || c == '\t'));
        }
    }
}
