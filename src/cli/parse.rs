//! From the words of the command line to what is asked for.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches};

use super::{Cli, Everywhere, HELP_TEMPLATE, passthrough};
use crate::actors::Request;

/// The whole command line as clap sees it, under the given program name.
pub(super) fn command_line(program: &'static str) -> clap::Command {
    let mut command = Cli::command().name(program).bin_name(program);
    for call in calls_of_verbs(&command) {
        command = command.mut_subcommand(call, |call| call.hide(true));
    }
    command.mut_subcommands(|command| {
        let verbs = |verb: clap::Command| verb.help_template(HELP_TEMPLATE);
        command.disable_help_subcommand(true).help_template(HELP_TEMPLATE).mut_subcommands(verbs)
    })
}

/// The calls that people make as the verb of a noun: `deliveries-settle` as `deliveries settle`.
fn calls_of_verbs(command: &clap::Command) -> Vec<String> {
    let verbs = |noun: &clap::Command| {
        noun.get_subcommands()
            .map(|verb| format!("{}-{}", noun.get_name(), verb.get_name()))
            .collect::<Vec<_>>()
    };
    command.get_subcommands().flat_map(verbs).collect()
}

pub(super) fn parse(program: &'static str, args: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.collect();
    match parse_alone(program, &args) {
        Some(cli) => Ok(cli),
        None => parse_among_all(program, args),
    }
}

/// The words as the call reads them whose name comes first, if it can. Most lines are such, and the
/// whole command line takes longer to build than most calls to be served.
fn parse_alone(program: &'static str, words: &[OsString]) -> Option<Cli> {
    let name = words.get(1)?.to_str().filter(|name| *name != passthrough::SHARED)?;
    let command_line =
        Everywhere::augment_args(clap::Command::new(program)).subcommand(Request::command(name)?);
    let matches = command_line.try_get_matches_from(words).ok()?;
    Cli::from_arg_matches(&matches).ok().filter(|cli| cli.command.is_some())
}

/// The words as the whole command line reads them, which knows what to say of those it cannot.
fn parse_among_all(program: &'static str, args: Vec<OsString>) -> Result<Cli, ExitCode> {
    let command_line = command_line(program);
    let args = passthrough::arrange(&command_line, args);
    let matches = command_line.try_get_matches_from(args);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        // The terminal may be gone; there is nobody left to tell.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use clap::Subcommand;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        ["conveyor"].into_iter().chain(line.split(' ')).map(OsString::from).collect()
    }

    #[test]
    fn every_call_is_known_alone_with_the_same_arguments() {
        let arguments = |command: &clap::Command| -> Vec<String> {
            command.get_arguments().map(|argument| format!("{argument:?}")).collect()
        };
        let all = Request::augment_subcommands(clap::Command::new("conveyor"));
        for call in all.get_subcommands() {
            let alone = Request::command(call.get_name()).unwrap_or_else(|| panic!("{}", call.get_name()));
            assert_eq!((alone.get_name(), arguments(&alone)), (call.get_name(), arguments(call)));
        }
    }

    #[test]
    fn a_call_alone_is_read_as_among_all() {
        let check = |line: &str| {
            let alone = parse_alone("conveyor", &words(line)).unwrap_or_else(|| panic!("{line}"));
            let among_all = parse_among_all("conveyor", words(line)).unwrap();
            assert_eq!(format!("{alone:?}"), format!("{among_all:?}"), "{line}");
        };
        check("tasks --json");
        check("cycle t1 --path /tmp/x.db");
        check("deliveries settle 1 --as failed --reason looked --json");
        check("criteria t1 --satisfy 1 --run -- make test --json");
        check("session-nudge w1 start");
    }

    #[test]
    fn what_is_more_than_a_call_is_left_to_the_whole_command_line() {
        for line in
            ["tasks --help", "tasks --nothing", "ta-sks", "start w1 --yolo", "run", "--json tasks", "nothing"]
        {
            assert!(parse_alone("conveyor", &words(line)).is_none(), "{line}");
        }
        assert!(parse_alone("conveyor", &[]).is_none());
    }
}
