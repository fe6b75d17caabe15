//! Which part of the program may know which.

use super::source::{Kind, Source, Token};
use super::{Finding, find};
use std::collections::BTreeSet;

/// The parts, lowest first. A part may use the parts below it, never one beside or above it.
const LAYERS: [&[&str]; 6] =
    [&["domain"], &["fault", "own_dir"], &["store", "codex", "tmux"], &["reports"], &["actors"], &["cli"]];

/// The names that are used but are no part: macros, which stand at the root of the crate.
fn rank(part: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&part))
}

/// Uses that point up or sideways.
pub(super) fn wrong_uses(file: &Source) -> Vec<Finding> {
    let module = file.module();
    let Some(part) = module.first() else { return Vec::new() };
    let Some(own) = rank(part) else { return Vec::new() };
    let is_wrong = |used: &Token| used.text != *part && rank(&used.text).is_some_and(|used| used >= own);
    let used = uses(&file.tokens(), module.len());
    used.iter()
        .filter(|used| is_wrong(used))
        .map(|used| find(file, used.line, format!("{part} uses {}", used.text)))
        .collect()
}

/// Modules at the root of the crate that have no place in the order.
pub(super) fn unplaced(files: &[Source]) -> BTreeSet<String> {
    let parts = files.iter().filter_map(|file| file.module().into_iter().next());
    let programs = ["main", "bin"];
    parts.filter(|part| rank(part).is_none() && !programs.contains(&part.as_str())).collect()
}

/// The names that are looked up at the root of the crate, in a file `depth` modules below it.
fn uses(tokens: &[Token], depth: usize) -> Vec<Token> {
    let mut uses = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Name || (index > 0 && tokens[index - 1].text == "::") {
            continue;
        }
        let rest = &tokens[index..];
        let ups = rest.iter().step_by(2).take_while(|token| token.text == "super").count();
        let reaches_root = ups > 0 && ups == depth + token.depth;
        if token.text == "crate" && is_path(rest, 1) {
            uses.extend(names(&rest[2..]));
        } else if reaches_root && is_path(rest, 2 * ups - 1) {
            uses.extend(names(&rest[2 * ups..]));
        }
    }
    uses
}

fn is_path(tokens: &[Token], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| token.text == "::")
}

/// The name that follows, or the first of each path in the braces that follow.
fn names(tokens: &[Token]) -> Vec<Token> {
    if tokens.first().is_none_or(|token| token.text != "{") {
        return tokens.first().into_iter().cloned().collect();
    }
    let mut nesting = 0;
    let mut names = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => nesting += 1,
            "}" => nesting -= 1,
            _ => {}
        }
        let starts_path = pair[0].text == "," || pair[0].text == "{";
        match nesting {
            0 => break,
            1 if starts_path && pair[1].kind == Kind::Name => names.push(pair[1].clone()),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expect: &[&str]) {
        let file = Source { path: path.into(), text: text.into() };
        let found: Vec<String> = wrong_uses(&file).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, expect, "{path}: {text}");
    }

    #[test]
    fn a_use_may_only_point_down() {
        check("src/cli/tasks.rs", "use crate::actors::Call; use crate::domain::Failure;", &[]);
        check(
            "src/store/tasks.rs",
            "use crate::domain::Failure; use super::rows; use crate::store::rows;",
            &[],
        );
        check("src/domain/ids.rs", "use crate::store::rows;", &["domain uses store"]);
        check("src/store/tasks.rs", "use crate::codex::rollout;", &["store uses codex"]);
        check("src/actors/task.rs", "fn f() { crate::cli::show(1) }", &["actors uses cli"]);
        check("src/actors/task.rs", "use crate::{cli::show, domain::{a, cli}, store};", &["actors uses cli"]);
        check("src/actors/task.rs", "use crate::{domain::{a, b}, cli};", &["actors uses cli"]);
        check("src/lib.rs", "pub use crate::cli;", &[]);
    }

    #[test]
    fn a_use_through_super_is_followed_to_the_root() {
        check("src/store/mod.rs", "use super::actors;", &["store uses actors"]);
        check("src/store/tasks.rs", "use super::actors;", &[]);
        check("src/store/tasks.rs", "use super::super::actors;", &["store uses actors"]);
        check("src/store/mod.rs", "mod tests { use super::actors; }", &[]);
        check(
            "src/store/mod.rs",
            "mod tests { use super::super::{cli, actors}; }",
            &["store uses cli", "store uses actors"],
        );
    }

    #[test]
    fn macros_and_names_of_others_are_no_parts() {
        check(
            "src/domain/ids.rs",
            "use crate::for_each_call; use other::crate_::cli; let cli = store::x;",
            &[],
        );
        check("src/domain/ids.rs", "$crate::cli::x!()", &["domain uses cli"]);
    }

    #[test]
    fn a_new_part_must_be_given_a_place() {
        let file = |path: &str| Source { path: path.into(), text: String::new() };
        let files =
            ["src/main.rs", "src/bin/workerctl.rs", "src/lib.rs", "src/store/mod.rs", "src/net/mod.rs"]
                .map(file);
        assert_eq!(unplaced(&files), BTreeSet::from(["net".to_owned()]));
    }
}
