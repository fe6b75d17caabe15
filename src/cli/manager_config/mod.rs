//! `conveyor manager-config`, `conveyor manager-permission`

mod interview;

use std::io::IsTerminal;

use super::show::Show;
use crate::actors::calls::manager_config::{ManagerConfigArgs, ManagerPermissionArgs, PermissionReply};
use crate::domain::Failure;
use crate::domain::shell::quoted;

impl Show for ManagerConfigArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        if !self.interactive {
            return Ok(());
        }
        let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
        if !(stdin.is_terminal() && stderr.is_terminal()) {
            return Err(Failure::usage("--interactive asks in a terminal, and this is none").hint(format!(
                "get the questions with `conveyor manager-config {} --questions`",
                quoted(&self.task)
            )));
        }
        interview::hold(self, &mut stdin.lock(), &mut stderr.lock()).map_err(|error| {
            Failure::external(format!("the questions ended early, nothing was changed: {error}"))
        })
    }
}

impl Show for ManagerPermissionArgs {
    fn exit_code(&self, reply: &PermissionReply) -> u8 {
        u8::from(self.require && !reply.check.allowed)
    }
}
