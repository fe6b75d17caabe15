//! `conveyor tasks`

use super::show::Show;
use crate::actors::calls::tasks::{TasksArgs, TasksReply};

impl Show for TasksArgs {
    fn text(&self, reply: &TasksReply) -> Option<String> {
        let TasksReply::Listed(tasks) = reply else { return None };
        let line = |listed: &crate::store::tasks::ListedTask| {
            let task = &listed.task;
            format!("{}\t{}\t{}\t{}", task.name, task.state, one_line(&task.goal), task.id)
        };
        Some(tasks.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
