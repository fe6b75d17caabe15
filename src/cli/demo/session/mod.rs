//! A scripted session: takes the place of a Codex session, with a script in place of a model.

mod mailbox;
mod manager;
mod seat;
mod worker;

use std::path::PathBuf;
use std::process::Output;

use clap::Args;
use serde_json::{Value, json};

use super::cast::Cast;
use super::program;
use super::scene::{Scene, session_name};
use crate::codex::rollout::{RanCommand, RolloutWriter};
use crate::domain::{Failure, Role};
use seat::Seat;

/// Plays one side of a demonstration
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoSessionArgs {
    /// Which side
    #[arg(long)]
    role: Role,
    /// The task it is about
    #[arg(long)]
    task: String,
    /// The directory of the demonstration
    #[arg(long)]
    root: PathBuf,
    /// Poll a mailbox instead of reading a terminal
    #[arg(long)]
    no_tmux: bool,
}

pub(in crate::cli) fn run(args: &DemoSessionArgs) -> Result<u8, Failure> {
    let cast = Cast { codex: false, no_tmux: args.no_tmux };
    let scene = Scene { root: args.root.clone(), cast };
    let played = play(args, &scene);
    if let (Err(failure), false) = (&played, args.no_tmux) {
        // The terminal that shows it goes with this process.
        let _ = std::fs::write(scene.log(args.role.as_str()), format!("{failure}\n"));
    }
    played.map(|()| 0)
}

fn play(args: &DemoSessionArgs, scene: &Scene) -> Result<(), Failure> {
    let seat = Seat::take(args, scene)?;
    let rollout = RolloutWriter::create(&scene.codex_home(), &scene.work()).map_err(unwritten)?;
    let mut session = Session { task: args.task.clone(), work: scene.work(), rollout, seat };
    let script = match args.role {
        Role::Worker => worker::answer,
        Role::Manager => manager::answer,
    };
    while let Some(prompt) = session.seat.next_prompt(&session.rollout.thread)? {
        session.turn(&prompt, script)?;
    }
    Ok(())
}

/// What a script has in hand.
struct Session {
    task: String,
    work: PathBuf,
    rollout: RolloutWriter,
    seat: Seat,
}

/// What a session answers to a prompt; an error is what stopped it.
type Script = fn(&mut Session) -> Result<String, Failure>;

impl Session {
    /// One turn, on the screen and in the rollout.
    fn turn(&mut self, prompt: &str, script: Script) -> Result<(), Failure> {
        self.seat.begin_turn(prompt)?;
        self.rollout.begin(prompt).map_err(unwritten)?;
        let answered = script(self);
        let said = answered.as_ref().unwrap_or_else(|failure| &failure.message);
        self.seat.say(said)?;
        // Codex is ready for the next prompt when it writes that the turn has ended.
        self.seat.end_turn()?;
        match &answered {
            Ok(answer) => self.rollout.complete(answer),
            Err(failure) => self.rollout.fail(&failure.message, json!("other")),
        }
        .map_err(unwritten)
    }

    /// Runs a real command, as Codex's shell tool does, and gives its answer.
    fn conveyor(&mut self, args: &[&str]) -> Result<Value, Failure> {
        let ran = program::run_in_session(&self.rollout.thread, &[args, &["--json"]].concat())?;
        let line = program::command_line(args);
        self.record(&line, &ran)?;
        if !ran.status.success() {
            return Err(Failure::external(format!("`{line}` failed: {}", said(&ran))));
        }
        serde_json::from_slice(&ran.stdout)
            .map_err(|error| Failure::internal(format!("`{line}` answered no JSON: {error}")))
    }

    fn record(&mut self, line: &str, ran: &Output) -> Result<(), Failure> {
        let output = format!("{}{}", String::from_utf8_lossy(&ran.stdout), said(ran));
        let argv = ["/bin/bash", "-lc", line];
        let exit_code = ran.status.code().unwrap_or(-1);
        let command = RanCommand { argv: &argv, cwd: &self.work, exit_code, output: &output };
        self.rollout.ran(command).map_err(unwritten)?;
        self.seat.ran(line, &format!("exit {exit_code}, {} bytes", output.len()))
    }
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).trim().to_owned()
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::external(format!("failed to write the rollout: {error}"))
}

/// The name that the demonstration registers the worker under.
fn worker_name() -> String {
    session_name(Role::Worker)
}
