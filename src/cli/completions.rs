//! `conveyor completions`

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::command_line;
use super::output::Output;
use crate::domain::Failure;

/// Print a script that completes commands in a shell
///
/// For bash: conveyor completions bash > ~/.local/share/bash-completion/completions/conveyor
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script for the name the program was called by.
pub(super) fn run(args: &CompletionsArgs, program: &'static str, output: &mut Output) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line(program), program, &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = script.trim_end();
    output.answer(&json!({ "script": script, "shell": args.shell.to_string() }), || script.to_owned())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command_line("workerctl"), "workerctl", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("start-worker") && script.contains("workerctl"), "{shell}");
        }
    }
}
