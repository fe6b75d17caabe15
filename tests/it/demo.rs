//! `conveyor demo`: the whole loop, seen by a new user.

use crate::support::model::{call, run, say};
use crate::support::run::Run;
use crate::support::wait::PATIENCE;
use crate::support::{Script, World, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A world with a temporary directory of its own.
struct Place {
    world: World,
    temporary: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::in_world(World::new())
    }

    fn in_world(world: World) -> Self {
        let temporary = world.root().join("t");
        fs::create_dir(&temporary).unwrap();
        Self { world, temporary }
    }

    /// `conveyor demo` in an empty directory.
    fn demo(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(env!("CARGO_BIN_EXE_conveyor"));
        let empty = self.world.root().join("empty");
        fs::create_dir_all(&empty).unwrap();
        command.arg("demo").args(args).env("TMPDIR", &self.temporary).current_dir(empty);
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.demo(args), "")
    }

    /// What the demonstrations have left behind, besides what the user had.
    fn left(&self) -> Vec<String> {
        let names = |directory: PathBuf| fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
        let empty = self.world.root().join("empty");
        let directories = [self.temporary.clone(), empty, self.world.state_root(), self.world.codex_home()];
        let files = directories.into_iter().flat_map(names).map(|path| path.display().to_string());
        files.chain(self.world.processes().into_iter().map(|process| process.command)).collect()
    }

    /// The directories of demonstrations. Codex leaves some of its own beside them.
    fn scenes(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.temporary).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("conveyor-demo-")).collect()
    }

    #[track_caller]
    fn is_left_clean(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// Hides the programs of the machine, but for `tmux`, which becomes this script.
    fn with_tmux(&self, script: Option<&str>) -> PathBuf {
        let bin = self.world.root().join("only");
        fs::create_dir(&bin).unwrap();
        symlink("/bin/sh", bin.join("sh")).unwrap();
        if let Some(script) = script {
            fs::write(bin.join("tmux"), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(bin.join("tmux"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }
}

/// The steps in the order they are told, whichever way messages take.
const STEPS: [&str; 22] = [
    "supervisor_up",
    "worker_registered",
    "manager_registered",
    "task_created",
    "pair_bound",
    "prompt_sent",
    "prompt_arrived",
    "first_turn_ended",
    "first_delivery_arrived",
    "first_cycle",
    "criterion_accepted",
    "nudge_sent",
    "nudge_arrived",
    "second_turn_ended",
    "second_delivery_arrived",
    "second_cycle",
    "criterion_satisfied",
    "task_finished",
    "work_seen",
    "deliveries_observed",
    "task_done",
    "supervisor_stopped",
];

/// The same with the real Codex, which is started and stopped by commands.
const CODEX_STEPS: [&str; 15] = [
    "supervisor_up",
    "pair_started",
    "first_turn_ended",
    "first_delivery_arrived",
    "first_cycle",
    "nudge_arrived",
    "second_turn_ended",
    "second_delivery_arrived",
    "task_finished",
    "work_seen",
    "deliveries_observed",
    "task_done",
    "worker_stopped",
    "manager_stopped",
    "supervisor_stopped",
];

#[track_caller]
fn check_whole_loop(args: &[&str], delivery: &str) {
    let place = Place::new();
    let report = place.run(args).ok().json();
    assert_eq!((&report["ok"], &report["cast"]), (&Value::Bool(true), &Value::from(delivery)));
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, STEPS);
    assert!(report["elapsed_seconds"].as_f64().unwrap() < 15.0, "{report}");
    place.is_left_clean();
}

#[test]
fn the_whole_loop_is_seen_in_tmux() {
    check_whole_loop(&["--json"], "tmux");
}

#[test]
fn the_whole_loop_is_seen_without_tmux() {
    check_whole_loop(&["--json", "--no-tmux"], "mailbox");
}

#[test]
fn the_timeline_is_readable_and_what_it_recommends_exists() {
    let place = Place::new();
    let demo = place.run(&["--no-tmux"]).ok();
    assert!(
        demo.stdout.lines().any(|line| line.ends_with("s  worker      says: haiku.txt is written: 2 lines"))
    );
    assert!(!demo.stdout.contains('\u{1b}'), "{}", demo.text());
    assert_eq!(demo.stderr, "");
    let recommended = demo.stdout.lines().skip_while(|line| *line != "Next:").skip(1);
    let commands: Vec<&str> = recommended.filter_map(|line| line.trim().split("  ").next()).collect();
    assert!(commands.len() >= 3, "{}", demo.text());
    for command in commands {
        let words: Vec<&str> = command.split(' ').skip(1).filter(|word| *word != "--help").collect();
        place.world.conveyor(&[&words[..], &["--help"]].concat()).ok();
    }
}

#[test]
fn a_machine_without_a_usable_tmux_gets_the_mailboxes() {
    let check = |script: Option<&str>, reason: &str| {
        let place = Place::new();
        let bin = place.with_tmux(script);
        let demo = Run::of(place.demo(&[]).env("PATH", bin), "").ok();
        assert!(demo.stdout.contains("They poll their mailboxes ("), "{}", demo.text());
        assert!(demo.stdout.contains(reason), "{}", demo.text());
        place.is_left_clean();
    };
    check(None, "tmux");
    check(Some("echo tmux 3.1c"), "tmux 3.1c is too old");
}

#[test]
fn what_does_not_start_is_told_and_nothing_is_left() {
    let place = Place::new();
    let bin = place.with_tmux(Some("case \"$*\" in *-V) echo tmux 3.4;; *) echo no luck >&2; exit 1;; esac"));
    let demo = Run::of(place.demo(&[]).env("PATH", bin), "").exits(1);
    assert!(demo.stderr.contains("no luck"), "{}", demo.text());
    place.is_left_clean();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    let demo = Run::of(place.demo(&["--no-tmux"]).env("TMPDIR", "/dev/null"), "").exits(1);
    assert!(demo.stderr.contains("/dev/null/conveyor-demo-"), "{}", demo.text());
    place.is_left_clean();
}

#[test]
fn wrong_arguments_are_refused() {
    let place = Place::new();
    for args in
        [&["--faster"][..], &["extra"], &["--patience", "-1"], &["--patience", "soon"], &["--path", "x"]]
    {
        place.run(args).exits(2);
    }
    place.is_left_clean();
}

#[test]
fn what_is_kept_can_be_looked_into() {
    let place = Place::new();
    let report = place.run(&["--json", "--keep"]).ok().json();
    let kept = PathBuf::from(report["kept"].as_str().unwrap());
    let mut tasks = place.world.command(env!("CARGO_BIN_EXE_conveyor"));
    let tasks = Run::of(tasks.arg("tasks").env("CONVEYOR_STATE_ROOT", kept.join("state")), "").ok();
    assert!(tasks.stdout.starts_with("haiku\tdone\t"), "{}", tasks.text());
    assert_eq!(place.world.processes(), []);
}

/// A demonstration that runs, and what it has told so far.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Running {
    fn start(mut demo: Command) -> Self {
        let mut child = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines: Box::new(stdout.lines().map_while(Result::ok)) }
    }

    /// Reads on to a line with this text.
    #[track_caller]
    fn up_to(&mut self, text: &str) -> String {
        self.lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("never told: {text}"))
    }
}

#[test]
fn killed_at_any_step_it_leaves_nothing() {
    for (args, told) in [
        (&[][..], "stand in for Codex"),
        (&[], "$ conveyor run"),
        (&[], "$ conveyor bind"),
        (&[], "says: haiku.txt"),
        (&[], "$ conveyor session-nudge demo-worker 'A haiku"),
        (&["--no-tmux"], "stand in for Codex"),
        (&["--no-tmux"], "$ conveyor bind"),
        (&["--no-tmux"], "$ conveyor cycle"),
    ] {
        let place = Place::new();
        let mut demo = Running::start(place.demo(args));
        demo.up_to(told);
        demo.child.kill().unwrap();
        demo.child.wait().unwrap();
        wait_for(told, PATIENCE, || place.left().is_empty().then_some(()));
    }
}

#[test]
fn a_step_that_is_not_seen_is_named_and_the_logs_stay() {
    let place = Place::new();
    let mut demo = Running::start(place.demo(&["--patience", "3"]));
    let manager = demo.up_to("$ conveyor register-manager");
    let pid = manager.split(' ').skip_while(|word| *word != "--pid").nth(1).unwrap();
    demo.up_to("$ conveyor bind");
    Run::of(Command::new("kill").args(["-9", pid]), "").ok();

    let demo = demo.child.wait_with_output().unwrap();
    let stderr = String::from_utf8(demo.stderr).unwrap();
    assert_eq!(demo.status.code(), Some(1), "{stderr}");
    let missed = "waited 3 s in vain for the manager: being told that the worker's turn has ended";
    assert!(stderr.contains(missed), "{stderr}");
    let (_, kept) = stderr.split_once("the database are in ").unwrap();
    let kept = PathBuf::from(kept.trim());
    for file in ["supervisor.log", "worker.screen", "state/workerctl.db"] {
        assert!(kept.join(file).is_file(), "{file}: {stderr}");
    }
    assert_eq!(place.world.processes(), []);
}

/// What the two models do, each in its turns.
fn haiku() -> Script {
    let tool = |name: &str, arguments: Value| call(Some("mcp__conveyor"), name, arguments);
    let look = || tool("cycle", json!({"task": "haiku"}));
    let nudge = json!({"name": "demo-worker", "text": "Add the third line."});
    let finish = json!({"task": "haiku", "reason": "haiku.txt has three lines"});
    Script::new()
        .on("^Write the first two lines", [run("printf 'one\\ntwo\\n' > haiku.txt"), say("Two lines.")])
        .on("Add the third line", [run("echo three >> haiku.txt"), say("Three lines.")])
        .once("worker_task_complete", [look(), tool("session_nudge", nudge), say("I have asked for more.")])
        .on("worker_task_complete", [look(), tool("finish_task", finish), say("It is finished.")])
}

#[test]
fn the_whole_loop_is_seen_with_the_real_codex() {
    let place = Place::in_world(World::with_codex(haiku()));
    let demo = place.run(&["--codex", "--yes", "--json"]).ok();
    let report = demo.json();
    assert_eq!((&report["ok"], &report["cast"]), (&Value::Bool(true), &Value::from("codex")));
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, CODEX_STEPS);
    assert!(demo.stderr.contains("worker      says: Three lines."), "{}", demo.text());
    assert_eq!(place.scenes(), [""; 0]);
    assert_eq!(place.world.processes(), []);
}

#[test]
fn killed_with_the_real_codex_it_leaves_nothing() {
    for told in ["$ conveyor run", "$ conveyor pair"] {
        let place = Place::in_world(World::with_codex(haiku()));
        let mut demo = Running::start(place.demo(&["--codex", "--yes"]));
        demo.up_to(told);
        demo.child.kill().unwrap();
        demo.child.wait().unwrap();
        wait_for(told, PATIENCE, || {
            (place.scenes().is_empty() && place.world.processes().is_empty()).then_some(())
        });
    }
}

#[test]
fn nobody_s_tokens_are_spent_unasked() {
    let place = Place::new();
    let demo = place.run(&["--codex"]).exits(2);
    assert!(demo.stderr.contains("--yes"), "{}", demo.text());
    place.run(&["--yes"]).exits(2);
    place.is_left_clean();
}
