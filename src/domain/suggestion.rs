//! What to do next with the tasks and sessions that a search found.

use serde::{Deserialize, Serialize};

use super::Role;
use super::shell::quoted;

/// A next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Suggestion {
    /// A task, a worker and a manager are there and free: tie them together.
    Bind {
        /// The command that does it.
        command: String,
        /// The task's name.
        task: String,
        /// The worker's name.
        worker: String,
        /// The manager's name.
        manager: String,
    },
    /// There is no free worker.
    RegisterWorker {
        /// How to get one.
        prompt: String,
    },
    /// There is no free manager.
    RegisterManager {
        /// How to get one.
        prompt: String,
    },
    /// There is no task without a binding.
    CreateTask {
        /// How to get one.
        prompt: String,
    },
}

/// The names of what was found and is not bound, best match first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unbound {
    /// Active tasks.
    pub tasks: Vec<String>,
    /// Active workers.
    pub workers: Vec<String>,
    /// Active managers.
    pub managers: Vec<String>,
}

/// The next steps, as commands of `program`. Empty when everything that was found is bound.
pub fn suggest(unbound: &Unbound, everything_bound: bool, program: &str) -> Vec<Suggestion> {
    if everything_bound {
        return Vec::new();
    }
    match (unbound.workers.first(), unbound.managers.first(), unbound.tasks.first()) {
        (Some(worker), Some(manager), Some(task)) => vec![bind(task, worker, manager, program)],
        (Some(_), Some(_), None) => vec![Suggestion::CreateTask {
            prompt: format!("Create the task to supervise: {program} tasks --create NAME --goal GOAL"),
        }],
        (worker, manager, _) => {
            let worker = worker
                .is_none()
                .then(|| Suggestion::RegisterWorker { prompt: register(Role::Worker, program) });
            let manager = manager
                .is_none()
                .then(|| Suggestion::RegisterManager { prompt: register(Role::Manager, program) });
            worker.into_iter().chain(manager).collect()
        }
    }
}

fn bind(task: &str, worker: &str, manager: &str, program: &str) -> Suggestion {
    let command = format!(
        "{program} bind --task {} --worker {} --manager {}",
        quoted(task),
        quoted(worker),
        quoted(manager)
    );
    Suggestion::Bind { command, task: task.into(), worker: worker.into(), manager: manager.into() }
}

fn register(role: Role, program: &str) -> String {
    format!(
        "Start the {role} with `{program} start-{role} --name NAME`, or register a running Codex session: \
         {program} register-{role} --name NAME --pid PID"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tasks: &[&str], workers: &[&str], managers: &[&str], expect: &[&str]) {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let unbound = Unbound { tasks: names(tasks), workers: names(workers), managers: names(managers) };
        let kinds: Vec<String> = suggest(&unbound, false, "conveyor")
            .iter()
            .map(|suggestion| serde_json::to_value(suggestion).unwrap()["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, expect, "{unbound:?}");
        assert!(suggest(&unbound, true, "conveyor").is_empty());
    }

    #[test]
    fn what_is_missing_is_suggested_first() {
        check(&["t"], &["w"], &["m"], &["bind"]);
        check(&["t"], &[], &["m"], &["register-worker"]);
        check(&["t"], &["w"], &[], &["register-manager"]);
        check(&[], &[], &[], &["register-worker", "register-manager"]);
        check(&[], &["w"], &["m"], &["create-task"]);
    }

    #[test]
    fn a_suggested_command_survives_a_shell() {
        let Suggestion::Bind { command, .. } = bind("it's done", "w1", "m 1", "conveyor") else {
            panic!("no bind")
        };
        assert_eq!(command, r"conveyor bind --task 'it'\''s done' --worker w1 --manager 'm 1'");
    }
}
