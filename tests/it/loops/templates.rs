//! Loop templates that users keep in files.

use crate::support::World;
use serde_json::{Value, json};
use std::fs;

const DOCS: &str = "
[loop_templates.docs]
description = 'Write the docs.'
max_iterations = 3
required_before_continue = ['docs_built', 'adversarial_check']
require_executed_evidence = true
";

const TRANSLATE: &str = "[loop_templates.translate]\ndescription = 'One language a pass.'\n";

/// A world with task `t1`, a project with [`DOCS`] and a state root with [`TRANSLATE`].
fn with_files() -> World {
    let world = World::new();
    world.conveyor(&["tasks", "--create", "t1", "--goal", "Ship it"]).ok();
    fs::create_dir_all(world.root().join("project/deep")).unwrap();
    fs::write(world.root().join("project/conveyor.toml"), DOCS).unwrap();
    fs::write(world.state_root().join("conveyor.toml"), TRANSLATE).unwrap();
    world
}

fn in_project(world: &World, args: &[&str]) -> crate::support::run::Run {
    world.conveyor_in(&world.root().join("project/deep"), args, "")
}

fn origins(listed: &Value) -> Vec<(&str, &str)> {
    let templates = listed["templates"].as_array().unwrap().iter();
    templates.map(|one| (one["name"].as_str().unwrap(), one["origin"].as_str().unwrap())).collect()
}

#[test]
fn a_template_in_a_file_is_listed_with_its_origin_and_makes_a_run() {
    let world = with_files();
    let listed = in_project(&world, &["loop-templates", "--list"]).ok().json();
    let added: Vec<_> = origins(&listed).into_iter().filter(|(_, origin)| *origin != "builtin").collect();
    assert_eq!(added, [("docs", "project"), ("translate", "state_root")]);
    let shown = in_project(&world, &["loop-templates", "--show", "docs"]).ok().json();
    assert_eq!(shown["file"], json!(world.root().join("project/conveyor.toml")));

    let run = in_project(&world, &["loop-templates", "--create-run", "t1", "--template", "docs"]).ok().json();
    let policy = &run["metadata"];
    assert_eq!((&policy["template"], &policy["max_iterations"]), (&json!("docs"), &json!(3)));
    assert_eq!(policy["require_executed_evidence"], true);
    assert_eq!(policy["artifact_requirements"]["adversarial_check"]["required"][0], "failure_mode");
    let bind = ["create-disposable-binding", "t2", "--template", "translate", "--json"];
    assert_eq!(in_project(&world, &bind).ok().json()["run"]["metadata"]["template"], "translate");

    let elsewhere = world.conveyor(&["loop-templates", "--show", "docs"]).exits(1);
    assert!(elsewhere.stderr.contains("translate"), "{}", elsewhere.text());
}

#[test]
fn a_wrong_file_is_named_with_its_line_and_its_field() {
    let world = with_files();
    let file = world.root().join("project/conveyor.toml");
    let check = |text: &str, says: &str| {
        fs::write(&file, text).unwrap();
        for args in [
            &["loop-templates", "--list"][..],
            &["loop-templates", "--create-run", "t1", "--template", "build_then_clear"],
            &["create-disposable-binding", "t3", "--template", "build_then_clear"],
        ] {
            let refused = in_project(&world, args).exits(2);
            let named = refused.stderr.contains(&format!("{} are wrong: {says}", file.display()));
            assert!(named, "{}", refused.text());
        }
    };
    check(&DOCS.replace("max_iterations", "max_iteration"), "line 4: loop_templates.docs.max_iteration: ");
    check(&DOCS.replace('3', "0"), "line 4: loop_templates.docs.max_iterations: 0 is not");
    check(
        &DOCS.replace(".docs]", ".test_coverage_loop]"),
        "line 2: loop_templates.test_coverage_loop: a template of this name is built in",
    );
    check(TRANSLATE, "line 1: loop_templates.translate: a template of this name stands in ");
    assert_eq!(world.conveyor(&["runs", "--list"]).ok().json(), json!([]));
}
