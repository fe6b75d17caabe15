//! Whether a program reads what is typed into a pane, where tmux names a shell: it names the first
//! process of the foreground, and a program that a shell runs from a script stands behind that shell.

use crate::codex::discover::{ProcessTable, Tty, system_processes};
use crate::tmux::is_shell;

/// Whether one of `pids` reads what is typed into the pane that `pane_pid` was started in: a program, or
/// a script with what it runs. Blocks.
pub(super) fn program_reads(pane_pid: u32, pids: &[u32]) -> bool {
    let processes = system_processes();
    match processes.tty(pane_pid) {
        Ok(Some(pane)) => pids.iter().any(|pid| reads(&*processes, *pid, &pane)),
        _ => false,
    }
}

fn reads(processes: &dyn ProcessTable, pid: u32, pane: &Tty) -> bool {
    let arguments = processes.arguments(pid).unwrap_or_default();
    let Some((program, arguments)) = arguments.split_first() else { return false };
    if !is_shell(program) {
        return processes
            .tty(pid)
            .is_ok_and(|tty| tty.is_some_and(|tty| tty.in_foreground && tty.device == pane.device));
    }
    let children = processes.children(pid).unwrap_or_default();
    runs_a_script(arguments) && children.into_iter().all(|child| reads(processes, child, pane))
}

/// Whether a shell that was started so runs what it was given, not what is typed. Where that is not
/// plain, it is taken to run what is typed.
fn runs_a_script(arguments: &[String]) -> bool {
    let flags: Vec<&String> = arguments.iter().take_while(|argument| argument.starts_with('-')).collect();
    let has = |flag: char| flags.iter().any(|word| !word.starts_with("--") && word.contains(flag));
    let names_a_script = flags.is_empty() && !arguments.is_empty();
    (names_a_script || has('c')) && !has('i')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_that_run_a_script() {
        fn check(line: &str, expected: bool) {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(runs_a_script(&arguments), expected, "{line}");
        }
        check("", false);
        check("-i", false);
        check("-l", false);
        check("--norc", false);
        check("--rcfile mine", false);
        check("-o vi", false);
        check("-s word", false);
        check("-ic codex", false);
        check("-c codex", true);
        check("-lc codex", true);
        check("--norc -c codex", true);
        check("/usr/bin/codex --model x -i", true);
    }
}
