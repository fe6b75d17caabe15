//! `conveyor create` and `conveyor start-test`

use super::open::told_of;
use super::show::Show;
use crate::actors::calls::create::{CreateArgs, CreateReply, StartTestArgs};
use crate::domain::shell::quoted;

impl Show for CreateArgs {
    fn text(&self, reply: &CreateReply) -> Option<String> {
        Some(told(reply, self.wait_ready))
    }
}

impl Show for StartTestArgs {
    fn text(&self, reply: &CreateReply) -> Option<String> {
        Some(told(reply, true))
    }
}

fn told(reply: &CreateReply, waited: bool) -> String {
    let started = &reply.started;
    let name = &started.name;
    let mut lines = vec![
        format!("created {name}"),
        format!("tmux session: {}", started.tmux_session),
        format!("state dir: {}", started.state_dir),
        match started.initial_prompt {
            true => "its contract is its first prompt".to_owned(),
            false => format!("it was told nothing; its contract: {}", started.contract_path),
        },
    ];
    if waited {
        lines.push(format!("startup: {} ({})", started.startup, started.startup_reason));
    }
    if let Some(seen) = &reply.verification {
        lines.push(format!("verification: {} ({})", if seen.ok { "ok" } else { "not seen" }, seen.reason));
        lines.push(format!("state: {}", seen.state));
        lines.push(format!("current task: {}", seen.current_task.as_deref().unwrap_or("-")));
    }
    lines.extend(reply.window.as_ref().map(|window| told_of(name, window)));
    if reply.stopped {
        lines.push(format!("\nstopped {name} (--stop-after)"));
        return lines.join("\n");
    }
    if let Some(attach) = &started.attach_command {
        lines.push(format!("\nAttach:\n  {attach}"));
    }
    lines.push(format!("\nStop:\n  conveyor stop {}", quoted(name)));
    lines.join("\n")
}
