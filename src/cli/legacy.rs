//! `conveyor list`, `capture` and `events`; the other commands for workers with a directory of files
//! answer in JSON.

use super::output::talk;
use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::legacy::{
    CaptureArgs, CaptureReply, EventsArgs, EventsReply, IdleCheckArgs, ListArgs, Listed, StatusArgs,
    UpdateStatusArgs,
};
use crate::actors::calls::legacy_acts::{InterruptArgs, NudgeArgs};

impl Show for IdleCheckArgs {}
impl Show for InterruptArgs {}
impl Show for NudgeArgs {}
impl Show for StatusArgs {}
impl Show for UpdateStatusArgs {}

impl Show for ListArgs {
    fn text(&self, reply: &Vec<Listed>) -> Option<String> {
        if reply.is_empty() {
            return Some(
                "no workers with a directory of files; `conveyor sessions` lists registered sessions"
                    .to_owned(),
            );
        }
        let line = |worker: &Listed| {
            let task = worker.current_task.as_deref().unwrap_or("-");
            tabbed([&worker.name, &worker.status.to_string(), &worker.state.to_string(), task])
        };
        Some(reply.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

impl Show for CaptureArgs {
    fn text(&self, reply: &CaptureReply) -> Option<String> {
        reply.content.clone()
    }
}

impl Show for EventsArgs {
    fn text(&self, reply: &EventsReply) -> Option<String> {
        if reply.malformed > 0 {
            talk(&format!("{} malformed lines of events.jsonl were left out", reply.malformed));
        }
        Some(reply.events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}
