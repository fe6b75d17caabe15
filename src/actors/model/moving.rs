//! Steps of sessions, of people and of time.

use jiff::{Timestamp, ToSpan};
use proptest::sample::Index;

use super::rules::Cause;
use super::stage::{Made, Stage, pick};
use crate::domain::Settlement;
use crate::store::Query;
use crate::store::bindings::{Bind, Unbind};
use crate::store::deliveries::{AbandonNudges, DoubtDelivery, OverdueDeliveries, SettleDelivery};
use crate::store::following::FollowThread;

impl Stage {
    /// A session that clears twice before anybody looks leaves no trace of the thread between.
    pub(super) fn clears(&mut self, who: usize) {
        if self.is_known(who) {
            self.thread(who).finish_line();
            self.sessions[who].thread = self.new_thread(who);
        }
    }

    pub(super) fn resumes(&mut self, who: usize, thread: Index) {
        let now_in = self.sessions[who].thread;
        let left: Vec<usize> = (0..self.threads.len())
            .filter(|thread| self.threads[*thread].owner == who && *thread != now_in)
            .collect();
        if self.is_known(who)
            && let Some(thread) = pick(&left, thread)
        {
            self.thread(who).finish_line();
            self.sessions[who].thread = thread;
        }
    }

    /// As the attendant of a session does: what is left in the old rollout is read first.
    pub(super) fn follow(&mut self, who: usize) {
        if self.is_known(who) {
            return;
        }
        self.ingest(who);
        if self.is_read_out(who) {
            self.change(|stage, _| stage.follow_thread(who));
        }
    }

    fn follow_thread(&mut self, who: usize) -> Cause {
        let session = &self.sessions[who];
        let (from, to) = (&self.threads[session.known_thread], &self.threads[session.thread]);
        let follow = FollowThread {
            session_id: session.id.clone(),
            from_thread: from.id.clone(),
            to_thread: to.id.clone(),
            rollout_path: to.path(),
        };
        if self.make(follow).durable() == Some(true) {
            self.sessions[who].known_thread = self.sessions[who].thread;
        }
        Cause::Nothing
    }

    /// As `register-worker` and `register-manager` do: likewise.
    pub(super) fn register_again(&mut self, who: usize, pushable: bool) {
        if !self.is_known(who) {
            self.ingest(who);
        }
        if self.is_known(who) || self.is_read_out(who) {
            self.change(|stage, _| {
                stage.register(who, pushable);
                Cause::Nothing
            });
        }
    }

    /// Whether the database has the session in the thread it is in.
    fn is_known(&self, who: usize) -> bool {
        self.sessions[who].thread == self.sessions[who].known_thread
    }

    /// Whether everything in the rollout that the database knows of was stored.
    fn is_read_out(&self, who: usize) -> bool {
        let known = self.sessions[who].known_thread;
        let stored = self.stored.get(&known).copied().unwrap_or_default();
        self.threads[known].ends.iter().all(|(at, _)| *at <= stored)
    }

    /// Ends the binding of a task, or makes a new one.
    pub(super) fn rebind(&mut self, task: usize, worker: usize, manager: usize) {
        let task = format!("t{task}");
        let bind = Bind { task: task.clone(), worker: format!("w{worker}"), manager: format!("m{manager}") };
        if matches!(self.make(Unbind { task }), Made::Refused(_)) {
            self.make(bind);
        }
    }

    pub(super) fn claims_run_out(&mut self) -> Cause {
        for sql in [
            "UPDATE commands SET claim_expires_at = ?1 WHERE claim_expires_at IS NOT NULL",
            "UPDATE routed_notifications SET claim_expires_at = ?1 WHERE claim_expires_at IS NOT NULL",
            "UPDATE deliveries SET settled_at = ?1 WHERE state = 'failed'",
        ] {
            self.time_passes(sql);
        }
        Cause::Nothing
    }

    pub(super) fn leases_run_out(&mut self) -> Cause {
        self.time_passes("UPDATE notification_leases SET expires_at = ?1");
        Cause::Nothing
    }

    fn time_passes(&mut self, sql: &str) {
        self.process().conn.execute(sql, ["2020-01-01T00:00:00.000Z"]).unwrap();
    }

    pub(super) fn look_for_overdue(&mut self) -> Cause {
        let before = Timestamp::now() + 1.hour();
        let overdue = OverdueDeliveries { before }.run(self.look()).unwrap();
        for unseen in overdue.unseen {
            self.make(DoubtDelivery { unseen, error: "not seen".into(), pane_class: None });
        }
        if overdue.abandoned_nudges {
            self.make(AbandonNudges { claimed_before: before });
        }
        Cause::Overdue
    }

    pub(super) fn settle(&mut self, id: i64, settlement: Settlement) -> Cause {
        let settle = SettleDelivery { id, settlement, reason: "looked".into(), by_thread: None };
        if self.make(settle).durable().is_some() {
            self.settled.insert(id, settlement);
        }
        Cause::Settled(id, settlement)
    }
}
