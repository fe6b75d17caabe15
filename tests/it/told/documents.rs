//! The skills and the documentation.

use super::check;
use crate::tidy::source::{Source, files};
use regex::Regex;

/// The command lines of ours in a Markdown text: in blocks of code, and in the prose between.
fn lines(file: &Source) -> Vec<(String, String)> {
    let prose = Regex::new("`((?:conveyor|workerctl) [a-z][^`]*)`").unwrap();
    let block = Regex::new(r"(?:^|\$\(|\$ )((?:conveyor|workerctl) [a-z][^)]*)").unwrap();
    let mut in_block = false;
    let mut found = Vec::new();
    for line in file.text.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let pattern = if in_block { &block } else { &prose };
        found.extend(
            pattern.captures_iter(line).map(|line| (file.path.display().to_string(), line[1].to_owned())),
        );
    }
    found
}

fn lines_of(places: &[&str]) -> Vec<(String, String)> {
    let mut files = files(places);
    files.retain(|file| file.path.extension().is_some_and(|extension| extension == "md"));
    files.iter().flat_map(lines).collect()
}

#[test]
fn the_skills_name_what_there_is() {
    check(&lines_of(&["skills"]), 40);
}

#[test]
fn the_documentation_names_what_there_is() {
    check(&lines_of(&["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"]), 10);
}

#[test]
fn lines_are_found_in_blocks_and_in_prose() {
    let text = "Say `conveyor cycle T` and `cycle`.\n```sh\nconveyor pair \\\n  --task T   # a pair\nx=$(conveyor wait --for exit)\n```\nconveyor is";
    let file = Source { path: "a.md".into(), text: text.into() };
    let found: Vec<String> = lines(&file).into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        found,
        ["conveyor cycle T", "conveyor pair    --task T   # a pair", "conveyor wait --for exit"]
    );
}
