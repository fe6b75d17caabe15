//! Names that people give to tasks and sessions.

use std::borrow::Cow;

use super::Failure;

/// The longest name, in bytes.
const MAX_BYTES: usize = 200;

/// Whether `name` can be shown on one line and typed as an argument; `what` says what it names.
///
/// # Errors
/// A usage failure for an empty name, a long one, one with white space around it, one with control
/// characters, and one that reads as a flag.
pub fn check(what: &str, name: &str) -> Result<(), Failure> {
    let complaint = if name.trim().is_empty() {
        "is empty"
    } else if name.len() > MAX_BYTES {
        "is longer than 200 bytes"
    } else if name.trim() != name {
        "has white space around it"
    } else if name.chars().any(char::is_control) {
        "has control characters in it"
    } else if name.starts_with('-') {
        "starts with a dash and would read as a flag"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("the {what} name {name:?} {complaint}"))
        .hint("letters, digits, - and _ always do"))
}

/// A name as it stands in a sentence: quoted where it would not be seen to be one.
pub fn shown(name: &str) -> Cow<'_, str> {
    let is_plain = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(format!("{name:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_not_be_seen_is_quoted() {
        for (name, expect) in [("w1", "w1"), ("", "\"\""), ("a b", "\"a b\""), ("a\n", "\"a\\n\"")] {
            assert_eq!(shown(name), expect);
        }
    }

    #[test]
    fn a_name_is_one_word_or_a_few_on_one_line() {
        for good in ["w1", "auth refactor", "Überarbeitung", "a.b/c", "工作"] {
            assert_eq!(check("task", good), Ok(()), "{good}");
        }
        for bad in ["", " ", " a", "a\nb", "-a", "a\u{7}", &"x".repeat(201)] {
            assert_eq!(check("task", bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
