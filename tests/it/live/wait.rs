//! Scripts that wait for what sessions do, with a supervisor and without.

use super::{Pair, texts};
use crate::support::World;
use crate::support::run::Run;
use serde_json::{Value, json};
use std::thread;

/// Runs `conveyor wait` with these arguments while `happens` is done.
fn wait_while(world: &World, args: &[&str], happens: impl FnOnce()) -> Run {
    let args = [&["wait", "--json", "--timeout", "50"], args].concat();
    thread::scope(|scope| {
        let wait = scope.spawn(|| world.conveyor(&args));
        happens();
        wait.join().unwrap()
    })
}

/// Where to go on from, so that nothing is missed before the wait has begun.
fn cursor(world: &World) -> String {
    let run = world.conveyor(&["wait", "--for", "turn-end", "--timeout", "0", "--json"]).exits(3);
    run.json()["cursor"].to_string()
}

#[test]
fn a_script_learns_which_condition_was_met_by_whom() {
    for supervised in [true, false] {
        let Pair { mut worker, manager, world } = Pair::new();
        if supervised {
            world.conveyor(&["run", "--detach"]).ok();
        }
        let since = cursor(&world);
        let args = ["--task", "t1", "--for", "turn-end", "--since", &since];
        let ended = wait_while(&world, &args, || {
            worker.rollout.begin("work").unwrap();
            worker.rollout.interrupt().unwrap();
        });
        let ended = ended.ok().json();
        assert_eq!(
            (&ended["reason"], &ended["conditions"][0]["session"]),
            (&json!("turn-end"), &json!("w1"))
        );
        assert_eq!(ended["conditions"][0]["object"]["outcome"], "interrupted");

        // It counts once: the next script goes on behind it.
        let since = ended["cursor"].to_string();
        let again = ["wait", "--for", "turn-end", "--since", &since, "--timeout", "0.3"];
        let again = world.conveyor(&again).exits(3);
        assert!(again.stdout.contains("still waiting for t1"), "{}", again.text());

        let exit = wait_while(&world, &["--for", "exit,approval", "--session", "w1"], || worker.kill());
        assert_eq!(exit.ok().json()["conditions"][0]["object"]["kind"], "exited");
        assert_eq!(texts(&world, "SELECT kind FROM session_facts"), ["exited"]);
        // It is so already.
        let at_once = world.conveyor(&["wait", "--for", "exit", "--timeout", "0"]).ok();
        assert!(at_once.stdout.starts_with("exit: w1 (task t1): gone since"), "{}", at_once.text());
        drop(manager);
        if supervised {
            world.conveyor(&["run", "--stop"]).ok();
        }
    }
}

#[test]
fn a_script_learns_when_what_it_sent_was_taken() {
    let pair = Pair::new();
    pair.world.conveyor(&["enqueue-notify-manager", "t1", "--message", "look"]).ok();
    pair.world.conveyor(&["dispatch"]).ok();
    let args = ["--for", "delivery", "--session", "m1"];
    let waiting = [&["wait", "--timeout", "0"], &args[..]].concat();
    pair.world.conveyor(&waiting).exits(3);
    let taken = wait_while(&pair.world, &args, || {
        pair.world.conveyor(&["manager-inbox", "t1", "--consume-next"]).ok();
    });
    let taken: Value = taken.ok().json();
    let delivery = &taken["conditions"][0]["object"];
    assert_eq!((&delivery["state"], &delivery["transport"]), (&json!("observed"), &json!("mailbox")));
}

#[test]
fn a_wait_says_by_its_exit_code_how_it_ended() {
    let pair = Pair::new();
    let check = |args: &[&str], exit: i32| {
        let run = pair.world.conveyor(&[&["wait"], args].concat()).exits(exit);
        run.stdout + &run.stderr
    };
    assert!(check(&["--for", "inbox", "--timeout", "0.1"], 3).starts_with("timeout: after 0.1 s"));
    assert!(check(&["--for", "inbox", "--task", "t"], 1).contains("did you mean t1?"));
    check(&["--for", "sunrise"], 2);
    check(&[], 2);
    check(&["--for", "exit", "--since", "then"], 2);
    check(&["--for", "exit", "--any", "--all"], 2);
    check(&["--for", "exit", "--timeout", "-1"], 2);
}
