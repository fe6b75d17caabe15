//! The manager: looks whenever it is told that the worker's turn has ended, and decides.

use std::fs;

use serde_json::Value;

use super::seat::Seat;
use super::worker::FILE;
use super::{Session, worker_name};
use crate::domain::Failure;

const LINES_OF_A_HAIKU: usize = 3;

/// Observes the task; then asks for what is missing, or finishes it.
pub(super) fn answer(session: &mut Session) -> Result<String, Failure> {
    let task = session.task.clone();
    let cycle = session.conveyor(&["cycle", &task])?;
    if cycle["task_completed"] != true {
        return Ok("The worker is not done yet. I wait.".to_owned());
    }
    if cycle["manager_context"]["criteria_negotiation"]["needed"] == true {
        agree(session, &task)?;
    }
    let haiku = fs::read_to_string(session.work.join(FILE)).unwrap_or_default();
    let lines = haiku.lines().count();
    if lines == LINES_OF_A_HAIKU { finish(session, &task, &cycle) } else { correct(session, lines) }
}

/// Says what must hold before the task is done.
fn agree(session: &mut Session, task: &str) -> Result<(), Failure> {
    let criterion = format!("{FILE} has {LINES_OF_A_HAIKU} lines");
    let add = ["criteria", task, "--add", "--criterion", &criterion];
    session
        .conveyor(&[&add[..], &["--source", "manager_inferred", "--status", "accepted"]].concat())
        .map(drop)
}

/// Tells the worker: at once where it has a terminal, else through its mailbox.
fn correct(session: &mut Session, lines: usize) -> Result<String, Failure> {
    let (task, worker) = (session.task.clone(), worker_name());
    let text = format!("A haiku has {LINES_OF_A_HAIKU} lines, {FILE} has {lines}. Write the missing one.");
    match session.seat {
        Seat::Terminal(_) => session.conveyor(&["session-nudge", &worker, &text])?,
        Seat::Mailbox(_) => session.conveyor(&["enqueue-nudge-worker", &task, "--message", &text])?,
    };
    Ok("I have asked the worker for the missing line.".to_owned())
}

/// Finishes the task, with proof that what was agreed holds.
fn finish(session: &mut Session, task: &str, cycle: &Value) -> Result<String, Failure> {
    let proof = format!("{FILE} has its {LINES_OF_A_HAIKU} lines");
    let accepted = &cycle["manager_context"]["acceptance_criteria"]["accepted"];
    for criterion in accepted.as_array().into_iter().flatten() {
        let id = criterion["id"].to_string();
        session.conveyor(&["criteria", task, "--satisfy", &id, "--proof", &proof])?;
    }
    session.conveyor(&["finish-task", task, "--require-criteria-audit", "--reason", &proof])?;
    Ok(format!("The task is finished: {proof}."))
}
