//! `conveyor worker-ack`, `conveyor manager-ack`

use super::input;
use super::show::Show;
use crate::actors::calls::contract::{AckOptions, ManagerAckArgs, WorkerAckArgs};
use crate::domain::Failure;

impl Show for WorkerAckArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        take_payload(&mut self.ack)
    }
}

impl Show for ManagerAckArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        take_payload(&mut self.ack)
    }
}

fn take_payload(ack: &mut AckOptions) -> Result<(), Failure> {
    if ack.from_stdin {
        ack.payload_json = Some(input::json_object("--payload-json")?);
    }
    Ok(())
}
