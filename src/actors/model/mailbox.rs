//! Steps of those who read mailboxes.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::ledger::Ledger;
use super::rules::Cause;
use super::stage::{Hold, Made, Stage};
use crate::domain::Role;
use crate::domain::ack::AckStatus;
use crate::store::mailbox::{Acknowledge, LeaseNext};
use crate::store::notifications::{ConsumeNext, consume_in_cycle};
use crate::store::{Change, StoreError};

/// Takes everything, as a cycle does.
struct TakeAll(String);

impl Change for TakeAll {
    type Out = ();

    fn run(self, tx: &Connection) -> Result<(), StoreError> {
        tx.execute(
            "INSERT INTO manager_cycles (task_id, started_at, state) SELECT id, 'now', 'started' FROM tasks LIMIT 1",
            [],
        )?;
        consume_in_cycle(tx, &self.0, tx.last_insert_rowid())?;
        Ok(())
    }
}

impl Stage {
    pub(super) fn lease(&mut self, who: usize) -> Cause {
        let lease = LeaseNext { session_id: self.sessions[who].id.clone(), lease_seconds: 600, limit: 10 };
        let made = self.make(lease);
        let is_heard = made.is_heard();
        let Some((Some((item, lease)), _)) = made.durable() else { return Cause::Leased(None) };
        let fence = lease.token.rsplit(':').next().and_then(|fence| fence.parse().ok());
        if is_heard {
            assert!(!self.taken.contains(&item.id), "{item:?} was handed out again");
            self.holds.push(Hold { item: item.id, fence: fence.unwrap() });
        }
        Cause::Leased(Some(item.id))
    }

    pub(super) fn take(&mut self, who: usize) -> Cause {
        let take = ConsumeNext {
            session_id: self.sessions[who].id.clone(),
            limit: 10,
            poll_count: 1,
            waiting: false,
        };
        let made = self.make(take);
        let is_heard = made.is_heard();
        let taken = made.durable().and_then(|inbox| inbox.consumed).map(|item| item.id);
        if is_heard && let Some(item) = taken {
            assert!(self.taken.insert(item), "item {item} was taken twice");
        }
        Cause::Taken(taken.into_iter().collect())
    }

    pub(super) fn cycle(&mut self, before: &Ledger, who: usize) -> Cause {
        if self.sessions[who].role == Role::Worker {
            return Cause::Nothing;
        }
        let session_id = self.sessions[who].id.clone();
        let is_his = |note: &super::ledger::Note| note.target == session_id && note.consumed.is_none();
        let items = before.notes.iter().filter(|(_, note)| is_his(note)).map(|(id, _)| *id).collect();
        self.make(TakeAll(session_id));
        Cause::Taken(items)
    }

    pub(super) fn acknowledge(&mut self, before: &Ledger, hold: Hold, with_token: bool) -> Cause {
        self.holds.retain(|other| *other != hold);
        let lease = &before.leases[&hold.item];
        let is_current = !with_token || hold.fence == lease.fence;
        let is_open = lease.state != "acknowledged" && before.notes[&hold.item].consumed.is_none();
        let acknowledge = Acknowledge {
            notification_id: hold.item,
            token: with_token.then(|| format!("{}:{}", hold.item, hold.fence)),
            status: AckStatus::Received,
        };
        match self.make(acknowledge) {
            Made::Refused(refusal) => {
                assert!(!is_current || !is_open, "{refusal}");
                assert!(!refusal.hints.is_empty(), "{refusal:?}");
                Cause::Nothing
            }
            made => {
                assert!(is_current && is_open, "item {} was settled by a void lease", hold.item);
                if made.is_heard() {
                    assert!(self.taken.insert(hold.item), "item {} was taken twice", hold.item);
                }
                Cause::Taken(BTreeSet::from([hold.item]))
            }
        }
    }
}
