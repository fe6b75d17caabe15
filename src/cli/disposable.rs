//! `conveyor create-disposable-binding`

use super::show::Show;
use crate::actors::calls::disposable::{CreateDisposableBindingArgs, DisposableReply};

impl Show for CreateDisposableBindingArgs {
    fn text(&self, reply: &DisposableReply) -> Option<String> {
        let mut lines = vec![
            format!("task {} ({}) is {}", reply.task.name, reply.task.id, reply.task.state),
            format!("worker {} and manager {} are bound to it", reply.worker.name, reply.manager.name),
        ];
        lines.extend(
            reply.run.as_ref().map(|run| format!("run {} ({}) holds the loop's policy", run.name, run.id)),
        );
        lines.push(String::new());
        lines.extend(reply.replay_commands.iter().cloned());
        lines.push(String::new());
        lines.push(reply.worker_handoff.clone());
        Some(lines.join("\n"))
    }
}
