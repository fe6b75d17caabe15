//! Words of a command, written so that a POSIX shell reads them back.

/// One word.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    // zsh takes `=name` for the place of a program.
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A whole command.
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_when_a_shell_would_read_it_otherwise() {
        fn check(word: &str, expect: &str) {
            assert_eq!(quoted(word), expect);
        }
        check("tests/it.rs", "tests/it.rs");
        check("--status", "--status");
        check("a=b", "a=b");
        check("=codex-w1", "'=codex-w1'");
        check("two words", "'two words'");
        check("it's", r"'it'\''s'");
        check("$HOME", "'$HOME'");
        check("", "''");
        assert_eq!(command_line(&["a".into(), "b c".into()]), "a 'b c'");
    }
}
