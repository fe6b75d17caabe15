//! `cargo xtask captures`: what the documents show of the program, made by the program.
//!
//! A demonstration is played and kept; what the views say of it goes between the markers in the
//! README: `<!-- capture: NAME -->` and `<!-- end of capture -->`.

use crate::error::{Error, Result};
use crate::process::{cargo, output};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What is shown: the name in the marker, and the command below the demonstration's state root.
const CAPTURES: [(&str, &[&str]); 1] = [("replay", &["replay", "haiku"])];

/// The document with the captures.
const DOCUMENT: &str = "README.md";

const END: &str = "<!-- end of capture -->";

/// Plays the demonstration, captures the views, and puts them into the document.
pub(crate) fn captures(codex: bool) -> Result {
    let played = conveyor(&demo(codex), None)?;
    let report: Value =
        serde_json::from_str(&played).map_err(|source| Error::Json { what: "demo", source })?;
    let kept = PathBuf::from(report["kept"].as_str().unwrap_or_default());
    let captured = capture_all(&kept.join("state"));
    fs::remove_dir_all(&kept).map_err(|source| Error::File { path: kept, source })?;

    let path = crate::root().join(DOCUMENT);
    let file = |source| Error::File { path: path.clone(), source };
    let mut text = fs::read_to_string(&path).map_err(file)?;
    for (name, command, shown) in captured? {
        text = replaced(&text, name, &command, &shown).ok_or(Error::NoMarker { name })?;
    }
    fs::write(&path, text).map_err(file)
}

fn demo(codex: bool) -> Vec<&'static str> {
    let flags: &[&str] = if codex { &["--codex", "--yes"] } else { &[] };
    [&["demo", "--keep", "--json"], flags].concat()
}

type Captured = (&'static str, String, String);

fn capture_all(state_root: &Path) -> Result<Vec<Captured>> {
    let capture = |(name, args): (&'static str, &[&str])| {
        Ok((name, format!("conveyor {}", args.join(" ")), conveyor(args, Some(state_root))?))
    };
    CAPTURES.into_iter().map(capture).collect()
}

fn conveyor(args: &[&str], state_root: Option<&Path>) -> Result<String> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "conveyor", "--bin", "conveyor", "--"]).args(args);
    if let Some(root) = state_root {
        command.env("CONVEYOR_STATE_ROOT", root);
    }
    output(&mut command)
}

/// The document with another text between the markers of a capture; `None` where it has no such markers.
fn replaced(document: &str, name: &str, command: &str, shown: &str) -> Option<String> {
    let begin = format!("<!-- capture: {name} -->\n");
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    let shown = shown.trim_end();
    Some(format!("{before}{begin}```console\n$ {command}\n{shown}\n```\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_stands_between_its_markers() {
        let document = "a\n<!-- capture: x -->\nold\n<!-- end of capture -->\nb\n";
        let expect =
            "a\n<!-- capture: x -->\n```console\n$ conveyor x\nnew\n```\n<!-- end of capture -->\nb\n";
        assert_eq!(replaced(document, "x", "conveyor x", "new\n").as_deref(), Some(expect));
        assert_eq!(replaced(expect, "x", "conveyor x", "new").as_deref(), Some(expect), "again");
        assert_eq!(replaced(document, "y", "c", "new"), None);
        assert_eq!(replaced("<!-- capture: x -->\n", "x", "c", "new"), None);
    }

    #[test]
    fn the_document_has_the_markers_of_every_capture_and_what_they_showed() {
        let document = fs::read_to_string(crate::root().join(DOCUMENT)).unwrap();
        for (name, args) in CAPTURES {
            let begin = format!("<!-- capture: {name} -->\n```console\n$ conveyor {}\n", args.join(" "));
            assert!(document.contains(&begin), "{DOCUMENT} shows no {name}: run `cargo xtask captures`");
            assert!(replaced(&document, name, "", "").is_some(), "{DOCUMENT}: the capture {name} has no end");
        }
    }
}
