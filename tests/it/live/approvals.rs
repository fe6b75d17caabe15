//! Sessions that wait for an approval: told once, answered by the manager or at the terminal.

use super::{StandIn, bind, session, signals, texts};
use crate::support::model::{escalate, say};
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use serde_json::{Value, json};

/// A task whose real worker asks before it runs what is escalated, and whose manager is a stand-in.
struct Pair {
    manager: StandIn,
    world: World,
}

impl Pair {
    fn start(more: &[&str]) -> Self {
        let script = Script::new()
            .on("first", [escalate("echo allowed > proof-1"), say("first done")])
            .on("second", [escalate("echo allowed > proof-2"), say("second done")]);
        let world = World::with_codex(script);
        let start = [
            "start-worker",
            "--name",
            "w1",
            "--sandbox",
            "read-only",
            "--ask-for-approval",
            "on-request",
            "--timeout-seconds",
            "120",
        ];
        world.conveyor_in(&world.work_dir("w"), &[&start[..], more].concat(), "").ok();
        let manager = StandIn::start(&world, "m1");
        manager.register(&world, "manager", "m1");
        bind(&world);
        world.conveyor(&["run", "--detach"]).ok();
        Self { manager, world }
    }

    fn says(&self, text: &str) {
        wait_for("a way in", PATIENCE, || {
            (self.world.conveyor(&["session-nudge", "w1", text]).status == Some(0)).then_some(())
        });
    }

    /// The only session that waits.
    fn waiting(&self, more: &[&str]) -> Value {
        wait_for("the wait", PATIENCE, || {
            let waits =
                self.world.conveyor(&[&["approvals", "--task", "t1", "--json"], more].concat()).ok().json();
            Some(waits[0].clone()).filter(Value::is_object)
        })
    }

    fn nobody_waits(&self) {
        wait_for("the end of the wait", PATIENCE, || {
            (self.world.conveyor(&["approvals", "--json"]).ok().json() == json!([])).then_some(())
        });
    }

    fn answer(&self, verb: &str, id: &Value, expect: i32) -> String {
        let run = self.world.conveyor(&[verb, "w1", &id.to_string(), "--reason", "because"]).exits(expect);
        run.stdout + &run.stderr
    }

    fn ran(&self, proof: &str) -> bool {
        self.world.work_dir("w").join(proof).exists()
    }

    fn told(&self, expect: &[&str]) {
        wait_for("the signals", PATIENCE, || (signals(&self.world) == expect).then_some(()));
    }
}

#[test]
fn a_worker_that_waits_is_told_of_once_and_answered_with_permission() {
    let pair = Pair::start(&[]);
    pair.says("the first one");
    pair.told(&["session_waiting"]);
    let waiting = pair.waiting(&[]);
    assert_eq!((&waiting["asks"], &waiting["answerable"]), (&json!("command"), &json!(true)));
    assert_eq!((waiting.get("command"), &waiting["command_redacted"]), (None, &json!(true)));
    let shown = pair.waiting(&["--include-content"]);
    assert!(shown["command"].as_str().unwrap().contains("proof-1"), "{shown}");
    assert_eq!(shown["reason"], "May this run?");
    assert_eq!(session(&pair.world, "w1")["conditions"][0]["kind"], "waiting");

    let refused = pair.answer("approve", &waiting["id"], 1);
    assert!(refused.contains("--permit worker_session.approve"), "{refused}");
    pair.world.conveyor(&["manager-config", "t1", "--permit", "worker_session.approve"]).ok();
    assert!(!pair.ran("proof-1"));

    // A supervisor that comes anew hears of the same request, and tells nobody again.
    pair.world.conveyor(&["run", "--stop"]).ok();
    pair.world.conveyor(&["run", "--detach"]).ok();
    pair.answer("approve", &waiting["id"], 0);
    pair.nobody_waits();
    pair.told(&["session_waiting", "worker_task_complete"]);
    assert!(pair.ran("proof-1"));

    pair.says("the second one");
    pair.told(&["session_waiting", "worker_task_complete", "session_waiting"]);
    pair.answer("deny", &pair.waiting(&[])["id"], 0);
    pair.nobody_waits();
    pair.told(&["session_waiting", "worker_task_complete", "session_waiting", "worker_task_complete"]);
    assert!(!pair.ran("proof-2"));
    let answers = "SELECT type || ' ' || state FROM commands WHERE type LIKE '%_request' ORDER BY created_at";
    assert_eq!(
        texts(&pair.world, answers),
        ["approve_request failed", "approve_request succeeded", "deny_request succeeded"]
    );
    pair.world.conveyor(&["run", "--stop"]).ok();
    drop(pair.manager);
}

#[test]
fn an_answer_at_the_terminal_ends_the_wait() {
    let pair = Pair::start(&[]);
    pair.says("the first one");
    let waiting = pair.waiting(&[]);
    wait_for("the question", PATIENCE, || {
        pair.world.pane("=codex-w1:").contains("May this run?").then_some(())
    });
    pair.world.tmux(&["send-keys", "-t", "=codex-w1:", "y"], "").ok();
    pair.nobody_waits();
    pair.told(&["session_waiting", "worker_task_complete"]);
    assert!(pair.ran("proof-1"));
    let late = pair.answer("approve", &waiting["id"], 1);
    assert!(late.contains("does not wait"), "{late}");
    pair.world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_session_without_an_app_server_is_seen_to_wait_on_its_screen() {
    let pair = Pair::start(&["--recipe", "embedded", "--transport", "tmux"]);
    pair.says("the first one");
    pair.told(&["session_waiting"]);
    let waiting = pair.waiting(&[]);
    assert_eq!(waiting["answerable"], false);
    assert!(waiting["pane_class"].as_str().unwrap().starts_with("blocked:"), "{waiting}");
    pair.world.conveyor(&["manager-config", "t1", "--permit", "worker_session.approve"]).ok();
    let refused = pair.answer("approve", &waiting["id"], 1);
    assert!(refused.contains("answer it in its terminal"), "{refused}");
    pair.world.tmux(&["send-keys", "-t", "=codex-w1:", "y"], "").ok();
    pair.nobody_waits();
    pair.told(&["session_waiting", "worker_task_complete"]);
    pair.world.conveyor(&["run", "--stop"]).ok();
}
