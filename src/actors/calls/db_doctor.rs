//! The database's own doctor.

use std::collections::HashMap;
use std::time::Instant;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Place, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::launch::progress;
use crate::actors::liveness::main_process_of;
use crate::actors::{Caller, Hub};
use crate::domain::{Failure, Recipe};
use crate::store::doctor::{
    BoundPair, BoundPairs, DbReport, Doctor, Extent, LiveReport, RecordFileCheck, Sighting,
};
use crate::store::sessions::{GetLinkedSession, LinkedSession};
use crate::tmux::{Pane, SessionName, TmuxServer};

/// Make the database if it is missing, and check its health
///
/// All of a small file is checked; of a large one both ends of each table, and what was found when all of
/// it was checked last counts. Exit code 1 when something is wrong with it.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DbDoctorArgs {
    /// Check all of the file, however large it is
    #[arg(long)]
    #[serde(default)]
    pub full: bool,
    /// Hold the bound sessions against their processes and panes too
    #[arg(long)]
    #[serde(default)]
    pub live: bool,
    /// With --live: warn of a manager that was silent for longer
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32))]
    #[serde(default = "stale_seconds")]
    pub manager_stale_seconds: u32,
}

fn stale_seconds() -> u32 {
    600
}

impl Call for DbDoctorArgs {
    type Reply = DbReport;

    const TOOL: ToolKind = ToolKind::Reads;
    const NOT_FOR_TOOLS: &'static [&'static str] = &["full"];

    /// Whoever waits for all of a file is told how far it is.
    fn place(&self) -> Place {
        if self.full { Place::Caller } else { Place::Supervisor }
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<DbReport, Failure> {
        let report = if self.full { check_whole(hub).await? } else { look(hub).await? };
        if !self.live {
            return Ok(report);
        }
        let pairs = hub.store.read(BoundPairs).await?;
        let sessions = bound_sessions(hub, &pairs).await?;
        let seen = blocking(move || sessions.iter().map(sight).collect::<HashMap<_, _>>()).await?;
        let stale_after = SignedDuration::from_secs(i64::from(self.manager_stale_seconds));
        Ok(report.with_live(LiveReport::new(pairs, &seen, Timestamp::now(), stale_after)))
    }
}

/// Looks a database over without reading all of a large one.
pub(super) async fn look(hub: &Hub) -> Result<DbReport, Failure> {
    let doctor = Doctor { path: hub.store.path().to_owned(), extent: Extent::Bounded };
    Ok(hub.store.read(doctor).await?)
}

async fn check_whole(hub: &Hub) -> Result<DbReport, Failure> {
    let begun = Instant::now();
    let extent = Extent::Whole { tell: |text| progress(text) };
    let report = hub.store.read(Doctor { path: hub.store.path().to_owned(), extent }).await?;
    let found = RecordFileCheck {
        ok: report.ok,
        took_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
        database_bytes: report.size.database_bytes,
    };
    // A file that is damaged may not take it; the report is worth having all the same.
    let _ = hub.store.write(found).await;
    Ok(report)
}

async fn bound_sessions(hub: &Hub, pairs: &[BoundPair]) -> Result<Vec<LinkedSession>, Failure> {
    let mut sessions = Vec::new();
    for pair in pairs {
        for session in [&pair.bound.worker, &pair.bound.manager] {
            sessions.push(hub.store.read(GetLinkedSession(session.id.clone())).await?);
        }
    }
    Ok(sessions)
}

/// Looks for a session's process and pane. Blocks.
fn sight(linked: &LinkedSession) -> (String, Sighting) {
    let session = &linked.session;
    let alive = main_process_of(linked).is_some_and(|process| process.is_running());
    // A terminal of a server that runs the session is only a view of it.
    let lives_in_terminal = linked.link.as_ref().is_none_or(|link| link.recipe != Recipe::PrivateServer);
    let sighting = match session.tmux_session.as_deref().map(|name| panes(linked, name)) {
        None => Sighting { live: alive, tmux_pane_id: None },
        Some(panes) => Sighting {
            live: alive && !(lives_in_terminal && panes.is_empty()),
            tmux_pane_id: pane_of(&panes, session.tmux_pane_id.as_deref()),
        },
    };
    (session.id.clone(), sighting)
}

/// The panes of the session's tmux session; none when it, or the server, is not there.
fn panes(linked: &LinkedSession, name: &str) -> Vec<Pane> {
    let own = TmuxServer::resolve(|name| std::env::var_os(name));
    let server = match linked.link.as_ref().and_then(|link| link.tmux_socket.as_deref()) {
        Some(socket) => own.on(socket),
        None => own,
    };
    let panes = SessionName::new(name).and_then(|name| server.session_panes(&name));
    panes.map(|panes| panes.into_iter().filter(|pane| !pane.dead).collect()).unwrap_or_default()
}

/// The recorded pane when it is still there, else the first.
fn pane_of(panes: &[Pane], recorded: Option<&str>) -> Option<String> {
    let mut ids = panes.iter().map(|pane| pane.id.to_string());
    let recorded = recorded.filter(|recorded| ids.clone().any(|id| id == *recorded)).map(str::to_owned);
    recorded.or_else(|| ids.next())
}
