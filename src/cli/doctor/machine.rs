//! `conveyor doctor`: the programs and directories that everything needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use super::{all_ok, check, check_path, this_program, tmux_program};
use crate::actors::lock;
use crate::actors::paths::Paths;
use crate::cli::output;
use crate::codex::install::{self, Codex, InstallError};
use crate::codex::version::Recipe;
use crate::domain::Failure;
use crate::tmux::{SessionName, TmuxServer};

/// How long Codex may take to say its version. On a busy machine its npm wrapper takes seconds.
const CODEX_DEADLINE: Duration = Duration::from_secs(30);

/// Check that tmux, Codex and the directories are there to work with
///
/// Exit code 1 when something is missing.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// The directory that sessions are to work in [default: this one]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
}

/// Prints the report; gives the exit code.
pub(in crate::cli) fn run(args: &DoctorArgs, paths: &Paths, cwd: &Path) -> Result<u8, Failure> {
    let target = args.cwd.as_ref().map_or_else(|| cwd.to_owned(), |dir| cwd.join(dir));
    let server = TmuxServer::resolve(|name| std::env::var_os(name));
    let tmux = tmux_program();
    let program = install::locate(None);
    let codex = program.as_ref().ok().map(|program| inspect(program));

    let mut checks = vec![
        check_path("tmux", tmux.as_deref()),
        check_path("codex", program.as_deref().ok()),
        check_version("tmux_version", server.version()),
    ];
    if let Some(codex) = &codex {
        checks.push(check_version(
            "codex_version",
            codex.as_ref().map(|codex| format!("codex-cli {}", codex.version)),
        ));
    }
    checks.push(check_path("target_cwd_exists", Some(&target)));
    checks.push(check(
        "state_root_exists",
        is_usable(&paths.state_root),
        json!({ "path": paths.state_root }),
    ));

    let report = json!({
        "checks": checks,
        "codex": codex.as_ref().map(describe),
        "database": { "exists": paths.database.exists(), "path": paths.database },
        "ok": all_ok(&checks),
        "project_root": this_program().as_deref().and_then(Path::parent),
        "supervisor": lock::holder(&paths.lock()),
        "tmux_socket": server.socket(),
        "workers": older_workers(&paths.state_root, &server),
    });
    output::print(&output::json(&report)?)?;
    Ok(u8::from(report["ok"] != true))
}

fn check_version<E: std::fmt::Display>(name: &str, version: Result<String, E>) -> Value {
    match version {
        Ok(version) => check(name, true, json!({ "value": version })),
        Err(error) => check(name, false, json!({ "value": error.to_string() })),
    }
}

fn inspect(program: &Path) -> Result<Codex, InstallError> {
    actix::System::new().block_on(install::inspect(program, CODEX_DEADLINE))
}

fn describe(codex: &Result<Codex, InstallError>) -> Value {
    match codex {
        Ok(codex) => json!({
            "program": codex.program,
            "sessions": match codex.recipe {
                Recipe::PrivateServer => "started on an app-server of their own",
                Recipe::EmbeddedLock => "found by the lock of their thread",
                Recipe::OpenFiles => "found by their open rollout",
            },
            "version": codex.version.to_string(),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// Whether the directory is there, or can be made when it is needed.
fn is_usable(directory: &Path) -> bool {
    let exists = |directory: &&Path| directory.exists();
    directory
        .ancestors()
        .find(exists)
        .is_some_and(|nearest| nearest.is_dir() && access(nearest, Access::WRITE_OK).is_ok())
}

/// The workers of agent-conveyor's time before sessions: directories with a `config.json`.
fn older_workers(state_root: &Path, server: &TmuxServer) -> Vec<Value> {
    let entries = std::fs::read_dir(state_root).into_iter().flatten().flatten();
    let mut configs: Vec<Value> = entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("config.json")).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect();
    configs.sort_by_key(|config| config["name"].to_string());
    configs
        .iter()
        .map(|config| {
            let session = config["tmux_session"].as_str().unwrap_or_default();
            let running =
                SessionName::new(session).is_ok_and(|name| server.has_session(&name).unwrap_or(false));
            json!({ "name": config["name"], "running": running, "tmux_session": config["tmux_session"] })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_usable_when_it_can_be_written_or_made() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, expect) in [
            (root.path().to_owned(), true),
            (root.path().join("not/yet/there"), true),
            (file.clone(), false),
            (file.join("below"), false),
        ] {
            assert_eq!(is_usable(&path), expect, "{path:?}");
        }
    }

    #[test]
    fn older_workers_are_listed_by_name_and_other_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        for (name, config) in
            [("b", r#"{"name":"b"}"#), ("a", r#"{"name":"a","tmux_session":"x"}"#), ("c", "{bad")]
        {
            std::fs::create_dir(root.path().join(name)).unwrap();
            std::fs::write(root.path().join(name).join("config.json"), config).unwrap();
        }
        std::fs::write(root.path().join("workerctl.db"), "").unwrap();
        let server = TmuxServer::at(root.path().join("no-server"));
        assert_eq!(
            older_workers(root.path(), &server),
            [
                json!({ "name": "a", "running": false, "tmux_session": "x" }),
                json!({ "name": "b", "running": false, "tmux_session": null }),
            ]
        );
    }
}
