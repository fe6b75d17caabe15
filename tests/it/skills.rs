//! The skills for Codex sessions: how they are installed, and the helper that reviews.

use crate::support::model::{fail, say};
use crate::support::run::Run;
use crate::support::{Script, World};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/skills/codex-review/scripts/codex-review");

fn git(world: &World, directory: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"];
    Run::of(world.command("git").args(identity).args(args).current_dir(directory), "").ok();
}

/// A repository with one commit.
fn repository(world: &World) -> PathBuf {
    let directory = world.work_dir("repository");
    std::fs::write(directory.join("a.txt"), "one\n").unwrap();
    git(world, &directory, &["init", "-q"]);
    git(world, &directory, &["add", "."]);
    git(world, &directory, &["commit", "-q", "-m", "first"]);
    directory
}

fn review(world: &World, directory: &Path, args: &[&str]) -> Run {
    let mut helper: Command = world.command(HELPER);
    Run::of(helper.args(args).current_dir(directory), "")
}

/// What a model answers that reviews.
fn verdict(findings: &str) -> String {
    format!(
        r#"{{"findings": [{findings}], "overall_correctness": "patch is correct", "overall_explanation": "Looked at it.", "overall_confidence_score": 0.9}}"#
    )
}

const FINDING: &str = r#"{"title": "[P1] Off by one", "body": "It counts from one.", "confidence_score": 0.9, "priority": 1,
    "code_location": {"absolute_file_path": "/a.txt", "line_range": {"start": 1, "end": 1}}}"#;

#[test]
fn a_review_by_the_real_codex_is_told_apart_by_its_findings() {
    let script = Script::new()
        .on("current code changes", [say(&verdict(FINDING))])
        .on("base branch", [fail(400)])
        .on(".", [say(&verdict(""))]);
    let world = World::with_codex(script);
    let directory = repository(&world);
    std::fs::write(directory.join("a.txt"), "two\n").unwrap();

    let found = review(&world, &directory, &["--output", "../review.txt"]).exits(1);
    assert!(found.stdout.contains("- [P1] Off by one"), "{}", found.text());
    assert_eq!(std::fs::read_to_string(directory.join("../review.txt")).unwrap(), found.stdout);

    let clean = review(&world, &directory, &["--commit", "HEAD"]).exits(0);
    assert!(clean.stdout.contains("Looked at it."), "{}", clean.text());

    git(&world, &directory, &["checkout", "-q", "-b", "next"]);
    git(&world, &directory, &["commit", "-q", "-a", "-m", "second"]);
    let failed = review(&world, &directory, &[]).exits(3);
    assert!(failed.stderr.contains("no review"), "{}", failed.text());
}

#[test]
fn a_review_is_not_started_without_a_target_or_inside_another() {
    let world = World::new();
    std::fs::write(world.bin().join("codex"), "#!/bin/sh\nexit 9\n").unwrap();
    std::fs::set_permissions(world.bin().join("codex"), PermissionsExt::from_mode(0o755)).unwrap();
    let outside = world.work_dir("outside");
    let directory = repository(&world);
    let check = |args: &[&str], expect: &str| {
        let run = review(&world, &directory, args).exits(2);
        assert!(run.stderr.contains(expect), "{}", run.text());
    };
    check(&["--uncommitted"], "the tree is clean");
    check(&[], "nothing to review: HEAD has nothing that main has not");
    check(&["--base", "nowhere"], "no commit or branch nowhere");
    check(&["--commit", "--output"], "no commit or branch --output");
    check(&["--base"], "--base needs a value");
    check(&["--base", "main", "--commit", "HEAD"], "choose one");
    check(&["--timeout", "soon"], "number of seconds");
    check(&["--all"], "unknown argument --all");
    let nested = Run::of(
        world
            .command(HELPER)
            .args(["--commit", "HEAD"])
            .env("CODEX_REVIEW_RUNNING", "1")
            .current_dir(&directory),
        "",
    );
    assert!(nested.exits(2).stderr.contains("under way already"));
    assert!(review(&world, &outside, &[]).exits(2).stderr.contains("no git work tree"));

    let dry = review(&world, &directory, &["--commit", "HEAD", "--dry-run"]).ok();
    assert!(dry.stdout.contains("codex review -c sandbox_mode=\"read-only\""), "{}", dry.text());
}

#[test]
fn a_review_that_changes_the_tree_is_not_trusted() {
    let world = World::new();
    let codex = world.bin().join("codex");
    std::fs::write(&codex, "#!/bin/sh\necho three >b.txt\necho Looks good.\n").unwrap();
    std::fs::set_permissions(&codex, PermissionsExt::from_mode(0o755)).unwrap();
    let directory = repository(&world);
    assert!(review(&world, &directory, &["--commit", "HEAD"]).exits(4).stderr.contains("the tree changed"));

    std::fs::write(&codex, "#!/bin/sh\nsleep 60\n").unwrap();
    let slow = review(&world, &directory, &["--commit", "HEAD", "--timeout", "1"]).exits(3);
    assert!(slow.stderr.contains("no review within 1 seconds"), "{}", slow.text());
}

fn install(world: &World, args: &[&str]) -> Run {
    world.conveyor(&[&["install-skills"], args].concat())
}

#[test]
fn skills_are_installed_where_codex_finds_them() {
    let world = World::new();
    install(&world, &["--dry-run"]).ok();
    let skills = world.codex_home().join("skills");
    assert!(!skills.exists());
    let report = install(&world, &["--json"]).ok().json();
    assert_eq!(report["installed"], json!(["manage-codex-workers", "codex-review"]));
    for path in
        ["manage-codex-workers/SKILL.md", "codex-review/SKILL.md", "codex-review/scripts/codex-review"]
    {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills").join(path);
        assert_eq!(std::fs::read(skills.join(path)).unwrap(), std::fs::read(ours).unwrap(), "{path}");
    }
    let helper = std::fs::metadata(skills.join("codex-review/scripts/codex-review")).unwrap();
    assert_eq!(helper.permissions().mode() & 0o111, 0o111);
    let checks = world.conveyor(&["doctor-self", "--json"]).json();
    let installed = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["name"].as_str().unwrap().ends_with("_installed") && check["ok"] == true);
    assert_eq!(installed.count(), 3, "{checks}");
}

#[test]
fn a_skill_that_a_person_changed_is_left_alone_until_they_say_so() {
    let world = World::new();
    let named = ["--codex-home", "elsewhere"];
    install(&world, &named).ok();
    let skill = world.root().join("elsewhere/skills/codex-review/SKILL.md");
    let ours = std::fs::read_to_string(&skill).unwrap();
    std::fs::write(&skill, "mine\n").unwrap();
    let kept = install(&world, &named).exits(1);
    assert!(kept.stdout.contains("yours") && kept.stdout.contains("--force"), "{}", kept.text());
    assert_eq!(std::fs::read_to_string(&skill).unwrap(), "mine\n");

    install(&world, &["--codex-home", "elsewhere", "--force"]).ok();
    assert_eq!(std::fs::read_to_string(&skill).unwrap(), ours);
    assert_eq!(std::fs::read_to_string(skill.with_file_name("SKILL.md.edited")).unwrap(), "mine\n");
    assert!(install(&world, &named).ok().stdout.lines().all(|line| line.starts_with("up to date")));
}

#[test]
fn an_old_skill_of_ours_is_brought_up_to_date() {
    let world = World::new();
    install(&world, &[]).ok();
    let skills = world.codex_home().join("skills");
    let skill = skills.join("codex-review/SKILL.md");
    let record = skills.join(".conveyor-skills.json");
    std::fs::write(&skill, "old\n").unwrap();
    let mut digests: Value = serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    // What `sha256sum` says of it.
    digests["codex-review/SKILL.md"] =
        "01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee".into();
    std::fs::write(&record, digests.to_string()).unwrap();
    assert!(install(&world, &[]).ok().stdout.contains("updated"));
    assert_ne!(std::fs::read_to_string(&skill).unwrap(), "old\n");
}
