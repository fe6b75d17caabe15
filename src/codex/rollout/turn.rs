//! The turns of one thread, joined from its signals.

use super::signal::{TurnEnd, TurnError, TurnSignal};
use crate::domain::TurnOutcome;

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// The turn; absent in rollouts of older Codex versions.
    pub turn_id: Option<String>,
    /// Byte offset of the line that opened it.
    pub offset: u64,
    /// Who asked for it.
    pub trigger: Option<String>,
    /// Unix seconds.
    pub started_at: Option<i64>,
    /// A start was recorded. Very old rollouts record only the user's text.
    pub announced: bool,
}

/// What a signal did to the turns of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnChange {
    /// A turn ended.
    Ended(TurnEnd),
    /// The next turn started although this one never ended: its process died.
    Abandoned(OpenTurn),
}

/// Follows the turns of one thread. At the end of the rollout [`TurnTracker::open`] is the turn
/// that still runs, or, when nobody holds the thread's lock, the one that crashed.
#[derive(Debug, Clone, Default)]
pub struct TurnTracker {
    open: Option<OpenTurn>,
    error: Option<TurnError>,
}

impl TurnTracker {
    /// Goes on from an earlier tracker's [`TurnTracker::open`].
    pub fn resume(open: Option<OpenTurn>) -> Self {
        Self { open, error: None }
    }

    /// The turn that has not ended.
    pub fn open(&self) -> Option<&OpenTurn> {
        self.open.as_ref()
    }

    /// Takes in the signal of the line at `offset`.
    pub fn apply(&mut self, offset: u64, signal: TurnSignal) -> Option<TurnChange> {
        match signal {
            TurnSignal::Started { turn_id, trigger, started_at } => {
                self.start(OpenTurn { turn_id, offset, trigger, started_at, announced: true })
            }
            TurnSignal::UserMessage { turn_id, .. } => {
                self.open.get_or_insert(OpenTurn {
                    turn_id,
                    offset,
                    trigger: None,
                    started_at: None,
                    announced: false,
                });
                None
            }
            TurnSignal::Error(error) => {
                self.error = Some(error);
                None
            }
            TurnSignal::Ended(end) => Some(TurnChange::Ended(self.end(end))),
        }
    }

    fn start(&mut self, turn: OpenTurn) -> Option<TurnChange> {
        let same = |open: &OpenTurn| open.turn_id.is_some() && open.turn_id == turn.turn_id;
        if self.open.as_ref().is_some_and(same) {
            return None;
        }
        self.error = None;
        self.open.replace(turn).filter(|open| open.announced).map(TurnChange::Abandoned)
    }

    fn end(&mut self, mut end: TurnEnd) -> TurnEnd {
        let ends_open = |open: &mut OpenTurn| {
            end.turn_id.is_none() || open.turn_id.is_none() || open.turn_id == end.turn_id
        };
        if let Some(open) = self.open.take_if(ends_open) {
            end.turn_id = end.turn_id.or(open.turn_id);
        }
        let earlier_error = self.error.take();
        if end.outcome == TurnOutcome::Completed
            && end.last_agent_message.is_none()
            && earlier_error.is_some()
        {
            end.outcome = TurnOutcome::Failed;
            end.error = earlier_error;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::RolloutLine;
    use super::*;

    /// What `payloads` do, as `outcome turn`, `abandoned turn`, and at last `open turn`.
    fn check(payloads: &[&str], expect: &[&str]) {
        let mut tracker = TurnTracker::default();
        let mut told = Vec::new();
        for (offset, payload) in payloads.iter().enumerate() {
            let line = format!(r#"{{"type":"event_msg","payload":{payload}}}"#);
            let signal = TurnSignal::of(&RolloutLine::parse(line.as_bytes()).expect(&line));
            match signal.and_then(|signal| tracker.apply(offset as u64, signal)) {
                None => {}
                Some(TurnChange::Ended(end)) => {
                    told.push(format!("{} {}", end.outcome, end.turn_id.as_deref().unwrap_or("-")));
                }
                Some(TurnChange::Abandoned(turn)) => {
                    told.push(format!(
                        "abandoned {}@{}",
                        turn.turn_id.as_deref().unwrap_or("-"),
                        turn.offset
                    ));
                }
            }
        }
        if let Some(open) = tracker.open() {
            told.push(format!("open {}@{}", open.turn_id.as_deref().unwrap_or("-"), open.offset));
        }
        assert_eq!(told, expect, "{payloads:?}");
    }

    const START: &str = r#"{"type":"task_started","turn_id":"a"}"#;
    const END: &str = r#"{"type":"task_complete","turn_id":"a","last_agent_message":"done"}"#;
    const START_B: &str = r#"{"type":"task_started","turn_id":"b"}"#;
    const OLD_START: &str = r#"{"type":"task_started","model_context_window":1}"#;
    const OLD_USER: &str = r#"{"type":"user_message","message":"go"}"#;
    const OLD_SAID: &str = r#"{"type":"agent_message","message":"hm"}"#;
    const OLD_END: &str = r#"{"type":"task_complete","last_agent_message":"done"}"#;
    const OLD_SILENT_END: &str = r#"{"type":"task_complete","last_agent_message":null}"#;
    const OLD_ERROR: &str = r#"{"type":"error","message":"no quota"}"#;

    #[test]
    fn turns_start_and_end() {
        check(&[START, END], &["completed a"]);
        check(&[START, OLD_USER], &["open a@0"]);
        check(&[START, START], &["open a@0"]);
        check(&[START, r#"{"type":"turn_aborted","turn_id":"a"}"#], &["interrupted a"]);
        check(&[END], &["completed a"]);
        check(&[], &[]);
    }

    #[test]
    fn a_turn_without_an_end_is_abandoned_when_the_next_starts() {
        check(&[START, START_B], &["abandoned a@0", "open b@1"]);
        check(&[OLD_START, OLD_START, OLD_END], &["abandoned -@0", "completed -"]);
    }

    #[test]
    fn the_end_of_another_turn_leaves_the_open_one_open() {
        check(&[START_B, END], &["completed a", "open b@0"]);
    }

    #[test]
    fn rollouts_of_older_versions_are_followed() {
        check(&[OLD_START, OLD_USER, OLD_SAID, OLD_END], &["completed -"]);
        check(&[OLD_USER, OLD_START, OLD_END], &["completed -"]);
        check(&[OLD_USER, OLD_SAID], &["open -@0"]);
        check(&[OLD_USER, r#"{"type":"turn_aborted","reason":"interrupted"}"#], &["interrupted -"]);
        check(&[r#"{"type":"turn_started"}"#, r#"{"type":"turn_complete"}"#], &["completed -"]);
        check(&[START, OLD_END], &["completed a"]);
    }

    #[test]
    fn an_error_fails_the_turn_that_said_nothing_after_it() {
        check(&[OLD_START, OLD_ERROR, OLD_SILENT_END], &["failed -"]);
        check(&[OLD_START, OLD_ERROR, OLD_END], &["completed -"]);
        check(&[OLD_START, OLD_ERROR, OLD_END, OLD_START, OLD_SILENT_END], &["completed -", "completed -"]);
        check(&[OLD_ERROR, OLD_START, OLD_SILENT_END], &["completed -"]);
    }

    #[test]
    fn a_tracker_goes_on_where_another_stopped() {
        let open = OpenTurn {
            turn_id: Some("a".to_owned()),
            offset: 40,
            trigger: None,
            started_at: Some(1),
            announced: true,
        };
        let mut tracker = TurnTracker::resume(Some(open.clone()));
        assert_eq!(tracker.open(), Some(&open));
        let next = TurnSignal::Started { turn_id: Some("b".to_owned()), trigger: None, started_at: None };
        assert_eq!(tracker.apply(90, next), Some(TurnChange::Abandoned(open)));
    }
}
