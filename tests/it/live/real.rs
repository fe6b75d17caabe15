//! A real worker that is told things, interrupted, refused by its model and killed; and screens that
//! take no text.

use super::{StandIn, bind, session, signals, texts};
use crate::support::model::{escalate, fail, hang, say};
use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;

/// A task whose worker is a real Codex, and whose manager is a stand-in.
struct Pair {
    _manager: StandIn,
    world: World,
}

impl Pair {
    fn start(script: Script, flags: &str) -> Self {
        let world = World::with_codex(script);
        let start = "start-worker --name w1 --timeout-seconds 120";
        let args: Vec<&str> = start.split(' ').chain(flags.split_whitespace()).collect();
        world.conveyor_in(&world.work_dir("w"), &args, "").ok();
        let manager = StandIn::start(&world, "m1");
        manager.register(&world, "manager", "m1");
        bind(&world);
        world.conveyor(&["run", "--detach"]).ok();
        Self { _manager: manager, world }
    }

    /// Nudges the worker until there is a way in.
    fn says(&self, text: &str) {
        wait_for("a way in", PATIENCE, || {
            (self.world.conveyor(&["session-nudge", "w1", text]).status == Some(0)).then_some(())
        });
    }

    /// Nudges the worker to do what does not end; gives the turn.
    fn hangs(&self) -> String {
        self.says("hang now");
        wait_for("the turn", PATIENCE, || {
            texts(&self.world, "SELECT open_turn_key FROM rollout_cursors WHERE open_turn_key IS NOT NULL")
                .pop()
        })
    }

    #[track_caller]
    fn told(&self, expect: &[&str]) {
        wait_for("the signals", PATIENCE, || (signals(&self.world) == expect).then_some(()));
    }

    fn cycle(&self) -> Value {
        self.world.conveyor(&["cycle", "t1"]).ok().json()
    }

    /// The newest delivery to the worker.
    fn delivery(&self) -> Value {
        self.world.conveyor(&["deliveries", "--session", "w1", "--json"]).ok().json()[0].take()
    }

    #[track_caller]
    fn delivery_becomes(&self, state: &str) -> Value {
        wait_for(state, PATIENCE, || Some(self.delivery()).filter(|delivery| delivery["state"] == state))
    }

    fn stop(&self) {
        self.world.conveyor(&["run", "--stop"]).ok();
    }
}

#[test]
fn a_text_that_arrived_is_observed_and_its_receipt_is_the_event() {
    for (flags, transport) in [("", "app_server"), ("--recipe embedded --transport tmux", "tmux")] {
        let pair = Pair::start(Script::new(), flags);
        pair.says("please do it");
        let delivery = pair.delivery_becomes("observed");
        assert_eq!(delivery["transport"], transport);
        let receipt =
            format!("SELECT payload_json FROM codex_events WHERE id = {}", delivery["receipt"]["event_id"]);
        let event = texts(&pair.world, &receipt).remove(0);
        assert!(event.contains("please do it") && event.contains("UserMessage"), "{event}");
        pair.told(&["worker_task_complete"]);
        pair.stop();
    }
}

#[test]
fn a_turn_that_was_interrupted_is_told_as_that_and_its_worker_is_idle() {
    let pair = Pair::start(Script::new().on("hang", [say("hm"), hang()]), "");
    let turn = pair.hangs();
    pair.world.conveyor(&["session-interrupt", "w1"]).ok();
    pair.told(&["worker_turn_interrupted"]);
    let facts = "SELECT turn_key || ' ' || outcome FROM turn_facts";
    assert_eq!(texts(&pair.world, facts), [format!("{turn} interrupted")]);
    let cycle = pair.cycle();
    assert_eq!((&cycle["state"], &cycle["last_turn"]["outcome"]), (&json!("idle"), &json!("interrupted")));
    pair.stop();
}

#[test]
fn a_turn_that_failed_at_the_model_is_told_as_that_with_its_reason() {
    let pair = Pair::start(Script::new().on("too much", [fail(429)]), "");
    pair.says("this is too much");
    pair.told(&["worker_turn_failed"]);
    let cycle = pair.cycle();
    assert_eq!((&cycle["state"], &cycle["last_turn"]["outcome"]), (&json!("idle"), &json!("failed")));
    assert!(cycle["last_turn"]["error"].to_string().contains("429"), "{}", cycle["last_turn"]);
    assert_eq!(pair.delivery()["state"], "observed", "it arrived all the same");
    pair.stop();
}

/// Kills what runs a worker's thread, in the middle of a turn.
fn check_killed(flags: &str, process: &str) {
    let pair = Pair::start(Script::new().on("hang", [say("hm"), hang()]), flags);
    let turn = pair.hangs();
    let pid = session(&pair.world, "w1")["pid"].as_i64().unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let killed_at = Timestamp::now();
    kill_process(pid, Signal::KILL).unwrap();

    pair.told(&["worker_turn_failed", "session_exited"]);
    let exited = "SELECT recorded_at FROM session_facts WHERE kind = 'exited'";
    let known_at: Timestamp = texts(&pair.world, exited)[0].parse().unwrap();
    let latency = known_at.duration_since(killed_at).as_secs_f64();
    // A second, and as much again for a machine that is busy with other tests.
    assert!(latency < 2.0, "{latency} s");
    let facts = "SELECT turn_key || ' ' || outcome || ' ' || (error_json ->> '$.kind') FROM turn_facts";
    assert_eq!(texts(&pair.world, facts), [format!("{turn} failed crashed")]);
    let role = "SELECT detail_json ->> '$.process' FROM session_facts WHERE kind = 'exited'";
    assert_eq!(texts(&pair.world, role), [process]);
    let cycle = pair.cycle();
    assert_eq!((&cycle["state"], &cycle["worker_alive"]), (&json!("idle"), &json!(false)));
    assert_eq!(cycle["worker_conditions"][0]["kind"], "exited", "{cycle}");
    pair.stop();
}

#[test]
fn a_worker_that_was_killed_in_a_turn_is_noticed_and_told_of() {
    check_killed("--recipe embedded --transport tmux", "codex");
}

#[test]
fn a_worker_whose_app_server_was_killed_in_a_turn_is_noticed_and_told_of() {
    check_killed("", "app_server");
}

/// What became of a text typed at a screen that takes none.
#[track_caller]
fn assert_not_delivered(world: &World, name: &str, class: &str) {
    let refused = world.conveyor(&["session-nudge", name, "y"]).exits(1);
    assert!(refused.stderr.contains(class), "{}", refused.text());
    world.conveyor(&["enqueue-nudge-worker", "t1", "--message", "y"]).ok();
    wait_for("the queued one", PATIENCE, || {
        (texts(world, "SELECT state FROM commands WHERE type = 'nudge_worker'") == ["failed"]).then_some(())
    });
    let deliveries = world.conveyor(&["deliveries", "--session", name, "--limit", "2", "--json"]).ok().json();
    for delivery in deliveries.as_array().unwrap() {
        assert_eq!(
            (&delivery["state"], &delivery["pane_class"]),
            (&json!("failed"), &json!(class)),
            "{delivery}"
        );
        assert!(delivery["error"].as_str().unwrap().contains("takes no message"), "{delivery}");
    }
    let shown = world.conveyor(&["deliveries", "--session", name]).ok().stdout;
    assert!(shown.contains(&format!("its pane showed: {class}")), "{shown}");
}

#[test]
fn a_text_for_a_codex_that_asks_for_approval_is_not_typed() {
    let script = Script::new().on("escalate", [escalate("touch proof"), say("done")]);
    let flags = "--recipe embedded --transport tmux --sandbox read-only --ask-for-approval on-request";
    let pair = Pair::start(script, flags);
    pair.says("escalate this");
    let asks = || pair.world.pane("=codex-w1:").contains("May this run?").then_some(());
    wait_for("the question", PATIENCE, asks);
    pair.delivery_becomes("observed");

    assert_not_delivered(&pair.world, "w1", "blocked:approval");
    assert!(asks().is_some() && !pair.world.work_dir("w").join("proof").exists(), "nobody answered");
    pair.stop();
}

#[test]
fn a_text_for_a_codex_that_offers_an_update_is_not_typed() {
    let world = World::with_codex(Script::new());
    let directory = world.work_dir("w");
    // What Codex found when it last looked for a newer version.
    let newest =
        json!({"latest_version": "99.0.0", "last_checked_at": Timestamp::now(), "dismissed_version": null});
    fs::write(world.codex_home().join("version.json"), newest.to_string()).unwrap();
    let config = fs::read_to_string(world.codex_home().join("config.toml")).unwrap();
    let config = config.replace("check_for_update_on_startup = false", "check_for_update_on_startup = true");
    fs::write(world.codex_home().join("config.toml"), config).unwrap();
    // It would run npm, which must not be found.
    let codex = "CODEX_MANAGED_BY_NPM=1 exec codex --no-daemon";
    let start =
        ["new-session", "-d", "-s", "late", "-x", "120", "-y", "40", "-c", directory.to_str().unwrap()];
    world.tmux(&[&start[..], &[codex]].concat(), "").ok();
    let offers = || world.pane("=late:").contains("1. Update now").then_some(());
    wait_for("the offer", PATIENCE, offers);

    // A session that is gone on with in that terminal: Codex has not come to opening it.
    let rollout = Rollout::create(&world.codex_home(), &directory).unwrap();
    let (rollout, pane) = (
        rollout.path.to_str().unwrap().to_owned(),
        world.tmux(&["display-message", "-p", "-t", "=late:", "#{pane_pid}"], "").ok().stdout,
    );
    let register = ["register-worker", "--name", "w1", "--codex-session", &rollout, "--tmux-session", "late"];
    world.conveyor(&[&register[..], &["--pid", pane.trim()]].concat()).ok();
    let manager = StandIn::start(&world, "m1");
    manager.register(&world, "manager", "m1");
    bind(&world);
    world.conveyor(&["run", "--detach"]).ok();
    assert_not_delivered(&world, "w1", "blocked:update");
    assert!(offers().is_some(), "nobody answered");
    world.conveyor(&["run", "--stop"]).ok();
}

#[test]
fn a_c_c_right_after_an_interrupt_ends_no_codex() {
    let script = Script::new().on("hang now", [say("hm"), hang()]);
    let pair = Pair::start(script, "--recipe embedded --transport tmux");
    pair.hangs();
    pair.world.conveyor(&["session-interrupt", "w1"]).ok();
    for more in [&[][..], &["--dry-run"]] {
        let press = [&["session-interrupt", "w1", "--key", "C-c"], more].concat();
        let refused = pair.world.conveyor(&press).exits(1);
        assert!(refused.stderr.contains("would end an idle Codex"), "{}", refused.stderr);
    }
    pair.world.conveyor(&["run", "--stop"]).ok();
}
