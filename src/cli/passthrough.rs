//! `conveyor start`: what is not its own goes to Codex.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::codex::launch::TAKES_VALUE;

/// The command whose line is shared with Codex.
pub const SHARED: &str = "start";

/// A command line in which the words for Codex stand behind a `--`, where clap leaves them alone.
/// Any line but that of `start` stays as it is.
pub fn arrange(command_line: &Command, words: Vec<OsString>) -> Vec<OsString> {
    // Building every command takes longer than most of them do.
    if !words.iter().any(|word| word == SHARED) {
        return words;
    }
    let mut command_line = command_line.clone();
    command_line.build();
    let before = own_words(&command_line, &words[1.min(words.len())..]);
    let Some(name) = words.get(1 + before).filter(|name| *name == SHARED) else { return words };
    let Some(shared) = command_line.find_subcommand(name) else { return words };
    let (head, tail) = words.split_at(2 + before);
    [head, &split(shared, tail)].concat()
}

/// How many words come before the command's name: global options and their values.
fn own_words(command_line: &Command, words: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(taken) = words.get(count).and_then(|word| words_of_option(command_line, word)) {
        count += taken;
    }
    count
}

/// The command's own words, `--`, and Codex's.
fn split(command: &Command, words: &[OsString]) -> Vec<OsString> {
    let (mut own, mut codex) = (Vec::new(), Vec::new());
    let mut named = false;
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word == "--" {
            codex.extend_from_slice(after);
            break;
        }
        let is_option = word.as_encoded_bytes().starts_with(b"-");
        let (to, count) = match words_of_option(command, word) {
            Some(count) => (&mut own, count),
            None if !is_option && !named => {
                named = true;
                (&mut own, 1)
            }
            None => (&mut codex, 1 + usize::from(TAKES_VALUE.iter().any(|option| word == option))),
        };
        let (taken, after) = rest.split_at(count.min(rest.len()));
        to.extend_from_slice(taken);
        rest = after;
    }
    own.push("--".into());
    [own, codex].concat()
}

/// How many words an option of the command takes; `None` for anything else.
fn words_of_option(command: &Command, word: &OsString) -> Option<usize> {
    let word = word.to_str()?;
    let takes_value = |arg: &Arg| usize::from(arg.get_action().takes_values());
    if let Some(long) = word.strip_prefix("--") {
        let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        return Some(1 + if has_value { 0 } else { takes_value(arg) });
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
    Some(1 + if letters.as_str().is_empty() { takes_value(arg) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &str) {
        let words = line.split(' ').map(OsString::from);
        let arranged = arrange(&super::super::command_line("conveyor"), words.collect());
        assert_eq!(arranged.join(std::ffi::OsStr::new(" ")), expect, "{line}");
    }

    #[test]
    fn words_for_codex_are_found_wherever_they_stand() {
        check("conveyor start p1", "conveyor start p1 --");
        check("conveyor start p1 --search --cwd /w fix", "conveyor start p1 --cwd /w -- --search fix");
        check("conveyor start -p prof p1 -mo3", "conveyor start p1 -mo3 -- -p prof");
        check(
            "conveyor start --cwd=/w --cd /x p1 -- --cwd /y",
            "conveyor start --cwd=/w p1 -- --cd /x --cwd /y",
        );
        check("conveyor start p1 --json -c a=1 --path db", "conveyor start p1 --json --path db -- -c a=1");
        check("conveyor --path db start p1 -x", "conveyor --path db start p1 -- -x");
        check("conveyor start p1 --cwd", "conveyor start p1 --cwd --");
        check("conveyor start --help", "conveyor start --help --");
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        check("conveyor", "conveyor");
        check("conveyor --version", "conveyor --version");
        check("conveyor tasks start --unknown", "conveyor tasks start --unknown");
        check("conveyor --unknown start p1 -x", "conveyor --unknown start p1 -x");
    }
}
