//! `conveyor demo`: a whole supervision in seconds.
//!
//! A scripted worker and a scripted manager take the places of two Codex sessions. The supervisor,
//! the commands, the database and, where there is one, tmux are real.

mod cast;
mod consent;
mod event;
mod follow;
mod keeper;
mod program;
mod scene;
mod session;
mod stage;
mod story;
mod timeline;
mod wait;

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::output::Output;
use crate::domain::{Failure, Seconds};
use crate::tmux::TmuxServer;
use cast::Cast;
use scene::Scene;
use stage::Stage;
use timeline::{Step, Timeline};

pub(super) use keeper::{DemoKeeperArgs, run as keep};
pub(super) use session::{DemoSessionArgs, run as play_session};

/// Watch a worker and a manager at work, in seconds and without Codex
///
/// Two scripted sessions stand in for Codex; everything else is real: the supervisor, the commands,
/// the database, and tmux where it is installed. It happens in a directory of its own, which is
/// removed at the end, and touches nothing of yours.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    cast: Cast,
    /// With --codex: do not ask first
    #[arg(long, short = 'y', requires = "codex")]
    yes: bool,
    /// Keep the directory: database, rollouts and logs
    #[arg(long)]
    keep: bool,
    /// How long to wait for each step, in seconds [default: 20; with --codex 300]
    #[arg(long, value_name = "SECONDS")]
    patience: Option<Seconds>,
}

/// The task that everything is about.
const TASK: &str = "haiku";

/// What to try after it.
const NEXT: &str = "Next:
  conveyor demo --codex   the same with the real Codex; it asks first, for that spends model tokens
  conveyor pair --help    start a worker and a manager on a task of your own
  conveyor run --detach   supervise in the background
  conveyor --help         everything else";

/// How a demonstration went, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    cast: &'static str,
    elapsed_seconds: f64,
    failure: Option<&'a Failure>,
    kept: Option<&'a str>,
    ok: bool,
    steps: &'a [Step],
}

/// Runs the demonstration; `names_database` says whether the command line does.
pub(super) fn run(args: &DemoArgs, names_database: bool, output: &mut Output) -> Result<u8, Failure> {
    if names_database {
        return Err(Failure::usage("a demonstration makes its own database").hint("leave out --path"));
    }
    let unusable = if args.cast.no_tmux { Some("--no-tmux".to_owned()) } else { unusable_tmux() };
    let cast = Cast { no_tmux: unusable.is_some(), ..args.cast };
    if cast.codex {
        consent::ask(args.yes)?;
    }
    let mut timeline = Timeline::new(output.is_json());
    timeline.say(&introduction(cast, unusable.as_deref()))?;

    let stage = Stage::set(Scene::pick(cast), TASK, patience(args))?;
    let root = stage.scene.root.display().to_string();
    let played = story::play(&stage, &mut timeline, TASK).inspect_err(|_| stage.keep_screens());
    let keep = args.keep || played.is_err();
    stage.close(keep)?;

    let report = Report {
        cast: cast.name(),
        elapsed_seconds: timeline.seconds(),
        failure: played.as_ref().err(),
        kept: keep.then_some(&root),
        ok: played.is_ok(),
        steps: timeline.steps(),
    };
    if report.ok || output.is_json() {
        output.answer(&report, || summary(&report))?;
    }
    let looked_at = || format!("logs, screens and the database are in {root}");
    played.map(|()| 0).map_err(|failure| failure.hint(looked_at()))
}

/// A scripted session answers at once; a model thinks.
fn patience(args: &DemoArgs) -> Duration {
    let usual = Seconds::whole(if args.cast.codex { 300 } else { 20 });
    args.patience.unwrap_or(usual).duration()
}

fn introduction(cast: Cast, unusable_tmux: Option<&str>) -> String {
    let who = match cast.codex {
        true => "A worker and a manager, both real Codex sessions, in a directory of their own.",
        false => "A scripted worker and a scripted manager stand in for Codex; everything else is real.",
    };
    let way = match (cast.codex, unusable_tmux) {
        (true, None) => "Their terminals are in tmux.".to_owned(),
        (true, Some(reason)) => format!("They have no terminals ({reason})."),
        (false, None) => "Messages are typed into their tmux terminals.".to_owned(),
        (false, Some(reason)) => format!("They poll their mailboxes ({reason})."),
    };
    format!("{who}\n{way}\n")
}

fn summary(report: &Report<'_>) -> String {
    let (steps, seconds) = (report.steps.len(), report.elapsed_seconds);
    let kept = report.kept.map(|root| {
        format!("\nEverything is kept in {root}; look into it with CONVEYOR_STATE_ROOT={root}/state")
    });
    format!("\nAll {steps} steps were seen, in {seconds:.1} s.{}\n\n{NEXT}", kept.unwrap_or_default())
}

/// Why tmux cannot be used.
fn unusable_tmux() -> Option<String> {
    match TmuxServer::resolve(|name| std::env::var_os(name)).version() {
        Ok(version) => is_too_old(&version).then(|| format!("tmux {version} is too old")),
        Err(error) => Some(error.to_string()),
    }
}

/// What tmux needs to be able to do came with 3.2. A version that is no number is a newer one.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (3_u32, 2_u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_of_tmux_are_known() {
        let check = |version: &str, too_old: bool| assert_eq!(is_too_old(version), too_old, "{version}");
        check("2.9a", true);
        check("3.1c", true);
        check("3.2", false);
        check("3.3a", false);
        check("4.0", false);
        check("next-3.4", false);
        check("master", false);
    }
}
