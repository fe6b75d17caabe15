//! `conveyor commands`, `conveyor enqueue-…`

use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::commands::{
    CommandsArgs, EnqueueContinueIterationArgs, EnqueueNotifyManagerArgs, EnqueueNudgeWorkerArgs,
    QueuedIterationReply, QueuedReply,
};
use crate::domain::printable::visible;
use crate::store::commands::{Command, CommandAttempt};

impl Show for EnqueueNotifyManagerArgs {
    fn text(&self, reply: &QueuedReply) -> Option<String> {
        Some(queued(reply))
    }
}

impl Show for EnqueueNudgeWorkerArgs {
    fn text(&self, reply: &QueuedReply) -> Option<String> {
        Some(queued(reply))
    }
}

impl Show for EnqueueContinueIterationArgs {
    fn text(&self, reply: &QueuedIterationReply) -> Option<String> {
        Some(queued(&reply.queued))
    }
}

fn queued(reply: &QueuedReply) -> String {
    format!("queued {} command {}", reply.command_type, reply.command_id)
}

impl Show for CommandsArgs {
    fn text(&self, reply: &Vec<Command>) -> Option<String> {
        Some(reply.iter().flat_map(lines).collect::<Vec<_>>().join("\n"))
    }
}

fn lines(command: &Command) -> impl Iterator<Item = String> {
    let task = command.task_name.as_deref().unwrap_or("-");
    let line = tabbed([&command.id, &command.state.to_string(), &command.command_type, task]);
    let attempts = command.attempt_history.as_deref().unwrap_or_default();
    std::iter::once(line).chain(attempts.iter().map(attempt))
}

fn attempt(attempt: &CommandAttempt) -> String {
    let facts = tabbed([
        &attempt.id.to_string(),
        &attempt.state.to_string(),
        &attempt.dispatcher_id,
        &attempt.started_at,
    ]);
    let why = attempt.error.as_deref().map(|error| format!("\t{}", visible(error))).unwrap_or_default();
    format!("  attempt {facts}{why}")
}
