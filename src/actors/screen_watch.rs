//! The screen of a session without an app-server: whether it asks a person something.
//!
//! A question comes after the rollout has grown, or at the start, and then the rollout stands still.
//! So a screen is looked at soon after that, and then less and less often.

use std::time::Duration;

use tokio::time::Instant;

use super::hands::Hands;
use super::pane_class::classify_view;
use crate::codex::pane::PaneClass;
use crate::domain::{Failure, Wait};
use crate::store::rollout::{GetLastRead, LastRead};
use crate::store::sessions::LinkedSession;
use crate::store::waits::{EndWaits, Over, RecordWait};

/// From the last growth to the first look, and between looks at a screen that asks something.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Between two looks at last. An idle session is not looked at any more then.
const LAST_LOOK: Duration = Duration::from_secs(32);

/// When to look at a screen, and what was seen there.
pub(super) struct ScreenWatch {
    last_read: Option<LastRead>,
    next_look: Instant,
    pause: Duration,
    /// It asked something when it was last looked at; at first that is not known.
    may_wait: bool,
}

impl ScreenWatch {
    pub(super) fn new() -> Self {
        Self { last_read: None, next_look: Instant::now(), pause: FIRST_LOOK, may_wait: true }
    }

    /// Looks, when it is time to.
    ///
    /// # Errors
    /// When what is seen cannot be recorded. A screen that cannot be read tells nothing.
    pub(super) async fn attend(&mut self, hands: &Hands, linked: &LinkedSession) -> Result<(), Failure> {
        let last_read = hands.store.read(GetLastRead(linked.session.id.clone())).await?;
        let in_turn = last_read.as_ref().is_some_and(|read| read.in_turn);
        if !self.is_due(last_read, in_turn, Instant::now()) {
            return Ok(());
        }
        let Ok((_, view)) = hands.see(linked, 0).await else { return Ok(()) };
        self.seen(hands, classify_view(&view)).await
    }

    /// Whether to look now; the next time is further off then.
    fn is_due(&mut self, last_read: Option<LastRead>, in_turn: bool, now: Instant) -> bool {
        if self.last_read != last_read {
            self.last_read = last_read;
            self.pause = FIRST_LOOK;
            self.next_look = now + FIRST_LOOK;
            return false;
        }
        let is_over = self.pause > LAST_LOOK && !in_turn && !self.may_wait;
        if is_over || now < self.next_look {
            return false;
        }
        self.next_look = now + self.pause.min(LAST_LOOK);
        self.pause = if self.may_wait { FIRST_LOOK } else { (self.pause * 2).min(LAST_LOOK * 2) };
        true
    }

    async fn seen(&mut self, hands: &Hands, class: PaneClass) -> Result<(), Failure> {
        let session_id = hands.session_id.clone();
        match class.asks() {
            Some(asks) => {
                let wait = Wait { pane_class: Some(class.to_string()), ..Wait::new(asks) };
                hands.store.write(RecordWait { session_id, wait }).await?;
                self.may_wait = true;
            }
            None if self.may_wait => {
                hands.store.write(EndWaits { session_id, over: Over::All }).await?;
                self.may_wait = false;
            }
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(at: &str) -> Option<LastRead> {
        Some(LastRead { at: at.into(), in_turn: false })
    }

    /// The seconds, of two minutes, at which a screen is looked at.
    fn looks(watch: &mut ScreenWatch, in_turn: bool) -> Vec<u64> {
        let start = Instant::now();
        watch.next_look = start;
        (0..120)
            .filter(|second| watch.is_due(read("a"), in_turn, start + Duration::from_secs(*second)))
            .collect()
    }

    #[test]
    fn a_screen_is_looked_at_less_and_less_often_and_at_last_only_in_a_turn() {
        let settled = || ScreenWatch { last_read: read("a"), may_wait: false, ..ScreenWatch::new() };
        assert_eq!(looks(&mut settled(), false), [0, 2, 6, 14, 30]);
        assert_eq!(looks(&mut settled(), true), [0, 2, 6, 14, 30, 62, 94]);
        let asking = &mut ScreenWatch { may_wait: true, ..settled() };
        assert_eq!(looks(asking, true).len(), 60, "every two seconds");
    }

    #[test]
    fn growth_begins_it_anew() {
        let now = Instant::now();
        let mut watch =
            ScreenWatch { last_read: read("a"), pause: LAST_LOOK * 2, may_wait: false, ..ScreenWatch::new() };
        assert!(!watch.is_due(read("a"), false, now), "it stands still for long");
        assert!(!watch.is_due(read("b"), false, now), "it has just grown");
        assert!(!watch.is_due(read("b"), false, now + Duration::from_secs(1)));
        assert!(watch.is_due(read("b"), false, now + Duration::from_secs(2)));
    }
}
