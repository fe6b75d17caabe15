//! Watches a session through its rollout, as the supervisor does.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::event::{Event, Ran, What};
use super::wait::until;
use crate::codex::rollout::{ReadError, ReadLimits, RolloutReader};
use crate::domain::{Failure, Role, TurnOutcome};

/// Reads a rollout from its start, as far as it has been written.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) role: Role,
    rollout: PathBuf,
    patience: Duration,
    offset: u64,
    unread: VecDeque<Event>,
    last_seen: String,
}

impl Follower {
    /// Waits no longer than `patience` for anything.
    pub(super) fn new(role: Role, rollout: PathBuf, patience: Duration) -> Self {
        let last_seen = "its start".to_owned();
        Self { role, rollout, patience, offset: 0, unread: VecDeque::new(), last_seen }
    }

    /// Waits until `pick` takes an event; those before it are passed over.
    ///
    /// # Errors
    /// When none comes in time, the rollout cannot be read, or a turn does not complete.
    pub(super) fn wait_for<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, Failure> {
        let role = self.role;
        let found = until(&format!("the {role}: {what}"), self.patience, || {
            while let Some(event) = self.next()? {
                if let Some(picked) = pick(&event) {
                    return Ok(Some(picked));
                }
            }
            Ok(None)
        });
        found.map_err(|failure| failure.hint(self.last_seen()))
    }

    /// Waits until the session is told something; gives when, and what.
    ///
    /// # Errors
    /// As for [`Follower::wait_for`].
    pub(super) fn told(&mut self, what: &str) -> Result<(Timestamp, String), Failure> {
        self.wait_for(what, |event| match &event.what {
            What::Told(text) => Some((event.at, text.clone())),
            _ => None,
        })
    }

    /// Waits until the session has run one of this program's commands, and it went well.
    ///
    /// # Errors
    /// As for [`Follower::wait_for`].
    pub(super) fn ran(&mut self, command: &str) -> Result<Ran, Failure> {
        self.wait_for(&format!("running `conveyor {command}`"), |event| match &event.what {
            What::Ran(ran) if ran.runs(command) && !ran.failed => Some(ran.clone()),
            _ => None,
        })
    }

    /// What was last seen of the session, for whoever waits in vain.
    pub(super) fn last_seen(&self) -> String {
        format!("last seen of the {}: {}", self.role, self.last_seen)
    }

    /// The next event, if there is one by now.
    ///
    /// # Errors
    /// When the rollout cannot be read, or a turn did not complete.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Failure> {
        if self.unread.is_empty() {
            self.read()?;
        }
        let Some(event) = self.unread.pop_front() else { return Ok(None) };
        match &event.what {
            What::Told(text) => self.last_seen = format!("told {text:?}"),
            What::Ran(ran) => {
                let outcome = if ran.failed { "which failed" } else { "which went well" };
                self.last_seen = format!("`{}`, {outcome}", ran.line);
            }
            What::Ended(end) if end.outcome == TurnOutcome::Completed => {
                self.last_seen = "the end of a turn".to_owned();
            }
            What::Ended(end) => {
                let why = end.error.as_ref().map_or("it was interrupted", |error| &error.message);
                return Err(Failure::external(format!(
                    "a turn of the {} did not complete: {why}",
                    self.role
                )));
            }
        }
        Ok(Some(event))
    }

    fn read(&mut self) -> Result<(), Failure> {
        let failed = |error: ReadError| Failure::external(error.to_string());
        let mut reader =
            RolloutReader::open(&self.rollout, self.offset, ReadLimits::default()).map_err(failed)?;
        loop {
            let batch = reader.next_batch().map_err(failed)?;
            self.unread.extend(batch.lines.iter().filter_map(|parsed| Event::of(&parsed.line)));
            self.offset = batch.new_offset;
            if batch.at_end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::codex::rollout::{RanCommand, RolloutWriter};

    fn session(home: &Path) -> (RolloutWriter, Follower) {
        let rollout = RolloutWriter::create(home, Path::new("/w")).unwrap();
        let follower = Follower::new(Role::Worker, rollout.path.clone(), Duration::from_millis(20));
        (rollout, follower)
    }

    fn run(rollout: &mut RolloutWriter, line: &str, exit_code: i32) {
        let argv = ["/bin/bash", "-lc", line];
        let ran = RanCommand { argv: &argv, cwd: Path::new("/w"), exit_code, output: "said" };
        rollout.ran(ran).unwrap();
    }

    #[test]
    fn a_session_is_followed_while_it_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let (mut rollout, mut follower) = session(home.path());
        rollout.begin("go").unwrap();
        assert_eq!(follower.told("a prompt").unwrap().1, "go");
        run(&mut rollout, "conveyor cycle wrong", 1);
        run(&mut rollout, "conveyor cycle demo", 0);
        let ran = follower.ran("cycle").unwrap();
        assert_eq!((ran.line.as_str(), ran.output.as_str()), ("conveyor cycle demo", "said"));
        rollout.complete("done").unwrap();
        let end = follower.wait_for("the end", |event| match &event.what {
            What::Ended(end) => end.last_agent_message.clone(),
            _ => None,
        });
        assert_eq!(end.unwrap(), "done");
        assert_eq!(follower.next().unwrap(), None);
    }

    #[test]
    fn what_fails_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let (mut rollout, mut follower) = session(home.path());
        rollout.begin("go").unwrap();
        run(&mut rollout, "conveyor cycle demo", 1);
        rollout.fail("it is broken", serde_json::json!("other")).unwrap();
        let failure = follower.ran("cycle").unwrap_err();
        assert_eq!(failure.message, "a turn of the worker did not complete: it is broken");
        assert_eq!(failure.hints, ["last seen of the worker: `conveyor cycle demo`, which failed"]);
    }

    #[test]
    fn what_does_not_come_is_named() {
        let home = tempfile::tempdir().unwrap();
        let (_rollout, mut follower) = session(home.path());
        let failure = follower.told("hearing from you").unwrap_err();
        assert_eq!(failure.message, "waited 0.02 s in vain for the worker: hearing from you");
        assert_eq!(failure.hints, ["last seen of the worker: its start"]);
    }
}
