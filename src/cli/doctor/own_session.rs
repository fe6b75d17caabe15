//! `conveyor doctor-self`: can the session that runs this be registered, and how.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{check, check_path, this_program, tmux_program};
use crate::actors::Caller;
use crate::cli::output;
use crate::codex::discover::{Clues, Identity, identify, system_processes};
use crate::codex::install;
use crate::domain::Failure;
use crate::tmux::{SessionName, TmuxServer};

/// Check whether the session that runs this command can be registered, and say how
///
/// Inside Codex it knows the session by its thread. Exit code 1 when nothing is known.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorSelfArgs {
    /// The tmux session to look at [default: the one this runs in]
    #[arg(long, value_name = "NAME", alias = "tmux-session")]
    session: Option<String>,
}

/// Prints the report; gives the exit code.
pub(in crate::cli) fn run(args: &DoctorSelfArgs, caller: &Caller) -> Result<u8, Failure> {
    let server = TmuxServer::resolve(|name| std::env::var_os(name));
    let session = args.session.clone().or_else(|| current_session(&server));
    let live = session.as_deref().map(|name| is_live(&server, name));
    let codex = install::locate(None).ok();
    let own = own_thread(caller);
    let home = caller.codex_home.clone().unwrap_or_default();
    let skills = home.join("skills");
    let manage_skill = skills.join("manage-codex-workers/SKILL.md");
    let review_skill = skills.join("codex-review/SKILL.md");
    let review_helper = skills.join("codex-review/scripts/codex-review");

    let mut checks = vec![
        check_path("workerctl_on_path", install::on_path(Path::new(&caller.program)).as_deref()),
        check_path("workerctl_script", this_program().as_deref()),
        check_path("tmux_on_path", tmux_program().as_deref()),
        check_path("codex_on_path", codex.as_deref()),
        check("inside_tmux", session.is_some(), json!({ "session": session })),
        check_path("manage_skill_installed", Some(&manage_skill)),
        check_path("codex_review_skill_installed", Some(&review_skill)),
        check_path("codex_review_helper_installed", Some(&review_helper)),
    ];
    if let Some(live) = &live {
        checks.push(match live {
            Ok(()) => check("current_tmux_session_live", true, json!({ "session": session })),
            Err(error) => {
                check("current_tmux_session_live", false, json!({ "error": error, "session": session }))
            }
        });
    }

    let in_terminal = codex.is_some() && matches!(live, Some(Ok(())));
    let supported = own.is_ok() || in_terminal;
    let report = json!({
        "checks": checks,
        "codex_app_inbox_guidance": format!(
            "A session without a terminal or an app-server is told nothing by itself: let it poll with \
             `{0} worker-inbox TASK --consume-next --wait --json`, or `{0} manager-inbox …` for a manager",
            caller.program
        ),
        "codex_review_helper_path": review_helper,
        "codex_review_skill_path": review_skill,
        "command_context_note":
            "These answers are about the process that ran the command: a sandbox hides tmux and other processes from it",
        "command_template": command_template(&caller.program, session.as_deref()),
        "current_session": session,
        "follow_up": follow_up(&caller.program),
        "ok": supported,
        "skill_path": manage_skill,
        "supported": supported,
        "thread": thread(&own, caller),
        "why_or_why_not": why(&own, in_terminal, session.as_deref()),
        "workerctl_invocation": caller.program,
    });
    output::print(&output::json(&report)?)?;
    Ok(u8::from(!supported))
}

/// The tmux session that this process runs in.
fn current_session(server: &TmuxServer) -> Option<String> {
    let pane = std::env::var("TMUX_PANE").ok()?.parse().ok()?;
    Some(server.pane(&pane).ok()?.session)
}

fn is_live(server: &TmuxServer, session: &str) -> Result<(), String> {
    let name = SessionName::new(session).map_err(|error| error.to_string())?;
    match server.has_session(&name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("tmux has no session {session}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The session of Codex that runs this command, as far as it shows.
fn own_thread(caller: &Caller) -> Result<Identity, Failure> {
    let clues = Clues {
        thread_id: caller.thread_id.clone(),
        codex_home: caller.codex_home.clone(),
        ..Clues::default()
    };
    identify(&*system_processes(), clues).map_err(|error| error.failure("this session cannot be registered"))
}

fn thread(own: &Result<Identity, Failure>, caller: &Caller) -> Value {
    match own {
        Ok(own) => json!({
            "codex_home": own.codex_home,
            "found_by": own.recipe,
            "pid": own.pid,
            "rollout": own.rollout,
            "thread_id": own.meta.id,
        }),
        Err(failure) => json!({ "error": failure.message, "thread_id": caller.thread_id }),
    }
}

fn why(own: &Result<Identity, Failure>, in_terminal: bool, session: Option<&str>) -> String {
    match (own, session) {
        (Ok(own), _) => format!("This command runs in Codex thread {}, whose rollout was found", own.meta.id),
        (Err(_), Some(session)) if in_terminal => {
            format!("Codex is installed and tmux session {session} is live, so its process can be registered")
        }
        (Err(_), Some(session)) => {
            format!(
                "This command runs in no Codex session, and tmux session {session} or Codex itself is missing"
            )
        }
        (Err(_), None) => "This command runs in no Codex session, and in no tmux session either".to_owned(),
    }
}

fn command_template(program: &str, session: Option<&str>) -> String {
    let session = session.unwrap_or("<tmux-session>");
    format!("{program} register-worker --name <name> --pid <codex-pid> --cwd <dir> --tmux-session {session}")
}

fn follow_up(program: &str) -> [String; 3] {
    [
        format!(
            "Register this session with `{program} register-worker` or `{program} register-manager`, then bind it to a task with `{program} bind`"
        ),
        format!("Run `{program} run --detach`, so that the manager hears of every finished turn by itself"),
        format!(
            "See how each session can be reached, and which of them have to poll, with `{program} sessions`"
        ),
    ]
}
