//! A session on an app-server of its own: its thread is known before its terminal opens.

use std::path::PathBuf;

use crate::codex::app_server::{AppServer, RunningServer, ServerStart, Thread, start_server};
use crate::codex::launch::attached;
use crate::domain::{Failure, Recipe};

use super::plan::Plan;
use super::terminal::{Awaited, Terminal};
use super::undo::Begun;
use super::{Started, environment, progress};

/// Starts the server, makes or loads the thread, and attaches the terminal.
pub(super) async fn start(plan: &Plan, begun: &mut Begun) -> Result<Started, Failure> {
    let socket = plan.socket();
    let (client, pid) = server(plan, socket.clone()).await?;
    begun.server = Some(socket.clone());
    plan.go_on()?;
    let thread = thread(plan, &client).await?;
    let terminal = match &plan.tmux {
        None => None,
        Some((tmux, session)) => {
            let argv = attached(&plan.program, &socket, &thread.id, &terminal_args(plan));
            let terminal = Terminal::open(plan, tmux, session, argv).await?;
            begun.terminal = Some((tmux.clone(), session.clone()));
            wait_for_composer(plan, &terminal).await?;
            Some(terminal)
        }
    };
    Ok(Started {
        recipe: Recipe::PrivateServer,
        thread_id: thread.id,
        rollout: thread.path,
        // The terminal is only a view; the server runs the session.
        pid,
        tui_pid: terminal.as_ref().map(|terminal| terminal.pane.pid),
        terminal,
        server: Some((socket, client)),
    })
}

async fn server(plan: &Plan, socket: PathBuf) -> Result<(AppServer, u32), Failure> {
    progress("starting its app-server");
    let start = ServerStart {
        program: plan.program.clone(),
        socket,
        log: plan.paths.logs().join(log_name(&plan.name)),
        cwd: plan.cwd.clone(),
        env: environment::changes(&plan.variables),
    };
    let RunningServer { client, mut events, pid } = start_server(&start, plan.time_left()).await?;
    // The connection ends when nobody takes what the server says on it.
    actix::spawn(async move { while events.recv().await.is_some() {} });
    Ok((client, pid))
}

/// A session may be called what no file can be.
fn log_name(session: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    format!("app-server-{}.log", session.chars().map(plain).collect::<String>())
}

async fn thread(plan: &Plan, client: &AppServer) -> Result<Thread, Failure> {
    let thread = match &plan.resume {
        None => client.thread_start(&plan.thread()).await?,
        Some(found) => client.thread_restore(&found.meta.id, &plan.thread()).await?,
    };
    client.thread_name_set(&thread.id, &plan.name).await?;
    Ok(thread)
}

/// The user's own arguments, and no screen in the way.
fn terminal_args(plan: &Plan) -> Vec<String> {
    let no_update_screen = ["-c".to_owned(), "check_for_update_on_startup=false".to_owned()];
    no_update_screen.into_iter().chain(plan.settings.args.iter().flatten().cloned()).collect()
}

/// A terminal that is slow to draw is no reason to give up: the session is there without it.
async fn wait_for_composer(plan: &Plan, terminal: &Terminal) -> Result<(), Failure> {
    progress("waiting for Codex to show its prompt");
    let up = terminal.wait(plan, async |sight| Ok(sight.class.takes_input().then_some(()))).await?;
    if let Awaited::Late(_) = up {
        progress("its terminal is slow to draw; going on without");
    }
    Ok(())
}
