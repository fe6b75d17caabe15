//! `conveyor criteria-plan`

use super::input;
use super::show::Show;
use crate::actors::calls::criteria::{CriteriaPlanArgs, CriteriaPlanReply};
use crate::domain::Failure;
use crate::domain::shell;

impl Show for CriteriaPlanArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        if self.from_stdin {
            self.from_text = Some(input::text("--from-text")?);
        }
        Ok(())
    }

    fn text(&self, reply: &CriteriaPlanReply) -> Option<String> {
        let mut lines = vec![format!("Suggested criteria commands for {}", reply.task)];
        lines
            .extend(reply.plan.suggestions.iter().map(|suggestion| shell::command_line(&suggestion.command)));
        lines.extend(reply.plan.warnings.iter().map(|warning| format!("warning: {warning}")));
        Some(lines.join("\n"))
    }
}
