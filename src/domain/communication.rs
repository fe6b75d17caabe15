//! How a session can be told something, as registration and the lists of sessions show it.

use serde::{Deserialize, Serialize};

use super::Role;
use super::transport::{Reachable, TransportKind, delivery_mode};

/// What is known about a session that decides how it can be told something.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Which side it is on.
    pub role: Role,
    /// The tmux session it runs in.
    pub tmux_session: Option<&'a str>,
    /// Its Codex thread is known.
    pub has_thread: bool,
    /// Its ways in.
    pub reachable: &'a Reachable,
    /// The name this program is called by, for the command that polls.
    pub program: &'a str,
}

/// The `communication` block of a session. All but `transports` are agent-conveyor's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Communication {
    /// `tmux`, `codex_app` or `unknown`.
    pub session_kind: String,
    /// `push`: it is told at once. `pull`: it has to ask.
    pub receive_style: String,
    /// What Dispatch records for it: `push` or `pull_required`.
    pub delivery_mode: String,
    /// Text can be typed into its terminal.
    pub can_receive_push: bool,
    /// It can read its mailbox.
    pub can_receive_pull: bool,
    /// Nothing reaches it unless it polls.
    pub requires_polling: bool,
    /// Which fact decided the kind.
    pub detection_source: String,
    /// The command that reads its mailbox, with `<task>` to fill in.
    pub poll_command_template: String,
    /// The tmux session it runs in.
    pub tmux_session: Option<String>,
    /// What can be used to reach it, best first. The mailbox is always among them.
    pub transports: Vec<TransportKind>,
}

impl Communication {
    /// The block for a session.
    pub fn of(known: Known<'_>) -> Self {
        let in_tmux = known.tmux_session.is_some();
        let (kind, source) = match (in_tmux, known.has_thread) {
            (true, _) => ("tmux", "tmux_session"),
            (false, true) => ("codex_app", "codex_session_without_tmux"),
            (false, false) => ("unknown", "no_tmux_and_no_codex_session"),
        };
        let program = if known.program.is_empty() { "conveyor" } else { known.program };
        Self {
            session_kind: kind.to_owned(),
            receive_style: if in_tmux { "push" } else { "pull" }.to_owned(),
            delivery_mode: delivery_mode(in_tmux).to_owned(),
            can_receive_push: in_tmux,
            can_receive_pull: true,
            requires_polling: !in_tmux,
            detection_source: source.to_owned(),
            poll_command_template: format!(
                "{program} {}-inbox <task> --consume-next --wait --timeout 300 --json",
                known.role
            ),
            tmux_session: known.tmux_session.map(str::to_owned),
            transports: known.reachable.transports(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tmux_session: Option<&str>, has_thread: bool, expect: (&str, &str)) {
        let reachable = Reachable { tmux: tmux_session.is_some(), ..Reachable::default() };
        let known = Known {
            role: Role::Worker,
            tmux_session,
            has_thread,
            reachable: &reachable,
            program: "workerctl",
        };
        let communication = Communication::of(known);
        assert_eq!((&*communication.session_kind, &*communication.delivery_mode), expect);
        assert_eq!(communication.requires_polling, !communication.can_receive_push);
        assert_eq!(communication.transports, reachable.transports());
        assert!(communication.poll_command_template.starts_with("workerctl worker-inbox <task> "));
    }

    #[test]
    fn tmux_makes_a_session_one_that_is_told() {
        check(Some("codex-w1"), true, ("tmux", "push"));
        check(Some("codex-w1"), false, ("tmux", "push"));
        check(None, true, ("codex_app", "pull_required"));
        check(None, false, ("unknown", "pull_required"));
    }
}
