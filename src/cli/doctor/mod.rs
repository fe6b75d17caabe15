//! `conveyor doctor` and `conveyor doctor-self`: what is there to work with. They open no database,
//! so that they answer also when it is the database that is ill.

mod machine;
mod own_session;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub(super) use machine::{DoctorArgs, run as doctor};
pub(super) use own_session::{DoctorSelfArgs, run as doctor_self};

use crate::codex::install;

/// One thing that was looked at, with what was found beside it.
fn check(name: &str, ok: bool, found: Value) -> Value {
    let mut check = Map::from_iter([("name".to_owned(), json!(name)), ("ok".to_owned(), json!(ok))]);
    if let Value::Object(found) = found {
        check.extend(found);
    }
    Value::Object(check)
}

/// Whether there is a program or file, and where.
fn check_path(name: &str, path: Option<&Path>) -> Value {
    check(name, path.is_some_and(Path::exists), json!({ "path": path }))
}

fn all_ok(checks: &[Value]) -> bool {
    checks.iter().all(|check| check["ok"] == true)
}

/// The tmux program: `$CONVEYOR_TMUX`, else the one on the `PATH`.
fn tmux_program() -> Option<PathBuf> {
    match std::env::var_os("CONVEYOR_TMUX").filter(|value| !value.is_empty()) {
        Some(program) => install::on_path(Path::new(&program)),
        None => install::on_path(Path::new("tmux")),
    }
}

/// The program that runs now.
fn this_program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}
