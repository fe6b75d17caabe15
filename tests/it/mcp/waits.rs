//! Tools that wait: how long, for what, and beside which others.

use crate::support::mcp::outcome;
use crate::support::rollout::Rollout;
use crate::support::{McpClient, World};
use serde_json::{Value, json};

/// A world where the task `alpha` is bound to a worker and a manager that have no terminal.
fn bound() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "alpha", "--goal", "a test"]).ok();
    for role in ["worker", "manager"] {
        let rollout = Rollout::create(&world.codex_home(), world.root()).unwrap();
        let path = rollout.path.to_str().unwrap();
        world.conveyor(&[&format!("register-{role}"), "--name", role, "--codex-session", path]).ok();
    }
    world.conveyor(&["bind", "--task", "alpha", "--worker", "worker", "--manager", "manager"]).ok();
    world
}

/// A client that allows waits which are longer than any test.
fn patient(world: &World) -> McpClient {
    McpClient::start(world, &["--max-wait-seconds", "3600"])
}

/// Waits for the next item, embedded with looks that are so close together as to be no delay.
fn next_item() -> Value {
    json!({"task": "alpha", "consume_next": true, "wait": true, "timeout": 3600, "interval": 0.02})
}

fn tell_manager(client: &mut McpClient, message: &str) {
    client.call("enqueue_notify_manager", json!({"task": "alpha", "message": message})).unwrap();
}

#[test]
fn a_wait_ends_while_the_client_still_listens() {
    let world = bound();
    let mut client = McpClient::start(&world, &["--max-wait-seconds", "1"]);
    for timeout in [json!(86_400), Value::Null] {
        let arguments = json!({"task": "alpha", "wait": true, "timeout": timeout});
        let inbox = client.call("manager_inbox", arguments).unwrap();
        assert_eq!((&inbox["wait"]["timed_out"], &inbox["items"]), (&json!(true), &json!([])));
        assert_eq!(inbox["wait"]["timeout_seconds"], 1.0);
    }
}

#[test]
fn a_wait_is_woken_and_keeps_nobody_waiting() {
    for supervised in [true, false] {
        let world = bound();
        if supervised {
            world.conveyor(&["run", "--detach"]).ok();
        }
        let mut client = patient(&world);
        let waits = ["first", "second"].map(|_| client.begin("manager_inbox", next_item()));
        assert_eq!(client.call("tasks", json!({})).unwrap()[0]["name"], "alpha");
        assert!(client.is_idle(), "nothing has come yet");

        let mut taken = Vec::new();
        for message in ["one", "two"] {
            tell_manager(&mut client, message);
            if !supervised {
                client.call("dispatch", json!({})).unwrap();
            }
        }
        for wait in waits {
            let inbox = outcome(&client.answer(wait)).unwrap();
            assert_eq!(inbox["wait"]["timed_out"], false);
            taken.push(inbox["consumed"]["payload"]["message"].as_str().unwrap().to_owned());
        }
        taken.sort();
        assert_eq!(taken, ["one", "two"], "supervised: {supervised}");
    }
}

#[test]
fn a_wait_that_was_cancelled_takes_nothing() {
    for supervised in [true, false] {
        let world = bound();
        if supervised {
            world.conveyor(&["run", "--detach"]).ok();
        }
        let mut client = patient(&world);
        let wait = client.begin("manager_inbox", next_item());
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": wait}});
        client.line(&cancel.to_string());
        tell_manager(&mut client, "for whoever asks next");
        if !supervised {
            client.call("dispatch", json!({})).unwrap();
        }
        let inbox = client.call("manager_inbox", next_item()).unwrap();
        assert_eq!(inbox["consumed"]["payload"]["message"], "for whoever asks next");
        assert!(client.is_idle(), "the cancelled call is not answered");
        assert!(client.close().success());
    }
}

#[test]
fn a_wait_ends_with_its_client() {
    let world = bound();
    let mut client = patient(&world);
    client.begin("manager_inbox", next_item());
    client.call("tasks", json!({})).unwrap();
    assert!(client.close().success());
}
