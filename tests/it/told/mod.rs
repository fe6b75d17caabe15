//! What people and sessions are told to type works: each command line of a plan, a skill, a prompt,
//! a hint and the documentation is taken and run.

mod documents;
mod hints;
mod plans;
mod prompts;

use crate::support::World;
use crate::support::run::Run;
use regex::Regex;
use std::path::Path;
use std::process::Command;

/// Names of values that the program does not explain when it refuses them, with one that it takes.
const VALUES: [(&str, &str); 4] = [
    ("AT", "2026-01-01T00:00:00Z"),
    ("PERMISSION", "repo.open_pr"),
    ("REVIEW_PERMISSION", "repo.open_pr"),
    ("UNTIL", "2026-01-01T00:00:00Z"),
];

/// Commands that go on until something happens, start programs, or ask which session they run in: of
/// them the line is only read, with `--help` behind it.
const ONLY_READ: [&str; 8] =
    ["demo", "pair", "register-manager", "register-worker", "run", "start-manager", "start-worker", "wait"];

/// Flags with which a command goes on, or needs a document to be handed in.
const ONLY_READ_WITH: [&str; 3] = ["--from-stdin", "--wait", "--watch"];

/// The words of a command line, as a shell reads them.
fn words(line: &str) -> Vec<String> {
    let mut shell = Command::new("/bin/sh");
    let run = Run::of(shell.args(["-c", &format!("printf '%s\\0' {line}")]), "").ok();
    run.stdout.split_terminator('\0').map(str::to_owned).collect()
}

/// Runs a command line of ours, or of tmux, in `directory` of this world.
fn run(world: &World, directory: &Path, line: &str) -> Run {
    let words = words(line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&("conveyor" | "workerctl"), args)) => world.conveyor_in(directory, args, "{}"),
        Some((&"tmux", args)) => world.tmux(args, ""),
        _ => panic!("neither ours nor tmux's: {line}"),
    }
}

/// The line with a value for everything that a person fills in: `TASK`, `<task>`, `…`. Most become a name,
/// as `task1`.
fn filled(line: &str) -> String {
    let angled = Regex::new("<([a-z-]+)>").unwrap();
    let line =
        angled.replace_all(line, |found: &regex::Captures<'_>| found[1].to_uppercase().replace('-', "_"));
    let capitals = Regex::new(r"\b[A-Z][A-Z_]*\b").unwrap();
    let value = |found: &regex::Captures<'_>| {
        let known = VALUES.iter().find(|(name, _)| *name == &found[0]);
        known.map_or_else(|| format!("{}1", found[0].to_lowercase()), |(_, value)| (*value).to_owned())
    };
    // What stands in quotes is a text, not a name.
    let parts: Vec<String> =
        line.split('\'')
            .enumerate()
            .map(|(index, part)| {
                if index % 2 == 0 { capitals.replace_all(part, value).into_owned() } else { part.to_owned() }
            })
            .collect();
    let missing_value = Regex::new("(--[a-z-]+) …").unwrap();
    missing_value.replace_all(&parts.join("'"), "$1 x").replace(":…", ":1").replace('…', "")
}

/// Whether running it shows nothing that reading it would not.
fn only_read(words: &[String]) -> bool {
    let by_flag = words.iter().any(|word| ONLY_READ_WITH.contains(&word.as_str()));
    words.len() < 3 || by_flag || ONLY_READ.contains(&words[1].as_str())
}

/// Why a command line is none of this program: it must be understood as a whole, and, where that does
/// no harm, carried out or refused for what it finds.
fn objection(world: &World, line: &str) -> Option<String> {
    let mut line = filled(line);
    loop {
        let read = only_read(&words(&line));
        let run = run(world, world.root(), &if read { format!("{line} --help") } else { line.clone() });
        let understood =
            if read { run.status == Some(0) } else { run.status.is_some_and(|status| status != 2) };
        if understood {
            return None;
        }
        let Some(better) = with_better_value(&line, &run.stderr) else { return Some(run.text()) };
        line = better;
    }
}

/// The line with a value that the program takes, in place of a name that it took for one.
fn with_better_value(line: &str, refusal: &str) -> Option<String> {
    let refused = Regex::new("invalid value '([a-z_]+1)' for '[^']*[A-Z_]+").unwrap().captures(refusal)?;
    let possible = Regex::new(r"possible values: ([\w-]+)").unwrap().captures(refusal);
    let value = possible.map_or_else(|| "1".to_owned(), |possible| possible[1].to_owned());
    let name = Regex::new(&format!(r"(^|[ =]){}( |$)", &refused[1])).unwrap();
    let better = name.replace(line, format!("${{1}}{value}${{2}}")).into_owned();
    (better != line).then_some(better)
}

/// Holds every line to the program; there must be at least `least` of them.
#[track_caller]
fn check(lines: &[(String, String)], least: usize) {
    let world = World::new();
    let objections: Vec<String> = lines
        .iter()
        .filter_map(|(place, line)| Some(format!("{place}: {line}\n{}", objection(&world, line)?)))
        .collect();
    assert!(objections.is_empty(), "{} lines:\n{}", objections.len(), objections.join("\n"));
    assert!(lines.len() >= least, "only {}: {lines:#?}", lines.len());
}

#[test]
fn a_line_that_is_none_is_found() {
    let world = World::new();
    let check = |line: &str, good: bool| {
        assert_eq!(objection(&world, line).is_none(), good, "{line}");
    };
    check("conveyor tasks --create TASK --goal 'All of it'", true);
    check("conveyor cycle <task> --json", true);
    check("conveyor criteria NOBODY --satisfy ID", true);
    check("conveyor pair --task TASK --worker-name A --manager-name B", true);
    check("conveyor tasks", true);
    check("conveyor completions SHELL", true);
    check("conveyor deliveries settle ID --as failed --reason …", true);
    check("conveyor taskss", false);
    check("conveyor cycle TASK --jsonn", false);
    check("conveyor sessions --role boss", false);
    check("conveyor pair --task TASK --worker W", false);
    check("conveyor criteria TASK --satisfy first", false);
}
