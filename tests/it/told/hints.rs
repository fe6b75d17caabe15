//! What errors and answers suggest: the texts are taken from the program's own code.

use super::check;
use crate::tidy::source::{self, Kind, Source};
use regex::Regex;

/// Where command lines are no suggestions: the demonstration tells what was run, the plans are carried
/// out by a test of their own, and tmux and Codex are other programs.
const ELSEWHERE: [&str; 4] = ["src/cli/demo", "src/cli/qa", "src/codex", "src/tmux"];

/// The text of a string literal, as far as a command line needs it.
fn text(literal: &str) -> String {
    let text = literal.trim_start_matches('r').trim_matches('#');
    let text = Regex::new(r"\\\n\s*").unwrap().replace_all(text, "").into_owned();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text);
    text.replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\")
}

/// The command lines in a text of the program: in backticks, at its start, or behind a colon.
fn lines_in(text: &str) -> Vec<String> {
    let quoted = Regex::new(r"`((?:conveyor|\{program\}|\{\}) [a-z][^`]*)`").unwrap();
    let bare = Regex::new(r"(?:^|: )((?:conveyor|\{program\}) ([a-z][^`]*))$").unwrap();
    // Prose may begin like a command line, but has neither flags nor what is filled in.
    let is_line = |line: &regex::Captures<'_>| line[2].contains("--") || line[2].contains('{');
    let found = quoted.captures_iter(text).chain(bare.captures_iter(text).filter(is_line));
    found.map(|line| completed(&line[1])).collect()
}

/// With something in place of what the program fills in.
fn completed(line: &str) -> String {
    let line = Regex::new(r"^\{\w*\}").unwrap().replace(line, "conveyor");
    let line = Regex::new(r"-\{[^}]*\}").unwrap().replace_all(&line, "-worker");
    let line = line.replace("{{", "{").replace("}}", "}");
    let filled_in = Regex::new(r"\{([\w.]*)\}").unwrap();
    filled_in
        .replace_all(&line, |name: &regex::Captures<'_>| match &name[1] {
            "" => "1".to_owned(),
            name => name.rsplit('.').next().unwrap_or(name).to_uppercase(),
        })
        .into_owned()
}

fn lines(file: &Source) -> Vec<(String, String)> {
    let tokens = file.tokens();
    let texts = tokens.iter().filter(|token| token.kind == Kind::Literal && !token.in_test);
    let place = |line: usize| format!("{}:{line}", file.path.display());
    texts
        .flat_map(|token| lines_in(&text(&token.text)).into_iter().map(move |line| (place(token.line), line)))
        .collect()
}

#[test]
fn what_the_program_suggests_is_there() {
    let mut files = source::program();
    files.retain(|file| !ELSEWHERE.iter().any(|place| file.path.starts_with(place)));
    let lines: Vec<(String, String)> = files.iter().flat_map(lines).collect();
    check(&lines, 80);
}

#[test]
fn suggestions_are_found_in_the_code() {
    let code = r#"fn f() {
        hint("see them: `conveyor tasks`; then go on");
        hint(format!("conveyor unbind --task {}", task.name));
        hint(format!("{program} register-{} --name {session.name}"));
        hint(format!("look again: conveyor cycle {task}"));
        say("conveyor is a program");
        say("the build of conveyor that made it");
    }
    #[cfg(test)] fn g() { hint("`conveyor nothing`") }"#;
    let file = Source { path: "src/a.rs".into(), text: code.into() };
    let found: Vec<String> = lines(&file).into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        found,
        [
            "conveyor tasks",
            "conveyor unbind --task 1",
            "conveyor register-worker --name NAME",
            "conveyor cycle TASK"
        ]
    );
}
