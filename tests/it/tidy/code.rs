//! What may stand where in the code.

use super::source::{Kind, Source, Token};
use super::{Finding, find};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

/// Where processes may be started, besides test code.
const SPAWNERS: [&str; 2] = ["src/tmux", "src/codex"];

/// SQL outside the store.
pub(super) fn stray_sql(file: &Source, test_modules: &TestModules) -> Vec<Finding> {
    if file.path.starts_with("src/store") || test_modules.contains(file) {
        return Vec::new();
    }
    let sql = Regex::new(
        r"(?s)\bSELECT\b.*\bFROM\b|\bSELECT \d|\bINSERT\b.*\bINTO\b|\bUPDATE\b.*\bSET\b|\bDELETE FROM\b|\bPRAGMA \w|\b(CREATE|ALTER|DROP) TABLE\b",
    )
    .unwrap();
    let is_sql = |token: &&Token| token.kind == Kind::Literal && !token.in_test && sql.is_match(&token.text);
    file.tokens().iter().filter(is_sql).map(|token| find(file, token.line, "SQL outside src/store")).collect()
}

/// Processes started outside the places for it and the `exceptions`, which are files.
pub(super) fn stray_processes(
    file: &Source,
    exceptions: &[&str],
    test_modules: &TestModules,
) -> Vec<Finding> {
    let allowed = SPAWNERS.iter().chain(exceptions).any(|place| file.path.starts_with(place));
    if allowed || test_modules.contains(file) {
        return Vec::new();
    }
    spawns(file).into_iter().map(|line| find(file, line, "starts a process")).collect()
}

/// The lines that name the `Command` of a `process` module, outside test code.
pub(super) fn spawns(file: &Source) -> Vec<usize> {
    let tokens = file.tokens();
    let starts =
        tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "process" && pair[1].text == "::");
    let names_command = |index: usize| match tokens.get(index + 2) {
        Some(open) if open.text == "{" => {
            tokens[index..].iter().take_while(|token| token.text != "}").any(|token| token.text == "Command")
        }
        Some(name) => name.text == "Command",
        None => false,
    };
    let lines = starts.filter(|(index, pair)| !pair[0].in_test && names_command(*index));
    lines.map(|(_, pair)| pair[0].line).collect()
}

/// The only actors' files that may name other actors' types.
const PARENTS: [&str; 2] = ["src/actors/runtime.rs", "src/actors/guardian.rs"];

/// Addresses of concrete actors where only a `Recipient` is needed.
pub(super) fn named_actors(file: &Source, test_modules: &TestModules) -> Vec<Finding> {
    let is_parent = PARENTS.iter().any(|parent| file.path == Path::new(parent));
    if is_parent || !file.path.starts_with("src/actors") || test_modules.contains(file) {
        return Vec::new();
    }
    let tokens = file.tokens();
    let addresses = tokens.windows(2).filter(|pair| pair[0].text == "Addr" && pair[1].text == "<");
    addresses
        .filter(|pair| !pair[0].in_test)
        .map(|pair| find(file, pair[0].line, "names a concrete actor"))
        .collect()
}

/// Code that is not finished, and tests that do not run.
pub(super) fn unfinished(file: &Source) -> Vec<Finding> {
    let tokens = file.tokens();
    let unfinished = tokens.windows(2).filter(|pair| {
        let [first, second] = [pair[0].text.as_str(), pair[1].text.as_str()];
        matches!((first, second), ("todo" | "unimplemented", "!") | ("[", "ignore"))
    });
    unfinished.map(|pair| find(file, pair[0].line, format!("{}{}", pair[0].text, pair[1].text))).collect()
}

/// Tests that sleep instead of waiting for something. `exceptions` are the files that wait.
pub(super) fn sleeps(file: &Source, exceptions: &[&str], test_modules: &TestModules) -> Vec<Finding> {
    if exceptions.iter().any(|exception| file.path.starts_with(exception)) {
        return Vec::new();
    }
    let all_test = file.path.starts_with("tests") || test_modules.contains(file);
    let tokens = file.tokens();
    let sleeps = tokens.windows(2).filter(|pair| pair[0].text == "sleep" && pair[1].text == "(");
    sleeps
        .filter(|pair| all_test || pair[0].in_test)
        .map(|pair| find(file, pair[0].line, "sleeps in a test"))
        .collect()
}

/// The files that are modules under `#[cfg(test)]`.
#[derive(Default)]
pub(super) struct TestModules(BTreeSet<Vec<String>>);

impl TestModules {
    /// Looks for them in the declarations of all `files`.
    pub(super) fn of(files: &[Source]) -> Self {
        Self(files.iter().flat_map(test_modules).collect())
    }

    fn contains(&self, file: &Source) -> bool {
        let module = file.module();
        self.0.iter().any(|test| module.starts_with(test))
    }
}

fn test_modules(file: &Source) -> Vec<Vec<String>> {
    let tokens = file.tokens();
    let declared =
        tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";" && three[0].in_test);
    declared.map(|three| file.module().into_iter().chain([three[1].text.clone()]).collect()).collect()
}

/// A Rust file without a first line that says what it is about.
pub(super) fn undocumented(file: &Source) -> Vec<Finding> {
    if file.text.starts_with("//! ") { Vec::new() } else { vec![find(file, 1, "has no `//!` at its top")] }
}

/// A file too long to be about one thing.
pub(super) fn too_long(file: &Source, limit_lines: usize) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines <= limit_lines {
        Vec::new()
    } else {
        vec![find(file, lines, format!("has more than {limit_lines} lines"))]
    }
}

/// Exceptions that nothing needs any more.
pub(super) fn stale<'a>(
    exceptions: &[&'a str],
    files: &[Source],
    needs: impl Fn(&Source) -> bool,
) -> Vec<&'a str> {
    let needed = |exception: &&str| files.iter().any(|file| file.path == Path::new(exception) && needs(file));
    exceptions.iter().copied().filter(|exception| !needed(exception)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn check(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str, expect_lines: &[usize]) {
        let lines: Vec<usize> = rule(&source(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expect_lines, "{path}: {text}");
    }

    #[test]
    fn sql_stays_in_the_store() {
        let rule = |file: &Source| stray_sql(file, &TestModules::default());
        check(rule, "src/store/tasks.rs", r#"const A: &str = "SELECT id FROM tasks";"#, &[]);
        check(rule, "src/cli/tasks.rs", r#"const A: &str = "SELECT id FROM tasks";"#, &[1]);
        check(rule, "src/cli/tasks.rs", "let a = 1;\nlet b = r\"UPDATE t\nSET x = 1\";", &[2]);
        check(
            rule,
            "src/cli/tasks.rs",
            r#"f("PRAGMA user_version"); f("INSERT OR IGNORE INTO t"); f("SELECT 1")"#,
            &[1, 1, 1],
        );
        check(
            rule,
            "src/cli/tasks.rs",
            r#"/// Like SELECT a FROM b.
            fn f() { say("select a task from the list, or Update it and Set a name") }"#,
            &[],
        );
        check(
            rule,
            "src/cli/tasks.rs",
            r#"#[cfg(test)] mod tests { const A: &str = "DELETE FROM t"; }"#,
            &[],
        );
    }

    #[test]
    fn processes_start_where_they_may() {
        let rule = |file: &Source| stray_processes(file, &["src/cli/run.rs"], &TestModules::default());
        check(rule, "src/tmux/mod.rs", "use std::process::Command;", &[]);
        check(rule, "src/cli/run.rs", "use std::process::Command;", &[]);
        check(rule, "src/cli/tasks.rs", "use std::process::Command;", &[1]);
        check(rule, "src/cli/tasks.rs", "use std::process::{Stdio, Command};", &[1]);
        check(rule, "src/actors/tmux.rs", "\ntokio::process::Command::new(1)", &[2]);
        check(
            rule,
            "src/cli/man.rs",
            "use std::process::{ExitCode, id}; use clap::Command; Command::new(1)",
            &[],
        );
        check(rule, "src/cli/man.rs", "#[cfg(test)] mod tests { use std::process::Command; }", &[]);
    }

    #[test]
    fn actors_are_named_by_their_parents_only() {
        let rule = |file: &Source| named_actors(file, &TestModules::default());
        check(rule, "src/actors/guardian.rs", "struct A { task: Addr<Task> }", &[]);
        check(rule, "src/actors/session.rs", "struct A {\n task: Addr<Task> }", &[2]);
        check(rule, "src/actors/session.rs", "struct A { tell: Recipient<Wake> }", &[]);
        check(rule, "src/actors/session.rs", "#[cfg(test)] mod tests { fn a() -> Addr<A> {} }", &[]);
        check(rule, "src/store/mod.rs", "struct A { readers: Addr<Reader> }", &[]);
    }

    #[test]
    fn files_of_test_modules_are_test_code() {
        let files = [source("src/cli/mod.rs", "#[cfg(test)] mod fixtures; mod tasks;")];
        let test_modules = TestModules::of(&files);
        let spawning = "use std::process::Command;";
        assert!(stray_processes(&source("src/cli/fixtures.rs", spawning), &[], &test_modules).is_empty());
        assert_eq!(stray_processes(&source("src/cli/tasks.rs", spawning), &[], &test_modules).len(), 1);
    }

    #[test]
    fn nothing_is_left_unfinished() {
        check(unfinished, "src/a.rs", "fn f() {\n todo!()\n}\nfn g() { unimplemented!(\"x\") }", &[2, 4]);
        check(
            unfinished,
            "src/a.rs",
            "#[test]\n#[ignore]\nfn f() {}\n#[ignore = \"slow\"] fn g() {}",
            &[2, 4],
        );
        check(
            unfinished,
            "src/a.rs",
            "let todo = 1; // todo!\nlet s = \"todo!()\"; let t = [x, ignore];",
            &[],
        );
    }

    #[test]
    fn tests_do_not_sleep() {
        let rule = |file: &Source| sleeps(file, &["tests/it/wait.rs"], &TestModules::default());
        check(rule, "tests/it/a.rs", "std::thread::sleep(x)", &[1]);
        check(rule, "tests/it/wait.rs", "std::thread::sleep(x)", &[]);
        check(
            rule,
            "src/a.rs",
            "fn f() { sleep(x) }\n#[cfg(test)] mod t {\n fn f() { tokio::time::sleep(x) } }",
            &[3],
        );
        check(rule, "tests/it/a.rs", "run(\"sleep (1)\"); let sleep = 1;", &[]);
    }

    #[test]
    fn files_are_short_and_say_what_they_are_about() {
        check(undocumented, "src/a.rs", "//! About.\n", &[]);
        check(undocumented, "src/a.rs", "use a;\n//! About.\n", &[1]);
        check(|file| too_long(file, 2), "src/a.rs", "1\n2\n", &[]);
        check(|file| too_long(file, 2), "src/a.rs", "1\n2\n3", &[3]);
    }

    #[test]
    fn an_exception_nobody_needs_is_found() {
        let files = [source("src/a.rs", "x"), source("src/b.rs", "")];
        let needs = |file: &Source| !file.text.is_empty();
        assert_eq!(stale(&["src/a.rs", "src/b.rs", "src/c.rs"], &files, needs), ["src/b.rs", "src/c.rs"]);
    }
}
