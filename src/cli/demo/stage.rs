//! The demonstration's own hands: the keeper it holds, and the commands it runs.

use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use super::cast::Cast;
use super::keeper::{KEEP, Pids, Report};
use super::program;
use super::scene::{Scene, session_name};
use crate::domain::{Failure, Role};
use crate::tmux::{SessionName, TmuxServer};

/// What has been started, and how to end it.
pub(super) struct Stage {
    pub(super) scene: Scene,
    pub(super) cast: Cast,
    /// How long anything may take.
    pub(super) patience: Duration,
    keeper: Child,
    /// The keeper ends everything when the last copy of this is closed. Each command has one as its
    /// standard input, so that nothing is taken away under a command that is still running.
    hold: PipeWriter,
    pids: Option<Pids>,
}

impl Stage {
    /// Starts the keeper, which starts the rest.
    ///
    /// # Errors
    /// When something does not start; nothing is left then.
    pub(super) fn set(scene: Scene, task: &str, patience: Duration) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::external(format!("failed to talk to the keeper: {error}"));
        let (input, hold) = std::io::pipe().map_err(failed)?;
        let root = scene.root.to_string_lossy().into_owned();
        let mut args = ["demo-keeper", "--task", task, "--root", &root].map(str::to_owned).to_vec();
        args.extend(scene.cast.flags());
        let mut keeper = program::start_keeper(&scene, &args, input.into())?;
        let mut report = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut report).map_err(failed)?;
        }
        let report = serde_json::from_str(&report).unwrap_or_else(|_| {
            Report::Failed(Failure::internal("the keeper of the demonstration said nothing"))
        });
        match report {
            Report::Started(pids) => Ok(Self { cast: scene.cast, scene, patience, keeper, hold, pids }),
            Report::Failed(failure) => {
                drop(hold);
                // It cleans up, and says itself what it cannot.
                let _ = keeper.wait();
                Err(failure)
            }
        }
    }

    /// The process of a scripted session.
    ///
    /// # Errors
    /// When none were started.
    pub(super) fn pid(&self, role: Role) -> Result<u32, Failure> {
        let pids = self.pids.ok_or_else(|| Failure::internal("no scripted sessions were started"))?;
        Ok(match role {
            Role::Worker => pids.worker,
            Role::Manager => pids.manager,
        })
    }

    /// Runs a real command in the scene and gives its answer.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub(super) fn conveyor(&self, args: &[&str]) -> Result<Value, Failure> {
        let hold = self.hold.try_clone().map_err(|error| Failure::external(error.to_string()))?;
        let args = [args, &["--json"]].concat();
        let ran = program::run_within(&self.scene, &args, hold.into(), self.patience)?;
        let line = program::command_line(&args);
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(Failure::external(format!("`{line}` failed: {}", said.trim())));
        }
        serde_json::from_slice(&ran.stdout)
            .map_err(|error| Failure::internal(format!("`{line}` answered no JSON: {error}")))
    }

    /// Keeps what the terminals show, for whoever looks into the directory.
    pub(super) fn keep_screens(&self) {
        let server = TmuxServer::resolve(|name| std::env::var_os(name)).on(self.scene.tmux_socket());
        for role in [Role::Worker, Role::Manager] {
            let screen =
                SessionName::new(session_name(role)).and_then(|name| server.capture(&name.into(), 0));
            if let Ok(screen) = screen {
                // It is an extra; the failure at hand matters more.
                let _ = std::fs::write(self.scene.root.join(format!("{role}.screen")), screen);
            }
        }
    }

    /// Ends everything. With `keep`, the directory stays.
    ///
    /// # Errors
    /// When something could not be removed; the keeper has said what.
    pub(super) fn close(mut self, keep: bool) -> Result<(), Failure> {
        if keep {
            // A keeper that is gone removes nothing.
            let _ = writeln!(self.hold, "{KEEP}");
        }
        drop(self.hold);
        match self.keeper.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Failure::external("the demonstration has not cleaned up after itself")),
        }
    }
}
