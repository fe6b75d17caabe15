//! `conveyor worker-ack`, `manager-ack`, `continuation`

use serde_json::{Map, Value};

use super::input;
use super::show::Show;
use crate::actors::calls::continuation::ContinuationArgs;
use crate::actors::calls::contract::{ManagerAckArgs, WorkerAckArgs};
use crate::domain::Failure;

impl Show for WorkerAckArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        take_object(self.ack.from_stdin, &mut self.ack.payload_json)
    }
}

impl Show for ManagerAckArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        take_object(self.ack.from_stdin, &mut self.ack.payload_json)
    }
}

impl Show for ContinuationArgs {
    fn take_input(&mut self) -> Result<(), Failure> {
        take_object(self.from_stdin, &mut self.payload_json)
    }
}

fn take_object(from_stdin: bool, payload: &mut Option<Map<String, Value>>) -> Result<(), Failure> {
    if from_stdin {
        *payload = Some(input::json_object("--payload-json")?);
    }
    Ok(())
}
