//! What the processes work on: two pairs, one whose manager is pushed to and one whose manager reads
//! its mailbox, and a record of everything that was really done.

use super::chance::Chance;
use super::codex::FakeCodex;
use crate::supervisor::{Client, Supervisor, open, run, socket, texts};
use crate::support::rollout::Rollout;
use crate::support::wait::{PATIENCE, poll};
use crate::support::{World, wait_for};
use conveyor::actors::wire::Answer;
use conveyor::domain::FailureKind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

/// The pair whose manager is pushed to, and the one whose manager reads its mailbox.
pub(super) const TASKS: [&str; 2] = ["pushed", "polled"];

/// A turn that really ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) thread: String,
    pub(super) turn: String,
    pub(super) outcome: &'static str,
}

pub(super) struct Scene {
    pub(super) world: World,
    workers: [Rollout; 2],
    /// The manager that is pushed to.
    pub(super) codex: FakeCodex,
    pub(super) ends: Vec<End>,
    /// The keys of the messages that were queued, or may have been.
    pub(super) queued: BTreeSet<String>,
    /// The keys of which nobody has said yet that they are.
    unanswered: BTreeSet<String>,
    /// The items whose acknowledgement was confirmed.
    pub(super) acknowledged: Vec<i64>,
    /// How often a process was killed.
    pub(super) kills: usize,
    /// How often a planned fault happened.
    pub(super) faults: usize,
}

impl Scene {
    pub(super) fn new() -> Self {
        let world = World::new();
        let directory = world.work_dir("project");
        let rollout = || Rollout::create(&world.codex_home(), &directory).unwrap();
        let (workers, polling) = ([rollout(), rollout()], rollout());
        let codex = FakeCodex::start(&world.codex_home(), &directory, world.root().join("app-server"));
        let pushed_to = codex.session().rollout.path.clone();
        for (task, worker, manager) in
            [(TASKS[0], &workers[0].path, &pushed_to), (TASKS[1], &workers[1].path, &polling.path)]
        {
            for (role, path) in [("worker", worker), ("manager", manager)] {
                let (command, name) = (format!("register-{role}"), format!("{task}-{role}"));
                let path = path.to_str().unwrap();
                world.conveyor(&[&command, "--name", &name, "--codex-session", path]).ok();
            }
            world.conveyor(&["tasks", "--create", task, "--goal", "be told of"]).ok();
            let (worker, manager) = (format!("{task}-worker"), format!("{task}-manager"));
            world.conveyor(&["bind", "--task", task, "--worker", &worker, "--manager", &manager]).ok();
        }
        let reach = "UPDATE session_links SET app_server_socket = ?1, transports = 'app_server'
                     WHERE session_id = (SELECT id FROM sessions WHERE name = 'pushed-manager')";
        assert_eq!(open(&world).execute(reach, [codex.socket.to_str().unwrap()]).unwrap(), 1);
        Self {
            world,
            workers,
            codex,
            ends: Vec::new(),
            queued: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            acknowledged: Vec::new(),
            kills: 0,
            faults: 0,
        }
    }

    /// Starts a supervisor that suffers `faults`. It may be dead before it listens.
    pub(super) fn supervisor(&self, faults: &str) -> Supervisor {
        let mut command = run(&self.world);
        if !faults.is_empty() {
            command.env("CONVEYOR_FAULT", faults);
        }
        let mut supervisor = Supervisor::spawn(&self.world, &mut command);
        wait_for("the supervisor, or its end", PATIENCE, || {
            let is_dead = supervisor.process.try_wait().unwrap().is_some();
            (is_dead || UnixStream::connect(socket(&self.world)).is_ok()).then_some(())
        });
        supervisor
    }

    /// A command serves itself, suffers `faults`, and is killed when it takes longer than `patience`.
    pub(super) fn serves_itself(&mut self, args: &[&str], faults: &str, patience: Duration) {
        let mut command = self.world.command(env!("CARGO_BIN_EXE_conveyor"));
        if !faults.is_empty() {
            command.env("CONVEYOR_FAULT", faults);
        }
        let nobody_listens = [Stdio::null(), Stdio::null(), Stdio::null()];
        let [input, output, errors] = nobody_listens;
        let mut process = command.args(args).stdin(input).stdout(output).stderr(errors).spawn().unwrap();
        let ended = poll(patience, || process.try_wait().unwrap());
        if ended.is_none() {
            process.kill().unwrap();
        }
        let was_killed = process.wait().unwrap().code().is_none();
        self.kills += usize::from(was_killed);
        self.faults += usize::from(!faults.is_empty() && ended.is_some_and(|status| !status.success()));
    }

    /// A worker ends a turn.
    pub(super) fn turn(&mut self, task: usize, chance: &mut Chance) {
        let worker = &mut self.workers[task];
        let turn = worker.begin("do it").unwrap();
        let outcome = match chance.below(4) {
            0 => worker.interrupt().map(|()| "interrupted"),
            1 => worker.fail("no more", json!("usage_limit_exceeded")).map(|()| "failed"),
            _ => worker.complete("done").map(|()| "completed"),
        };
        self.ends.push(End { thread: worker.thread.clone(), turn, outcome: outcome.unwrap() });
    }

    /// Somebody queues a message for a manager; again when nobody has confirmed it.
    pub(super) fn enqueue(&mut self, task: usize) {
        let key = format!("{}-{}", TASKS[task], self.queued.len());
        self.queued.insert(key.clone());
        self.unanswered.insert(key);
        self.enqueue_again();
    }

    fn enqueue_again(&mut self) {
        for key in self.unanswered.clone() {
            let task = key.split('-').next().unwrap();
            let args = json!({"task": task, "message": key, "idempotency_key": key});
            match self.call("enqueue-notify-manager", &args) {
                Some(Answer::Failed(failure)) if failure.kind == FailureKind::Database => return,
                // A repetition is refused: it is there.
                Some(Answer::Done { .. } | Answer::Failed(_)) => drop(self.unanswered.remove(&key)),
                _ => return,
            }
        }
    }

    /// The manager that polls gets its next item under a lease and settles it. Gives whether there
    /// was one.
    pub(super) fn read_inbox(&mut self) -> bool {
        let lease = json!({"task": TASKS[1], "consume_next": true, "lease_seconds": 60});
        let Some(Answer::Done { reply, .. }) = self.call("manager-inbox", &lease) else { return false };
        let (Some(id), Some(token)) = (reply["leased"]["id"].as_i64(), reply["lease"]["token"].as_str())
        else {
            return false;
        };
        let ack = json!({"id": id, "status": "accepted", "lease": token});
        if let Some(Answer::Done { .. }) = self.call("inbox-ack", &ack) {
            self.acknowledged.push(id);
        }
        true
    }

    /// Somebody nudges the manager that is pushed to, and does not look whether it worked.
    pub(super) fn nudge(&mut self) {
        drop(self.call("session-nudge", &json!({"session": "pushed-manager", "text": "go on"})));
    }

    /// A person decides that what never came did not arrive.
    pub(super) fn settle_what_never_came(&self) {
        let unknown =
            texts(&self.world, "SELECT CAST(id AS TEXT) FROM deliveries WHERE state = 'unknown' ORDER BY id");
        for id in unknown {
            let settle =
                ["deliveries", "settle", &id, "--as", "failed", "--reason", "its session has no such text"];
            self.world.conveyor(&settle).ok();
        }
    }

    /// A call; `None` when nobody answers.
    fn call(&self, call: &str, args: &Value) -> Option<Answer> {
        Client::try_connect(&self.world).ok()?.call(call, args).ok()
    }

    /// Long enough passes for claims, rests and leases to run out.
    pub(super) fn time_passes(&self) {
        let long_ago = "2020-01-01T00:00:00.000Z";
        for sql in [
            "UPDATE commands SET claim_expires_at = ?1 WHERE claim_expires_at IS NOT NULL",
            "UPDATE routed_notifications SET claim_expires_at = ?1 WHERE claim_expires_at IS NOT NULL",
            "UPDATE deliveries SET settled_at = ?1 WHERE state = 'failed'",
            "UPDATE notification_leases SET expires_at = ?1 WHERE state = 'leased'",
            "UPDATE deliveries SET claimed_at = ?1 WHERE source = 'nudge' AND state IN ('claimed', 'started')",
        ] {
            let database = open(&self.world);
            database.busy_timeout(PATIENCE).unwrap();
            database.execute(sql, [long_ago]).unwrap();
        }
    }

    /// A supervisor that nothing happens to brings everything to rest.
    pub(super) fn comes_to_rest(&mut self) {
        let supervisor = self.supervisor("");
        self.rests_with(&supervisor);
        drop(supervisor.stop());
    }

    /// Waits until everything is at rest; the manager that polls empties its mailbox.
    pub(super) fn rests_with(&mut self, supervisor: &Supervisor) {
        let at_rest = poll(PATIENCE, || {
            self.enqueue_again();
            self.time_passes();
            while self.read_inbox() {}
            (self.unanswered.is_empty() && self.moving().is_empty()).then_some(())
        });
        let left = (&self.unanswered, self.moving());
        assert!(at_rest.is_some(), "not queued, still on their way: {left:?}\n{}", supervisor.said());
    }

    /// What has not come to rest.
    fn moving(&self) -> Vec<String> {
        let sql = "SELECT 'fact ' || id FROM turn_facts f WHERE routed_at IS NULL AND EXISTS
                       (SELECT 1 FROM bindings b WHERE b.worker_session_id = f.session_id)
                   UNION ALL SELECT 'notification ' || id FROM routed_notifications
                       WHERE state = 'pending' OR state = 'delivered' AND delivery_mode = 'pull_required' AND consumed_at IS NULL
                   UNION ALL SELECT 'command ' || id FROM commands WHERE state IN ('pending', 'attempted')
                   UNION ALL SELECT 'delivery ' || id FROM deliveries WHERE state IN ('claimed', 'started')
                   UNION ALL SELECT 'push ' || id FROM deliveries WHERE state = 'sent' AND transport <> 'mailbox'";
        let read = "SELECT turn_key FROM turn_facts
                    WHERE session_id IN (SELECT worker_session_id FROM bindings)";
        let unread = self.ends.len().saturating_sub(texts(&self.world, read).len());
        let unread = (unread > 0).then(|| format!("{unread} turns"));
        texts(&self.world, sql).into_iter().chain(unread).collect()
    }
}
