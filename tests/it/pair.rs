//! A supervised pair, end to end: two real Codex sessions that `conveyor pair` started, a scripted
//! model behind both, and everything between them done by the program itself.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::model::{Action, call, hold, run, say};
use crate::support::{Script, World, wait_for};

/// Two Codex sessions, four turns and five deliveries, on a machine that may be busy.
const DEADLINE: Duration = Duration::from_secs(90);

/// By its path: a login shell makes its own `PATH`.
const CONVEYOR: &str = env!("CARGO_BIN_EXE_conveyor");

const NUDGE: &str = "Please do the second slice.";

/// How the manager calls the program.
#[derive(Clone, Copy, PartialEq)]
enum Hands {
    /// As shell commands, which needs full access.
    Shell,
    /// As MCP tools, under a read-only sandbox.
    Tools,
}

impl Hands {
    /// What the manager does when it hears that the worker is done.
    fn supervise(self) -> Vec<Action> {
        match self {
            Self::Shell => vec![
                run(&format!("{CONVEYOR} cycle t1 > cycle.json")),
                run(&format!("{CONVEYOR} session-nudge w1 '{NUDGE}'")),
                say("I have nudged the worker."),
            ],
            Self::Tools => vec![
                call(Some("mcp__conveyor"), "cycle", json!({"task": "t1"})),
                call(Some("mcp__conveyor"), "session_nudge", json!({"name": "w1", "text": NUDGE})),
                say("I have nudged the worker."),
            ],
        }
    }

    fn sandbox(self) -> &'static str {
        match self {
            Self::Shell => "danger-full-access",
            Self::Tools => "read-only",
        }
    }
}

/// A world with a running pair.
struct Pair {
    world: World,
    directory: PathBuf,
}

impl Pair {
    fn start(hands: Hands, transport: &str) -> Self {
        let transport = &*transport.replace('_', "-");
        let script = Script::new()
            .on("^Task alpha", [say("The first slice is done.")])
            .on("second slice", [hold("second"), say("The second slice is done.")])
            .once("^\\[conveyor worker_task_complete", hands.supervise())
            .on("^\\[conveyor worker_task_complete", [say("I have seen the second slice.")]);
        let world = World::with_codex(script);
        let directory = world.work_dir("project");
        let pair = "pair --task t1 --worker-name w1 --manager-name m1 --timeout-seconds 60 --json";
        let mut args: Vec<&str> = pair.split(' ').collect();
        args.extend(["--task-goal", "Ship both slices", "--task-prompt", "Task alpha: do the first slice."]);
        args.extend(["--sandbox", hands.sandbox(), "--ask-for-approval", "never", "--transport", transport]);
        world.conveyor_in(&directory, &args, "").ok();
        Self { world, directory }
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let database = self.world.state_root().join("workerctl.db");
        let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        conn.busy_timeout(Duration::from_secs(5)).unwrap();
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[track_caller]
    fn becomes(&self, what: &str, sql: &str, expect: &[&str]) {
        let mut seen = Vec::new();
        let reached = crate::support::wait::poll(DEADLINE, || {
            seen = self.texts(sql);
            (seen == expect).then_some(())
        });
        assert!(reached.is_some(), "{what}: {seen:?}, not {expect:?}\n{}", self.report());
    }

    /// What a person would look at when it did not work.
    fn report(&self) -> String {
        let rows = self.texts(
            "SELECT s.name || ' ' || d.source || ' ' || COALESCE(d.transport, '-') || ' ' || d.state || ' ' || COALESCE(d.error, '')
             FROM deliveries d JOIN sessions s ON s.id = d.target_session_id ORDER BY d.id",
        );
        let panes: Vec<String> = ["codex-w1", "codex-m1"].map(|pane| self.world.pane(pane)).to_vec();
        format!("{}\n{}", rows.join("\n"), panes.join("\n----\n"))
    }

    fn rollout(&self, session: &str) -> String {
        let sql = format!("SELECT codex_session_path FROM sessions WHERE name = '{session}'");
        fs::read_to_string(&self.texts(&sql)[0]).unwrap()
    }
}

/// Runs a pair until both slices are done and the manager has heard of both.
fn check(hands: Hands, transport: &str) {
    let pair = Pair::start(hands, transport);
    // A text that comes in a turn is steered into it; here each is to begin one.
    wait_for("the end of the manager's turn", DEADLINE, || {
        pair.rollout("m1").contains(r#""last_agent_message":"I have nudged the worker.""#).then_some(())
    });
    pair.world.model().release("second");
    pair.becomes(
        "the worker's turns",
        "SELECT f.outcome FROM turn_facts f JOIN sessions s ON s.id = f.session_id WHERE s.name = 'w1' ORDER BY f.id",
        &["completed", "completed"],
    );
    // The worker's first prompt and the nudge; the manager's briefing and both completions.
    let deliveries = format!(
        "SELECT s.name || ' ' || d.source || ' ' || d.transport || ' ' || d.state
         FROM deliveries d JOIN sessions s ON s.id = d.target_session_id
         WHERE d.transport = '{transport}' AND (d.source = 'notification' OR d.correlation_id IN
             (SELECT correlation_id FROM events WHERE type = 'session_nudged'
                AND json_extract(payload_json, '$.text_length') = {}))
         ORDER BY s.name, d.id",
        NUDGE.len()
    );
    let (to_manager, to_worker) =
        (format!("m1 notification {transport} observed"), format!("w1 nudge {transport} observed"));
    pair.becomes("the deliveries", &deliveries, &[&to_manager, &to_manager, &to_worker]);
    pair.becomes("the manager's look", "SELECT state FROM manager_cycles", &["succeeded"]);
    pair.becomes(
        "the notifications",
        "SELECT signal_type || ' ' || state || ' ' || delivery_mode FROM routed_notifications ORDER BY id",
        &["worker_task_complete delivered push", "worker_task_complete delivered push"],
    );

    for (pane, text) in
        [("codex-w1", "The second slice is done."), ("codex-m1", "I have seen the second slice.")]
    {
        wait_for(text, DEADLINE, || pair.world.pane(pane).contains(text).then_some(()));
    }
    assert!(pair.rollout("w1").contains(NUDGE), "{}", pair.report());
    assert!(pair.rollout("m1").contains("Worker w1 finished a turn on task t1"), "{}", pair.report());
    let cycle = match hands {
        Hands::Shell => fs::read_to_string(pair.directory.join("cycle.json")).unwrap(),
        Hands::Tools => pair.texts("SELECT status_json FROM manager_cycles").remove(0),
    };
    let cycle: Value = serde_json::from_str(&cycle).unwrap();
    assert_eq!((&cycle["state"], &cycle["task_completed"]), (&json!("idle"), &json!(true)), "{cycle}");

    pair.world
        .conveyor(&[
            "finish-task",
            "t1",
            "--reason",
            "both slices are done",
            "--stop-worker",
            "--stop-manager",
        ])
        .ok();
    pair.world.conveyor(&["run", "--stop"]).ok();
    wait_for("everything has stopped", DEADLINE, || pair.world.processes().is_empty().then_some(()));
}

#[test]
fn a_pair_works_by_shell_commands_over_the_app_server() {
    check(Hands::Shell, "app_server");
}

#[test]
fn a_pair_works_by_tools_in_a_read_only_sandbox() {
    check(Hands::Tools, "app_server");
}

#[test]
fn a_pair_works_through_the_codex_queue() {
    check(Hands::Shell, "codex_queue");
}

#[test]
fn a_pair_works_by_typing_into_its_terminals() {
    check(Hands::Shell, "tmux");
}
