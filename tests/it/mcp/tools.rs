//! The tools, as an MCP client sees them.

use crate::support::{McpClient, World};
use serde_json::{Value, json};
use std::fmt::Write;

/// Tools that show what the others are made of: flags, numbers, choices, lists, defaults.
const SHOWN: [&str; 5] = ["commands", "enqueue_continue_iteration", "sessions", "tail", "tasks"];

fn tools(client: &mut McpClient) -> Vec<Value> {
    client.request("tools/list", json!({}))["tools"].as_array().unwrap().clone()
}

/// The tool as a person would describe it.
fn described(tool: &Value) -> String {
    let mut text = format!("{}: {}\n", tool["name"].as_str().unwrap(), tool["description"].as_str().unwrap());
    writeln!(text, "  {}", tool["annotations"]).unwrap();
    let schema = &tool["inputSchema"];
    for (name, property) in schema["properties"].as_object().unwrap() {
        let required = schema["required"].as_array().unwrap().contains(&json!(name));
        writeln!(text, "  {name}{} {property}", if required { " (required)" } else { "" }).unwrap();
    }
    text
}

#[test]
fn tools_are_described() {
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    let tools = tools(&mut client);
    let shown = tools.iter().filter(|tool| SHOWN.contains(&tool["name"].as_str().unwrap()));
    insta::assert_snapshot!(shown.map(described).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_tool_follows_the_rules() {
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    let tools = tools(&mut client);
    assert!(tools.len() > 10, "{}", tools.len());
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        let description = tool["description"].as_str().unwrap();
        assert!((10..=600).contains(&description.len()), "{name}: {description}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        for (property, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            assert!(schema["type"].is_string(), "{name}.{property}: {schema}");
            assert!(schema["description"].is_string(), "{name}.{property}: {schema}");
        }
        // Without these Codex asks a person before each call.
        let annotations = &tool["annotations"];
        assert_eq!(
            (&annotations["destructiveHint"], &annotations["openWorldHint"]),
            (&json!(false), &json!(false)),
            "{name}"
        );
    }
}

#[test]
fn a_tool_does_what_the_command_does() {
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    let created = client.call("tasks", json!({"create": "alpha", "goal": "- first\n- second"})).unwrap();
    assert_eq!((&created["created"], &created["name"]), (&json!(true), &json!("alpha")));
    let listed = client.call("tasks", json!({"active": true, "create": null})).unwrap();
    assert_eq!(listed[0]["goal"], "- first\n- second");
    assert_eq!(listed, world.conveyor(&["tasks", "--active", "--json"]).ok().json());
    assert!(client.close().success());
}

#[test]
fn a_refusal_is_an_answer() {
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    client.call("tasks", json!({"create": "alpha", "goal": "g"})).unwrap();
    let refused = client.call("tasks", json!({"create": "alpha", "goal": "g"})).unwrap_err();
    assert_eq!(refused["kind"], "refused");
    assert!(refused["message"].as_str().unwrap().contains("alpha"), "{refused}");
    assert!(refused["hints"][0].is_string(), "{refused}");
}

#[test]
fn bad_arguments_are_explained() {
    fn check(client: &mut McpClient, tool: &str, arguments: Value, expect: &str) {
        let failure = client.call(tool, arguments).unwrap_err();
        assert_eq!(failure["kind"], "usage", "{failure}");
        assert!(failure.to_string().contains(expect), "{failure}");
    }
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    check(&mut client, "tasks", json!({"gaol": "x"}), "did you mean goal?");
    check(&mut client, "tasks", json!({"goal": "x"}), "--create");
    check(&mut client, "tasks", json!({"active": "yes"}), "active is true or false");
    check(&mut client, "tail", json!({}), "<NAME>");
    check(&mut client, "tail", json!({"name": "w", "limit": -1}), "-1");
    check(&mut client, "sessions", json!({"role": "boss"}), "worker, manager");
    check(&mut client, "session_nudge", json!({"text": "go on"}), "text needs name as well");
}

#[test]
fn what_is_no_call_of_a_tool_does_no_harm() {
    let world = World::new();
    let mut client = McpClient::start_silent(&world, &[]);
    client.line("garbage, before anything else");
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    client.request("initialize", hello);
    client.line("{\"half\": ");
    client.line("");
    let id = client.begin("task", json!({}));
    let error = &client.answer(id)["error"];
    assert_eq!((&error["code"], &error["data"]["hints"][0]), (&json!(-32602), &json!("did you mean tasks?")));
    let id = client.send("no/such/method", json!({}));
    assert_eq!(client.answer(id)["error"]["code"], -32601);
    assert_eq!(client.call("tasks", json!({})).unwrap(), json!([]));
    assert!(client.is_idle());
    assert!(client.close().success());
}

#[test]
fn a_client_that_says_nothing_is_let_go() {
    let world = World::new();
    assert!(McpClient::start_silent(&world, &[]).close().success());
}

#[test]
fn the_supervisor_may_come_and_go_between_calls() {
    let world = World::new();
    let mut client = McpClient::start(&world, &[]);
    client.call("tasks", json!({"create": "embedded", "goal": "g"})).unwrap();
    for name in ["first", "second"] {
        world.conveyor(&["run", "--detach"]).ok();
        client.call("tasks", json!({"create": name, "goal": "g"})).unwrap();
        world.conveyor(&["run", "--stop"]).ok();
    }
    let tasks = client.call("tasks", json!({})).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), 3, "{tasks}");
}
