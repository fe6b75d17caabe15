//! `loop-evidence` and `loop-status`.

use super::{evidence, request, status, with_loop};
use crate::support::World;
use image::{Rgba, RgbaImage};
use serde_json::{Value, json};
use std::fs;

const GREEN: Rgba<u8> = Rgba([0, 120, 0, 255]);

/// Writes a green picture of 20 by 10 in which the first `changed` pixels are black.
fn picture(world: &World, name: &str, changed: u32) {
    let black = |x: u32, y: u32| y * 20 + x < changed;
    let pixel = |x, y| if black(x, y) { Rgba([0, 0, 0, 255]) } else { GREEN };
    RgbaImage::from_fn(20, 10, pixel).save(world.root().join(name)).unwrap();
}

fn compare<'a>(candidate: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let pictures = ["--reference", "reference.png", "--candidate", candidate, "--threshold", "0.02"];
    evidence("visual-diff", &[&pictures[..], rest].concat())
}

fn criteria(world: &World) -> usize {
    world.conveyor(&["criteria", "t1", "--list"]).ok().json()["criteria"].as_array().unwrap().len()
}

#[test]
fn a_comparison_leaves_a_report_and_a_picture_that_shows_where() {
    let world = with_loop(&["--template", "visual_diff_loop"]);
    picture(&world, "reference.png", 0);
    picture(&world, "candidate.png", 5);
    let outputs = ["--diff-output", "out/diff.png", "--report-output", "out/report.json"];
    let reply = world.conveyor(&compare("candidate.png", &outputs)).ok().json();
    assert_eq!(
        (&reply["criterion"]["status"], &reply["threshold_criterion"]["status"]),
        (&json!("satisfied"), &json!("rejected"))
    );
    assert_eq!(reply["diff"]["diff_score"], 0.025);
    assert_eq!(reply["diff"]["changed_area"], json!({"x": 0, "y": 0, "width": 5, "height": 1}));

    let report: Value =
        serde_json::from_slice(&fs::read(world.root().join("out/report.json")).unwrap()).unwrap();
    assert_eq!(report, reply["diff"]);
    let drawn = image::open(world.root().join("out/diff.png")).unwrap().into_rgba8();
    let red = drawn.enumerate_pixels().filter(|(_, _, pixel)| **pixel == Rgba([255, 0, 0, 255]));
    assert_eq!(red.map(|(x, y, _)| (x, y)).collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);

    picture(&world, "candidate.png", 4);
    let better = world.conveyor(&compare("candidate.png", &[])).ok().json();
    assert_eq!(better["threshold_criterion"]["status"], "satisfied");
    assert_eq!(criteria(&world), 2, "the later comparison replaces the earlier one");
}

#[test]
fn what_cannot_be_compared_or_written_leaves_nothing() {
    let world = with_loop(&["--template", "visual_diff_loop"]);
    picture(&world, "reference.png", 0);
    picture(&world, "candidate.png", 0);
    RgbaImage::new(20, 11).save(world.root().join("taller.png")).unwrap();
    fs::write(world.root().join("text.png"), "not a picture").unwrap();
    let original = fs::read(world.root().join("reference.png")).unwrap();
    let refused = |args: &[&str], code, says: &str| {
        let run = world.conveyor(args).exits(code);
        assert!(run.stderr.contains(says), "{}", run.text());
    };
    refused(&compare("taller.png", &["--diff-output", "d.png"]), 2, "20x10");
    refused(&compare("text.png", &[]), 2, "text.png is no PNG file");
    refused(&compare("nowhere.png", &[]), 2, "nowhere.png");
    refused(&compare("/dev/zero", &[]), 2, "it is no file");
    refused(&compare("candidate.png", &["--diff-output", "./reference.png"]), 2, "would be overwritten");
    refused(
        &compare("candidate.png", &["--diff-output", "d.png", "--report-output", "d.png"]),
        2,
        "would be overwritten",
    );
    refused(
        &compare("candidate.png", &["--report-output", "reference.png/x.json"]),
        1,
        "nothing was recorded",
    );
    let elsewhere = "loop-evidence visual-diff t1 --loop-run lop --iteration 1 --reference reference.png \
        --candidate candidate.png --threshold 0 --diff-output d.png";
    refused(&elsewhere.split_whitespace().collect::<Vec<_>>(), 1, "did you mean loop?");
    assert!(!world.root().join("d.png").exists());
    assert_eq!(fs::read(world.root().join("reference.png")).unwrap(), original);
    assert_eq!(criteria(&world), 0);
}

#[test]
fn a_pass_is_delivered_when_all_its_evidence_is_there_and_the_status_says_what_is_missing() {
    let world = with_loop(&["--required-before-continue", "build_passed", "--adversarial"]);
    assert_eq!(status(&world)["evidence"]["missing"], json!(["build_passed", "adversarial_check"]));
    let check = |args: &[&str], reason: &str| {
        world.conveyor(args).ok();
        assert_eq!(request(&world, "2")["reason"], reason, "{args:?}");
    };
    check(
        &evidence("add", &["--evidence-type", "build_passed", "--status", "red"]),
        "missing_required_evidence",
    );
    check(&evidence("add", &["--evidence-type", "build_passed"]), "missing_adversarial_check_evidence");
    let tried = ["--failure-mode", "a race", "--check", "ran it 500 times", "--result", "none"];
    let failed = [&tried[..], &["--status", "failed"]].concat();
    check(&evidence("adversarial-check", &failed), "missing_adversarial_check_evidence");
    world.conveyor(&evidence("add", &["--evidence-type", "adversarial_check"])).exits(2);

    world.conveyor(&evidence("adversarial-check", &tried)).ok();
    assert_eq!(request(&world, "2")["state"], "pull_required");
    let waiting = status(&world);
    assert_eq!(waiting["recommendation"], "worker_should_consume_inbox");
    assert_eq!(
        waiting["commands"],
        json!({"states": {"blocked": 3, "succeeded": 1}, "total": 4, "delivered_iteration": 2})
    );
    world.conveyor(&["worker-inbox", "t1", "--consume-next"]).ok();
    let read = status(&world);
    assert_eq!(
        (&read["recommendation"], &read["telemetry"]["dispatch_inbox_consumed"]),
        (&json!("ready_for_manager_review"), &json!(1))
    );
    assert_eq!(read["evidence"]["missing"], json!([]), "the second pass is the last");
    let text = world.conveyor(&["loop-status", "t1", "--run", "loop"]).ok();
    insta::assert_snapshot!(text.snapshot(world.root()));
}
