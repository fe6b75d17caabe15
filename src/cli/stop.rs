//! `conveyor stop`

use super::show::Show;
use crate::actors::calls::stop::{StopArgs, StopReply};

impl Show for StopArgs {
    fn text(&self, reply: &StopReply) -> Option<String> {
        let name = &reply.name;
        Some(if reply.killed_session { format!("stopped {name}") } else { format!("{name} was not running") })
    }
}
