//! What a manager sees of its worker: `ingest`, `tail`, `cycle`.

use crate::support::rollout::Rollout;
use crate::support::wait::PATIENCE;
use crate::support::{World, wait_for};
use conveyor::codex::rollout::RanCommand;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A world with task `t1`, worker `w1` and manager `m1`, bound, with rollouts as Codex writes them.
struct Pair {
    worker: Rollout,
    world: World,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let directory = world.work_dir("project");
        let worker = Rollout::create(&world.codex_home(), &directory).unwrap();
        let manager = Rollout::create(&world.codex_home(), &directory).unwrap();
        world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
        let pair = Self { worker, world };
        pair.register("worker", "w1", &pair.worker.path);
        pair.register("manager", "m1", &manager.path);
        pair.world.conveyor(&["bind", "--task", "t1", "--worker", "w1", "--manager", "m1"]).ok();
        pair
    }

    fn register(&self, role: &str, name: &str, rollout: &Path) {
        let pid = std::process::id().to_string();
        let command = format!("register-{role}");
        let rollout = rollout.to_str().unwrap();
        let terminal = format!("codex-{name}");
        self.world
            .conveyor(&[
                &command,
                "--name",
                name,
                "--pid",
                &pid,
                "--codex-session",
                rollout,
                "--tmux-session",
                &terminal,
            ])
            .ok();
    }

    fn cycle(&self) -> Value {
        self.world.conveyor(&["cycle", "t1"]).ok().json()
    }

    fn database(&self) -> Connection {
        Connection::open(self.world.state_root().join("workerctl.db")).unwrap()
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// The members of an object that a test looks at.
fn part(value: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| ((*key).to_owned(), value[*key].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_cycle_tells_what_the_worker_does_and_how_its_last_turn_ended() {
    let mut pair = Pair::new();
    let told = ["state", "task_completed", "last_event_subtype", "worker_alive", "manager_alive"];
    assert_eq!(
        part(&pair.cycle(), &told),
        json!({"state": "unknown", "task_completed": false, "last_event_subtype": null, "worker_alive": true, "manager_alive": true})
    );
    let first = pair.worker.begin("do it").unwrap();
    let cycle = pair.cycle();
    assert_eq!((&cycle["state"], &cycle["last_turn"]), (&json!("busy"), &Value::Null));
    pair.worker.complete("all done").unwrap();
    let cycle = pair.cycle();
    assert_eq!((&cycle["state"], &cycle["task_completed"]), (&json!("idle"), &json!(true)));
    assert_eq!(cycle["last_turn"], json!({"outcome": "completed", "error": null, "turn_id": first}));
    assert_eq!(cycle["manager_context"]["worker_receipt"]["last_agent_message"], "all done");

    let second = pair.worker.begin("more").unwrap();
    pair.worker.fail("no quota left", json!("usage_limit_exceeded")).unwrap();
    let error = json!({"message": "no quota left", "codex_error_info": "usage_limit_exceeded"});
    assert_eq!(pair.cycle()["last_turn"], json!({"outcome": "failed", "error": error, "turn_id": second}));
    let third = pair.worker.begin("again").unwrap();
    pair.worker.interrupt().unwrap();
    let cycle = pair.cycle();
    assert_eq!(cycle["last_turn"], json!({"outcome": "interrupted", "error": null, "turn_id": third}));
    assert_eq!((&cycle["state"], &cycle["task_completed"]), (&json!("idle"), &json!(false)));
}

#[test]
fn a_cycle_looks_at_the_screen_of_today_s_codex() {
    let pair = Pair::new();
    let missing = pair.cycle();
    assert_eq!(missing["notable_pane_pattern"], "tmux_session_missing");
    assert_eq!((&missing["pane_class"], &missing["pane_signal"]["degraded"]), (&Value::Null, &json!(true)));

    let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/panes");
    let screen = screens.join("approval-exec.txt");
    let show = format!("cat {}; exec cat", screen.display());
    pair.world.tmux(&["new-session", "-d", "-x", "120", "-y", "40", "-s", "codex-w1", &show], "").ok();
    wait_for("the screen", PATIENCE, || pair.world.pane("=codex-w1:").contains('›').then_some(()));
    let cycle = pair.cycle();
    assert_eq!(part(&cycle, &["pane_class"]), json!({"pane_class": "blocked:approval"}));
    assert_eq!(
        (&cycle["pane_signal"]["captured"], &cycle["pane_signal"]["degraded"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn a_rollout_that_cannot_be_read_fails_the_cycle_and_says_what_to_do() {
    let mut pair = Pair::new();
    pair.worker.begin("do it").unwrap();
    pair.cycle();
    let path = pair.worker.path.clone();
    let mut faults = 0;
    let mut check = |message: &str| {
        faults += 1;
        let run = pair.world.conveyor(&["cycle", "t1"]).exits(1);
        assert!(run.stderr.contains(message), "{}", run.stderr);
        assert!(run.stderr.contains("register-worker --name w1"), "{}", run.stderr);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
        let failed = pair.texts("SELECT error FROM manager_cycles WHERE state = 'failed' ORDER BY id");
        assert!(failed.len() == faults && failed[faults - 1].contains(message), "{failed:?}");
        assert_eq!(
            pair.texts("SELECT subtype FROM codex_events WHERE subtype LIKE 'task_%'"),
            ["task_started"]
        );
    };
    fs::remove_file(&path).unwrap();
    check("does not exist");
    fs::write(&path, "short\n").unwrap();
    check("fewer than");
    fs::write(&path, "x\n".repeat(4000)).unwrap();
    check("is not session_meta");

    let directory = pair.world.work_dir("project");
    pair.worker = Rollout::create(&pair.world.codex_home(), &directory).unwrap();
    pair.register("worker", "w1", &pair.worker.path);
    pair.worker.begin("go on").unwrap();
    assert_eq!(pair.cycle()["state"], "busy");
}

#[test]
fn a_tail_shows_no_texts_unless_they_are_asked_for() {
    let mut pair = Pair::new();
    pair.worker.begin("the secret prompt").unwrap();
    pair.worker.complete("the secret answer").unwrap();
    let ingested = pair.world.conveyor(&["ingest", "w1"]).ok().json();
    assert_eq!(
        part(&ingested, &["new_events", "skipped_lines"]),
        json!({"new_events": 5, "skipped_lines": 0})
    );
    let shown = pair.world.conveyor(&["tail", "w1"]).ok();
    assert!(!shown.stdout.contains("secret"), "{}", shown.stdout);
    let ids = |shown: &Value| -> Vec<i64> {
        shown.as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
    };
    let newest_first = ids(&shown.json());
    assert!(newest_first.len() == 5 && newest_first.is_sorted_by(|a, b| a > b), "{newest_first:?}");
    let verbatim =
        pair.world.conveyor(&["tail", "w1", "--subtype", "task_complete", "--include-content"]).ok();
    assert_eq!(verbatim.json()[0]["payload"]["last_agent_message"], "the secret answer");
    assert_eq!(ids(&pair.world.conveyor(&["tail", "w1", "--limit", "2"]).ok().json()), newest_first[..2]);
    let told = "SELECT attributes_json -> 'event_count' FROM telemetry_events WHERE event_type = 'codex_events_tail_read'";
    assert_eq!(pair.texts(told), ["5", "1", "2"]);
    pair.world.conveyor(&["tail", "w1", "--limit", "-1"]).exits(2);
    let unknown = pair.world.conveyor(&["tail", "w1x"]).exits(1);
    assert!(unknown.stderr.contains("did you mean w1?"), "{}", unknown.stderr);
}

#[test]
fn a_long_payload_stays_in_the_rollout_and_is_read_from_there() {
    let mut pair = Pair::new();
    let long = "a long line of output\n".repeat(200);
    pair.worker.begin("go").unwrap();
    let command = RanCommand { argv: &["make"], cwd: Path::new("/work"), exit_code: 0, output: &long };
    pair.worker.ran(command).unwrap();
    pair.worker.complete("short").unwrap();
    pair.world.conveyor(&["ingest", "w1"]).ok();
    let kept = "SELECT payload_json FROM codex_events UNION ALL SELECT payload_json FROM events";
    assert!(pair.texts(kept).iter().all(|payload| payload.len() < 3000 && !payload.contains("a long line")));

    let shown = |flags: &[&str]| {
        let tail = ["tail", "w1", "--json", "--subtype", "item_completed"];
        let events = pair.world.conveyor(&[&tail[..], flags].concat()).ok().json();
        let ran = |event: &&Value| {
            event["payload"]["left_in_rollout"].is_string()
                || event["payload"]["item"]["type"] == "CommandExecution"
        };
        events.as_array().unwrap().iter().find(ran).unwrap()["payload"].clone()
    };
    assert_eq!(shown(&["--include-content"])["item"]["aggregated_output"], long);
    let redacted = shown(&[]);
    assert!(!redacted.to_string().contains("a long line"), "{redacted}");
    assert_eq!(redacted["item"]["exit_code"], 0);

    // It is told what is not there to be shown, and the other events are.
    let path = pair.worker.path.clone();
    let check = |reason: &str| {
        let left = shown(&["--include-content"]);
        assert!(left["unreadable"].as_str().unwrap().contains(reason), "{left}");
        assert!(left["left_in_rollout_bytes"].as_u64().unwrap() > long.len() as u64, "{left}");
        assert_eq!(left["left_in_rollout"], path.to_str().unwrap());
        let end = ["tail", "w1", "--subtype", "task_complete", "--include-content"];
        assert_eq!(pair.world.conveyor(&end).ok().json()[0]["payload"]["last_agent_message"], "short");
    };
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 10]).unwrap();
    check("fewer than");
    let other = String::from_utf8(whole).unwrap().replacen("a long line", "a line", 1);
    fs::write(&path, other).unwrap();
    check("another line stands at byte");
    fs::remove_file(&path).unwrap();
    check("does not exist");
}

#[test]
fn a_supervisor_reads_every_bound_session_without_being_asked() {
    let mut pair = Pair::new();
    pair.world.conveyor(&["run", "--detach"]).ok();
    for message in ["one", "two"] {
        let turn = pair.worker.begin("go").unwrap();
        pair.worker.complete(message).unwrap();
        let facts = format!("SELECT outcome FROM turn_facts WHERE turn_key = '{turn}'");
        wait_for("the turn to be known", PATIENCE, || (pair.texts(&facts) == ["completed"]).then_some(()));
    }
    let cycle = pair.cycle();
    assert_eq!(cycle["ingest"]["new_events"], 0, "the supervisor has read them");
    assert_eq!(cycle["recent_events"], 9);
    assert_eq!(cycle["manager_context"]["worker_receipt"]["last_agent_message"], "two");
    pair.world.conveyor(&["run", "--stop"]).ok();
}
