//! Before the sessions act: a supervisor, two registered sessions, a task that binds them.

use std::path::PathBuf;

use crate::actors::client::connect_blocking;
use crate::actors::lock;
use crate::cli::demo::follow::Follower;
use crate::cli::demo::program;
use crate::cli::demo::scene::session_name;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::timeline::{Timeline, Who};
use crate::cli::demo::wait::until;
use crate::codex::alive::is_alive;
use crate::codex::discover::{session_of, system_processes};
use crate::domain::{Failure, Role};

/// Waits for the supervisor that the keeper has started.
///
/// # Errors
/// When it does not come up.
pub(super) fn supervisor(stage: &Stage, timeline: &mut Timeline) -> Result<(), Failure> {
    let paths = stage.scene.paths();
    let holder = until("the supervisor to come up", stage.patience, || {
        let listens = connect_blocking(&paths)?.is_some();
        Ok(lock::holder(&paths.lock()).filter(|_| listens))
    })?;
    timeline.step("supervisor_up", Who::Supervisor, format!("$ conveyor run   (process {})", holder.pid))
}

/// Registers a session by its process once it is there, and begins to follow it.
///
/// # Errors
/// When the session does not start or cannot be registered.
pub(super) fn register(stage: &Stage, timeline: &mut Timeline, role: Role) -> Result<Follower, Failure> {
    let pid = stage.pid(role)?;
    until(&format!("the {role} session to start"), stage.patience, || {
        if !is_alive(pid.into()) {
            let said = std::fs::read_to_string(stage.scene.log(role.as_str())).unwrap_or_default();
            return Err(Failure::external(format!("the {role} session has ended: {}", said.trim())));
        }
        Ok(session_of(&*system_processes(), pid).ok())
    })?;
    let (command, step) = match role {
        Role::Worker => ("register-worker", "worker_registered"),
        Role::Manager => ("register-manager", "manager_registered"),
    };
    let (name, pid) = (session_name(role), pid.to_string());
    let mut args = vec![command, "--name", &name, "--pid", &pid];
    if !stage.cast.no_tmux {
        args.extend(["--tmux-session", &name]);
    }
    let registered = stage.conveyor(&args)?;
    timeline.step(step, Who::You, format!("$ {}", program::command_line(&args)))?;
    let rollout = registered["codex_session_path"].as_str();
    let rollout =
        rollout.ok_or_else(|| Failure::internal(format!("registering named no rollout: {registered}")))?;
    Ok(Follower::new(role, PathBuf::from(rollout), stage.patience))
}

/// Creates the task and ties both sessions to it.
///
/// # Errors
/// When a command fails.
pub(super) fn bind(stage: &Stage, timeline: &mut Timeline, task: &str, goal: &str) -> Result<(), Failure> {
    let (worker, manager) = (session_name(Role::Worker), session_name(Role::Manager));
    let create = ["tasks", "--create", task, "--goal", goal];
    stage.conveyor(&create)?;
    timeline.step("task_created", Who::You, format!("$ {}", program::command_line(&create)))?;
    let bind = ["bind", "--task", task, "--worker", &worker, "--manager", &manager];
    stage.conveyor(&bind)?;
    timeline.step("pair_bound", Who::You, format!("$ {}", program::command_line(&bind)))
}
