//! One search over what there is, with suggestions.

use std::collections::HashSet;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::ListedSession;
use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::suggestion::{Suggestion, Unbound, suggest};
use crate::domain::{Failure, Role};
use crate::store::discover::{Discover, Found, NamedBinding};
use crate::store::tasks::ListedTask;
use crate::store::telemetry::TelemetryRow;

/// Search tasks, sessions, bindings and telemetry, and suggest what to bind
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(visible_alias = "search")]
pub struct DiscoverArgs {
    /// Words that must all be there; everything when left out
    #[arg(default_value = "", hide_default_value = true)]
    #[serde(default)]
    pub query: String,
    /// Show what has ended or is gone too
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
    /// Rows of each kind at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[serde(default = "default_limit")]
    pub limit: u32,
}

fn default_limit() -> u32 {
    10
}

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
pub struct DiscoverReply {
    /// The words that were searched for.
    pub query: String,
    /// Tasks.
    pub tasks: Vec<ListedTask>,
    /// Sessions.
    pub sessions: Vec<ListedSession>,
    /// Bindings.
    pub bindings: Vec<NamedBinding>,
    /// Telemetry, newest first.
    pub telemetry: Vec<TelemetryRow>,
    /// What to do next.
    pub suggestions: Vec<Suggestion>,
}

impl Call for DiscoverArgs {
    type Reply = DiscoverReply;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<DiscoverReply, Failure> {
        let discover = Discover { query: self.query.clone(), all: self.all, limit: self.limit };
        let found = hub.store.read(discover).await?;
        let program = &caller.program;
        Ok(DiscoverReply {
            query: self.query,
            suggestions: suggestions(&found, program),
            tasks: found.tasks,
            sessions: found.sessions.into_iter().map(|linked| ListedSession::new(linked, program)).collect(),
            bindings: found.bindings,
            telemetry: found.telemetry,
        })
    }
}

fn suggestions(found: &Found, program: &str) -> Vec<Suggestion> {
    let bound: HashSet<&str> = found
        .live
        .iter()
        .flat_map(|binding| [&binding.task_id, &binding.worker_session_id, &binding.manager_session_id])
        .map(String::as_str)
        .collect();
    let free_sessions = |role: Role| {
        let sessions = found.sessions.iter().map(|linked| &linked.session);
        sessions
            .filter(|session| session.role == role && session.is_active())
            .filter(|session| !bound.contains(session.id.as_str()))
            .map(|session| session.name.clone())
            .collect()
    };
    let free_tasks = found
        .tasks
        .iter()
        .map(|listed| &listed.task)
        .filter(|task| task.is_active() && !bound.contains(task.id.as_str()));
    let unbound = Unbound {
        tasks: free_tasks.map(|task| task.name.clone()).collect(),
        workers: free_sessions(Role::Worker),
        managers: free_sessions(Role::Manager),
    };
    let everything_bound = unbound == Unbound::default() && !found.bindings.is_empty();
    suggest(&unbound, everything_bound, program)
}
