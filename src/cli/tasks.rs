//! `conveyor tasks`

use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::tasks::{TasksArgs, TasksReply};
use crate::domain::printable::one_line;

impl Show for TasksArgs {
    fn text(&self, reply: &TasksReply) -> Option<String> {
        let TasksReply::Listed(tasks) = reply else { return None };
        let line = |listed: &crate::store::tasks::ListedTask| {
            let task = &listed.task;
            tabbed([&task.name, &task.state.to_string(), &one_line(&task.goal), &task.id])
        };
        Some(tasks.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
