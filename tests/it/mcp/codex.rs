//! The tools inside a session of the real Codex.

use crate::support::model::{call, run, say};
use crate::support::{Script, Terminal, World};
use serde_json::{Value, json};

#[test]
fn a_session_in_a_sandbox_reaches_the_database_and_is_known() {
    let by_shell = format!("{} tasks --create by-shell --goal g", env!("CARGO_BIN_EXE_conveyor"));
    let tool = |name: &str, arguments: Value| call(Some("mcp__conveyor"), name, arguments);
    let world = World::with_codex(Script::new().on(
        "supervise",
        [
            run(&by_shell),
            tool("tasks", json!({"create": "by-tool", "goal": "g"})),
            tool("tasks", json!({"create": "by-tool", "goal": "g"})),
            tool("register_manager", json!({"name": "m1"})),
            say("all is done"),
        ],
    ));
    world.give_tools(&[]);
    // Nobody is there to approve anything.
    let flags = "-s read-only -a on-request";
    let terminal = Terminal::start(&world, "manager", &world.work_dir("manager"), flags);
    terminal.submit("supervise");
    terminal.shows("all is done");

    let tasks = world.conveyor(&["tasks", "--json"]).ok().json();
    let names: Vec<&Value> = tasks.as_array().unwrap().iter().map(|task| &task["name"]).collect();
    assert_eq!(names, ["by-tool"], "the sandbox keeps the shell out");
    let asked = world.model().requests().pop().unwrap();
    let registered = world.conveyor(&["sessions", "--state", "all"]).ok().json();
    assert_eq!(
        (&registered[0]["name"], &registered[0]["codex_session_id"]),
        (&json!("m1"), &json!(asked.thread))
    );
    let [_, created, refused, _] = asked.tool_outputs.as_slice() else { panic!("{:?}", asked.tool_outputs) };
    assert!(created.contains(r#""created":true"#), "{created}");
    assert!(refused.contains(r#""kind":"refused""#) && refused.contains("hints"), "{refused}");
}
