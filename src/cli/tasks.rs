//! `conveyor tasks`

use super::output;
use super::show::Show;
use crate::actors::calls::tasks::{TasksArgs, TasksReply};

impl Show for TasksArgs {
    fn text(&self, reply: &TasksReply) -> Option<String> {
        match reply {
            TasksReply::Created(task) => output::json(task).ok(),
            TasksReply::Listed(tasks) => {
                let lines: Vec<String> = tasks
                    .iter()
                    .map(|task| format!("{}\t{}\t{}\t{}", task.id, task.name, task.state, task.goal))
                    .collect();
                Some(lines.join("\n"))
            }
        }
    }
}
