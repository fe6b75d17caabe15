//! The rules of the tree, as tests. Each rule is a function from files to findings; beside it
//! stands a test that shows what it finds.

mod code;
mod faults;
mod layers;
pub(crate) mod source;
mod words;

use code::TestModules;
use source::Source;
use std::fmt;

/// Files outside `src/tmux` and `src/codex` that may start a process.
const SPAWNING: [&str; 9] = [
    "src/actors/evidence/mod.rs",
    "src/actors/git.rs",
    "src/actors/job.rs",
    "src/actors/reviewer/surroundings.rs",
    "src/actors/sandbox/landlock.rs",
    "src/actors/sandbox/mod.rs",
    "src/actors/tools.rs",
    "src/cli/demo/program.rs",
    "src/cli/run.rs",
];

/// The places of the tests that let time pass between two looks at a condition.
const WAITING: [&str; 3] = ["src/actors/testing/mod.rs", "src/tmux/testing.rs", "tests/it/support/wait.rs"];

/// No file is longer; most are far shorter.
const LIMIT_LINES: usize = 500;

/// Everything people write.
const WRITTEN: [&str; 12] = [
    "src",
    "skills",
    "tests",
    "xtask",
    ".ci",
    ".cargo",
    ".config",
    "Cargo.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "deny.toml",
];

/// A place that breaks a rule.
struct Finding {
    place: String,
    line: usize,
    what: String,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place, self.line, self.what)
    }
}

fn find(file: &Source, line: usize, what: impl Into<String>) -> Finding {
    Finding { place: file.path.display().to_string(), line, what: what.into() }
}

/// Holds every file to `rule`. There must be files: a rule that sees none proves nothing.
#[track_caller]
fn hold(files: &[Source], rule: impl Fn(&Source) -> Vec<Finding>) {
    assert!(!files.is_empty());
    let findings: Vec<Finding> = files.iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn dependencies_point_one_way() {
    let program = source::program();
    hold(&program, layers::wrong_uses);
    assert!(layers::unplaced(&program).is_empty(), "not in LAYERS: {:?}", layers::unplaced(&program));
}

#[test]
fn actors_hold_recipients() {
    let program = source::program();
    let test_modules = TestModules::of(&program);
    hold(&program, |file| code::named_actors(file, &test_modules));
}

#[test]
fn sql_stands_only_in_the_store() {
    let program = source::program();
    let test_modules = TestModules::of(&program);
    hold(&program, |file| code::stray_sql(file, &test_modules));
}

#[test]
fn processes_are_started_only_where_that_is_the_subject() {
    let program = source::program();
    let test_modules = TestModules::of(&program);
    hold(&program, |file| code::stray_processes(file, &SPAWNING, &test_modules));
    let stale = code::stale(&SPAWNING, &program, |file| !code::spawns(file).is_empty());
    assert!(stale.is_empty(), "these start no process: {stale:?}");
}

#[test]
fn fault_points_stand_where_they_say_and_are_tested() {
    let program = source::program();
    hold(&program, faults::misplaced);
    assert_eq!(faults::not_once(&program), [""; 0]);
    assert_eq!(faults::untested(&source::rust(&["tests"])), [""; 0]);
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    hold(&source::rust(&["src", "tests", "xtask"]), code::unfinished);
}

#[test]
fn tests_wait_for_conditions() {
    let files = source::rust(&["src", "tests", "xtask"]);
    let test_modules = TestModules::of(&files);
    hold(&files, |file| code::sleeps(file, &WAITING, &test_modules));
}

#[test]
fn every_file_says_what_it_is_about_in_few_lines() {
    let files = source::rust(&["src", "tests", "xtask"]);
    hold(&files, code::undocumented);
    hold(&files, |file| code::too_long(file, LIMIT_LINES));
}

#[test]
fn the_repository_speaks_for_itself() {
    hold(&source::files(&WRITTEN), words::unwanted);
}
