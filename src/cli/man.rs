//! `conveyor man`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use serde_json::json;

use super::command_line;
use super::output::{self, Output};
use crate::actors::wire;
use crate::domain::Failure;

/// Print a manual page
///
/// Of the program, or of one of its commands. With --dir all of them are written into a directory,
/// where man finds them: conveyor man --dir ~/.local/share/man/man1
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command; without one the page of the program
    command: Option<String>,
    /// Write every page into this directory, made when it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints or writes pages for the name the program was called by.
pub(super) fn run(args: &ManArgs, program: &'static str, output: &mut Output) -> Result<u8, Failure> {
    let mut command_line = command_line(program);
    command_line.build();
    match (&args.dir, &args.command) {
        (Some(dir), _) => {
            let pages = write_all(&command_line, dir)?;
            if output.is_json() {
                output.answer(&json!({ "directory": dir, "pages": pages }), String::new)?;
            }
        }
        (None, None) => show(&command_line, output)?,
        (None, Some(name)) => show(find(&command_line, name)?, output)?,
    }
    Ok(0)
}

fn show(command: &Command, output: &mut Output) -> Result<(), Failure> {
    let page = page(command)?;
    let page = page.trim_end();
    output.answer(&json!({ "name": page_name(command), "page": page }), || page.to_owned())
}

fn find<'a>(command_line: &'a Command, name: &str) -> Result<&'a Command, Failure> {
    command_line.find_subcommand(name).ok_or_else(|| {
        let names: Vec<String> = shown(command_line).map(|command| command.get_name().to_owned()).collect();
        Failure::unknown_name("command", name, &names)
    })
}

/// Gives their names.
fn write_all(command_line: &Command, dir: &Path) -> Result<Vec<String>, Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::external(format!("failed to write {}: {error}", path.display()))
            .hint("name another directory with --dir")
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let mut pages = Vec::new();
    for command in std::iter::once(command_line).chain(shown(command_line)) {
        let path = dir.join(format!("{}.1", page_name(command)));
        fs::write(&path, page(command)?).map_err(|error| failed(&path, error))?;
        pages.push(page_name(command));
    }
    output::talk(&format!("wrote {} pages to {}", pages.len(), dir.display()));
    Ok(pages)
}

fn shown(command_line: &Command) -> impl Iterator<Item = &Command> {
    command_line.get_subcommands().filter(|command| !command.is_hide_set())
}

/// `conveyor` or `conveyor-start-worker`.
fn page_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-")
}

fn page(command: &Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    let source = format!("conveyor {}", wire::VERSION);
    let written = Man::new(command.clone()).title(page_name(command)).source(source).render(&mut page);
    written.map_err(|error| Failure::internal(format!("failed to write a manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shown_command_has_a_page() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("man1");
        let args = ManArgs { command: None, dir: Some(dir.clone()) };
        run(&args, "conveyor", &mut Output::new(false)).unwrap();
        let page = fs::read_to_string(dir.join("conveyor-start-worker.1")).unwrap();
        assert!(page.contains(".TH conveyor") && page.contains("accept\\-trust"), "{page}");
        assert!(dir.join("conveyor.1").is_file() && dir.join("conveyor-man.1").is_file());
        let hidden =
            command_line("conveyor").get_subcommands().filter(|command| command.is_hide_set()).count();
        let all = command_line("conveyor").get_subcommands().count();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1 + all - hidden);
    }

    #[test]
    fn a_page_of_a_command_that_is_none() {
        let args = ManArgs { command: Some("start-workr".into()), dir: None };
        assert_eq!(
            run(&args, "conveyor", &mut Output::new(false)).unwrap_err().hints[0],
            "did you mean start-worker?"
        );
    }
}
