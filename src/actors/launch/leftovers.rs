//! What killed starts left behind: an app-server, a terminal, known to nobody but the record that was
//! made before they were started.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::plan::Plan;
use super::{terminal, undo};
use crate::actors::blocking::blocking;
use crate::codex::app_server::stop_server;
use crate::codex::exit::Process;
use crate::domain::Failure;
use crate::domain::time::{now_iso, parse_iso};
use crate::store::Store;
use crate::store::leftovers::{EndLaunch, Launch, Launches};
use crate::tmux::{SessionName, TmuxServer};

/// Names the start in the terminal that it opens, so that nobody else's is taken for it.
pub(super) const LAUNCH_VARIABLE: &str = "CONVEYOR_LAUNCH";

/// Between two looks for leftovers.
const SWEEP: Duration = Duration::from_secs(5);

/// What a start was doing when it was killed is there by then, if it comes at all.
const COMES_UP: SignedDuration = SignedDuration::from_secs(60);

/// The record of a start that is about to begin.
pub(super) fn record(plan: &Plan) -> Launch {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Launch {
        id: plan.id.clone(),
        pid: std::process::id().into(),
        begun_at: now_iso(),
        app_server_socket: plan.has_server().then(|| text(&plan.socket())),
        terminal: plan.tmux.as_ref().map(|(tmux, session)| (text(tmux.socket()), session.to_string())),
    }
}

/// Ends leftovers, for as long as the runtime lives.
pub async fn sweep(store: Store) {
    loop {
        sweep_once(&store).await;
        tokio::time::sleep(SWEEP).await;
    }
}

/// Ends what the starts left behind whose process is gone. A fault keeps nobody from going on: it is
/// tried again at the next look.
pub async fn sweep_once(store: &Store) {
    let launches = match store.read(Launches).await {
        Ok(launches) => launches,
        Err(error) => return tracing::warn!(%error, "failed to look for leftovers of killed starts"),
    };
    for launch in launches {
        let id = launch.id.clone();
        if let Err(failure) = clear(store, launch).await {
            tracing::warn!(%failure, launch = id, "failed to end what a killed start left behind");
        }
    }
}

async fn clear(store: &Store, launch: Launch) -> Result<(), Failure> {
    let begun = parse_iso(&launch.begun_at);
    let process = Process { pid: launch.pid, began: None, ran_at: begun };
    if blocking(move || process.is_running()).await? {
        return Ok(());
    }
    if let Some((socket, session)) = launch.terminal.clone() {
        end_terminal(&launch.id, &socket, session).await?;
    }
    if let Some(socket) = &launch.app_server_socket {
        stop_server(Path::new(socket), undo::SERVER_ENDS).await?;
    }
    if begun.is_none_or(|begun| Timestamp::now().duration_since(begun) > COMES_UP) {
        store.write(EndLaunch(launch.id)).await?;
    }
    Ok(())
}

/// Ends the terminal, if it is the one that the start opened.
async fn end_terminal(launch_id: &str, socket: &str, session: String) -> Result<(), Failure> {
    let server = TmuxServer::resolve(|name| std::env::var_os(name)).on(socket);
    let session = SessionName::new(session)?;
    let (asked, name) = (server.clone(), session.clone());
    let opened_by = blocking(move || asked.session_variable(&name, LAUNCH_VARIABLE)).await??;
    if opened_by.as_deref() != Some(launch_id) {
        return Ok(());
    }
    tracing::warn!(session = %session, "ending the terminal of a session whose start was killed");
    terminal::end(server, session).await
}
