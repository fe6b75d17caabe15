//! `conveyor epilogue --step`

use super::show::Show;
use crate::actors::calls::epilogue::{EpilogueArgs, EpilogueReply};
use crate::domain::printable::indented;

impl Show for EpilogueArgs {
    /// A run step in words; the lists are always JSON.
    fn text(&self, reply: &EpilogueReply) -> Option<String> {
        let name = self.step?.as_str();
        let step = reply.status.steps.iter().find(|step| step.step_name == name)?;
        let error = step.latest_run.as_ref().and_then(|run| run.error.as_deref());
        let why = error.map(|error| format!(": {}", indented(error, 4))).unwrap_or_default();
        Some(format!("epilogue {name}: {}{why}", step.state))
    }
}
