//! Asks before the real Codex is used.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::domain::Failure;

const QUESTION: &str = "\
This starts two Codex sessions with your own configuration and lets them write a haiku in a temporary
directory. It spends model tokens, and the two transcripts stay in your Codex home. Go on? [y/N] ";

/// Gets a yes from the person at the terminal, unless it was given before.
///
/// # Errors
/// When there is nobody to ask, or the answer is anything else.
pub(super) fn ask(given: bool) -> Result<(), Failure> {
    if given {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("--codex spends model tokens, and there is no terminal to ask at")
            .hint("say --yes if that is all right"));
    }
    // With standard error gone nobody can read the question, and the answer will not be yes.
    let _ = io::stderr().write_all(QUESTION.as_bytes());
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    if is_yes(&answer) { Ok(()) } else { Err(Failure::refused("nothing was started")) }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        let check = |answer: &str, expect: bool| assert_eq!(is_yes(answer), expect, "{answer:?}");
        check("y\n", true);
        check(" YES \n", true);
        check("\n", false);
        check("", false);
        check("yet", false);
    }
}
