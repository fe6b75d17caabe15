//! Sessions: list and deregister.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::{Caller, Hub};
use crate::domain::communication::{Communication, Known};
use crate::domain::{Failure, Role};
use crate::store::registration::Deregister;
use crate::store::session_facts::{OpenFacts, SessionFact};
use crate::store::sessions::{LinkedSession, ListSessions, Session, SessionFilter};

/// What replaces an identity token that is not to be shown.
const REDACTED: &str = "[redacted]";

/// List the registered sessions, and how each can be reached
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct SessionsArgs {
    /// Show only one side
    #[arg(long)]
    pub role: Option<Role>,
    /// Show only sessions in this state [default: active ones with a pid]
    #[arg(long)]
    pub state: Option<StateFilter>,
    /// Show sessions without a pid too
    #[arg(long)]
    pub include_legacy: bool,
    /// Show only this session; may be given several times
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub name: Vec<String>,
    /// Leave out the identity tokens, so that the answer can be shared
    #[arg(long)]
    pub redact_identity_token: bool,
}

/// Which sessions, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateFilter {
    /// Those that are registered.
    Active,
    /// Those that were deregistered or stopped.
    Gone,
    /// Every one, with or without a pid.
    All,
}

/// A session as lists show it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListedSession {
    /// The row.
    #[serde(flatten)]
    pub session: Session,
    /// How it can be reached.
    pub communication: Communication,
    /// What is so of it now and needs to be known: it has exited, it waits for somebody, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SessionFact>,
}

impl ListedSession {
    /// A session and how it can be reached, as `program` would say it.
    pub fn new(linked: LinkedSession, program: &str) -> Self {
        let communication = communication(&linked, program);
        Self { communication, session: linked.session, conditions: Vec::new() }
    }
}

/// How a session can be reached, as `program` would say it.
pub fn communication(linked: &LinkedSession, program: &str) -> Communication {
    Communication::of(Known {
        role: linked.session.role,
        tmux_session: linked.session.tmux_session.as_deref(),
        has_thread: linked.session.codex_session_id.is_some(),
        reachable: &linked.reachable(),
        program,
    })
}

impl Call for SessionsArgs {
    type Reply = Vec<ListedSession>;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Self::Reply, Failure> {
        let state = match self.state.unwrap_or(StateFilter::Active) {
            StateFilter::Active => Some("active".to_owned()),
            StateFilter::Gone => Some("gone".to_owned()),
            StateFilter::All => None,
        };
        let filter = SessionFilter {
            role: self.role,
            state,
            without_pid: self.include_legacy || self.state == Some(StateFilter::All),
            names: self.name,
        };
        let listed = hub.store.read(ListSessions(filter)).await?;
        let mut sessions: Vec<_> =
            listed.into_iter().map(|linked| ListedSession::new(linked, &caller.program)).collect();
        let mut conditions = hub.store.read(OpenFacts).await?;
        for listed in &mut sessions {
            listed.conditions = conditions.remove(&listed.session.id).unwrap_or_default();
            if self.redact_identity_token {
                listed.session.identity_token = REDACTED.to_owned();
            }
        }
        Ok(sessions)
    }
}

/// Mark a session gone; refused while it is bound
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct DeregisterArgs {
    /// The session, by name or id
    pub name: String,
}

/// A deregistered session.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeregisterReply {
    /// The command that records it.
    pub command_id: String,
    /// Its name.
    pub name: String,
    /// Which side it was on.
    pub role: Role,
    /// Its id.
    pub session_id: String,
    /// `gone`.
    pub state: String,
}

impl Call for DeregisterArgs {
    type Reply = DeregisterReply;

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<DeregisterReply, Failure> {
        let gone = hub.store.write(Deregister { session: self.name }).await??;
        Ok(DeregisterReply {
            command_id: gone.command_id,
            name: gone.session.name,
            role: gone.session.role,
            session_id: gone.session.id,
            state: gone.session.state,
        })
    }
}
