//! Text made safe to type into a terminal.

use std::borrow::Cow;

use crate::domain::printable::symbol;

/// The text as it is typed: line breaks are `\n`, and control characters other than tab and line
/// feed become their visible symbols (`ESC` is `␛`).
///
/// A raw escape character could end a bracketed paste, and what follows would count as key presses.
pub fn typeable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let unix_lines = text.replace("\r\n", "\n");
    Cow::Owned(unix_lines.chars().map(visible).collect())
}

fn is_unsafe(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

fn visible(c: char) -> char {
    match c {
        '\r' => '\n',
        c if is_unsafe(c) => symbol(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_control_characters_change() {
        let check = |text: &str, expect: &str| assert_eq!(typeable(text), expect, "{text:?}");
        check(
            "plain, tab\tand\nlines é 漢字 🦀 -x; \\ #{pane_id} $(ls)",
            "plain, tab\tand\nlines é 漢字 🦀 -x; \\ #{pane_id} $(ls)",
        );
        check("a\r\nb\rc", "a\nb\nc");
        check("\u{1b}[201~\r!ls\r", "␛[201~\n!ls\n");
        check("\0\u{7}\u{7f}", "␀␇␡");
        check("\u{9b}201~", "\u{fffd}201~");
    }

    proptest! {
        #[test]
        fn nothing_typed_can_act_as_a_key(text: String) {
            let typed = typeable(&text).into_owned();
            prop_assert!(!typed.contains(is_unsafe));
            prop_assert_eq!(typeable(&typed), typed.as_str());
        }
    }
}
