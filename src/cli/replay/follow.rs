//! `conveyor replay --follow`: what happens, as it happens.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::told::Teller;
use crate::actors::calls::replay::ReplayArgs;
use crate::actors::calls::wait::WaitArgs;
use crate::cli::connection::Connection;
use crate::cli::output::{self, Output};
use crate::domain::time::iso;
use crate::domain::{Condition, Failure, FailureKind, Seconds};
use crate::reports::replay::{Entry, Replay};

/// Between two looks at what no wait tells of.
const LOOK_INTERVAL: Seconds = Seconds::whole(1);

/// How far back a look reaches: what happened may become known a little later.
const REACH: SignedDuration = SignedDuration::from_mins(10);

/// Tells the story so far, and goes on until the task has ended.
///
/// # Errors
/// When the task is unknown, or standard output cannot be written.
pub(in crate::cli) fn follow(
    connection: &mut Connection,
    args: &ReplayArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let mut told = Told { teller: Teller::new(args.local), known: HashSet::new(), json: output.is_json() };
    let first = connection.call(args.clone())?;
    told.begin(args, &first)?;
    let mut has_ended = has_ended(&first);
    while !has_ended {
        wait_for_a_turn(connection, &args.task);
        let since = iso(Timestamp::now() - REACH).max(args.since.clone().unwrap_or_default());
        let look = ReplayArgs { since: Some(since), limit: None, ..args.clone() };
        match connection.call(look) {
            Ok(replay) => {
                told.go_on(&replay)?;
                has_ended = self::has_ended(&replay);
            }
            // A supervisor that went away took nothing with it that a look could miss.
            Err(failure) if failure.kind == FailureKind::Unknown => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(0)
}

fn has_ended(replay: &Replay) -> bool {
    matches!(&*replay.task.state, "done" | "failed")
}

/// Reads on in the rollouts where no supervisor does, and comes back when a turn has ended or it is time
/// to look.
fn wait_for_a_turn(connection: &mut Connection, task: &str) {
    let wait = WaitArgs {
        conditions: vec![Condition::TurnEnd],
        task: vec![task.to_owned()],
        session: Vec::new(),
        any: false,
        all: false,
        timeout: LOOK_INTERVAL,
        since: None,
    };
    if let Err(failure) = connection.call(wait) {
        // The task has no pair, as yet or any more.
        tracing::debug!(%failure, "nothing to wait for");
        std::thread::sleep(Duration::from_secs(1));
    }
}

struct Told {
    teller: Teller,
    known: HashSet<String>,
    json: bool,
}

impl Told {
    fn begin(&mut self, args: &ReplayArgs, replay: &Replay) -> Result<(), Failure> {
        if !self.json {
            output::print(&Teller::head(args, replay).join("\n"))?;
        }
        self.go_on(replay)
    }

    fn go_on(&mut self, replay: &Replay) -> Result<(), Failure> {
        for entry in &replay.entries {
            if self.known.insert(key(entry)) {
                self.tell(entry)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, entry: &Entry) -> Result<(), Failure> {
        if self.json {
            let line = serde_json::to_string(entry).map_err(|error| Failure::internal(error.to_string()))?;
            return output::print(&line);
        }
        output::print(&self.teller.tell(entry).join("\n"))
    }
}

/// What makes an entry another one: a row that moves on is told again, a silence that lasts is not.
fn key(entry: &Entry) -> String {
    let changes = if entry.kind == "silence" { &entry.timestamp } else { &entry.summary };
    format!("{} {} {} {changes}", entry.source, entry.source_id, entry.kind)
}
