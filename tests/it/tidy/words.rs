//! Words that have no place in the repository.

use super::source::Source;
use super::{Finding, find};
use regex::Regex;

/// Notes to oneself, numbers of a tracker that a reader cannot open, and directories of one
/// machine. In pieces, so that this file has none of them.
const UNWANTED: [&str; 5] = [
    concat!(r"\bFIX", r"ME\b"),
    concat!(r"\bXX", r"X\b"),
    concat!(r"(?i)\bissue", r" #?\d"),
    concat!(r#"(^|[\s"'`(=:])/wo"#, "rk/"),
    concat!(r"/root", r"/\w"),
];

/// The lines with such a word.
pub(super) fn unwanted(file: &Source) -> Vec<Finding> {
    let unwanted = Regex::new(&UNWANTED.join("|")).unwrap();
    let lines = file.text.lines().zip(1..);
    lines.filter_map(|(text, line)| Some(find(file, line, unwanted.find(text)?.as_str().trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwanted_words_are_found() {
        fn check(text: &str, expect: &[&str]) {
            let file = Source { path: "README.md".into(), text: text.into() };
            let found: Vec<String> = unwanted(&file).into_iter().map(|finding| finding.what).collect();
            assert_eq!(found, expect, "{text}");
        }
        check(concat!("a\n// FIX", "ME later"), &[concat!("FIX", "ME")]);
        check(concat!("see Issue", " #12 and issue", " 3"), &[concat!("Issue", " #1")]);
        check(concat!("cd /wo", "rk/tree"), &[concat!("/wo", "rk/")]);
        check("[ROOT]/work/worker, the network/work, an issue with 2 parts", &[]);
    }
}
