//! Acting on a session at once: nudge and interrupt.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Call;
use crate::actors::hub::ask;
use crate::actors::record;
use crate::actors::session::{Interrupt, Interrupted, Nudge};
use crate::actors::{Caller, Hub};
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::domain::{Failure, FailureKind};
use crate::store::dispatch::{BeginInterrupt, FinishInterrupt, RefuseNudge};
use crate::store::sessions::{GetLinkedSession, LinkedSession};
use crate::tmux::KeyName;

/// Send a text to a session at once
///
/// It goes through the session's app-server, its Codex queue or its terminal, whichever comes first
/// and is there. For a session that only polls, use enqueue-nudge-worker.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct SessionNudgeArgs {
    /// The session's name
    pub name: String,
    /// The text to send
    pub text: String,
    /// Only say what would be sent
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Call for SessionNudgeArgs {
    /// What was sent, as the contract has it.
    type Reply = Value;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let text_length = self.text.len();
        match self.nudge(hub, caller).await {
            Ok(reply) => Ok(reply),
            Err(NotNudged::Recorded(failure)) => Err(failure),
            Err(NotNudged::Refused(failure)) => {
                let refuse = RefuseNudge { session: self.name, text_length, failure: Some(failure.clone()) };
                Err(record::failed(failure, hub.store.write(refuse).await))
            }
        }
    }
}

/// Why a nudge did not go out, and whether that is on record already.
enum NotNudged {
    Recorded(Failure),
    Refused(Failure),
}

impl From<Failure> for NotNudged {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl SessionNudgeArgs {
    async fn nudge(&self, hub: &Hub, caller: &Caller) -> Result<Value, NotNudged> {
        if self.text.trim().is_empty() {
            let failure = Failure::usage("there is nothing to send: the text is empty");
            return Err(failure.hint(format!("conveyor session-nudge {} TEXT", quoted(&self.name))).into());
        }
        let linked = active_session(hub, &self.name).await?;
        if self.dry_run {
            return Ok(self.try_out(hub, &linked).await?);
        }
        let nudge = Nudge {
            session_id: linked.session.id,
            text: self.text.clone(),
            from_thread: caller.thread_id.clone(),
        };
        let report = ask(&hub.nudge, nudge, "session's actor").await?;
        match (report["state"].as_str(), report.get("error").and_then(Value::as_str)) {
            (Some("delivered"), _) => Ok(Value::Object(report)),
            (Some("unknown"), error) => Err(NotNudged::Recorded(
                Failure::unknown(format!(
                    "the nudge to {} may have arrived: {}",
                    self.name,
                    error.unwrap_or("no more is known")
                ))
                .hint(format!("look before repeating it: `conveyor tail {}`", quoted(&self.name))),
            )),
            (_, error) => Err(NotNudged::Recorded(
                Failure::new(
                    FailureKind::External,
                    format!(
                        "the nudge to {} was not sent: {}",
                        self.name,
                        error.unwrap_or("no reason is known")
                    ),
                )
                .hint("see the ways into it: `conveyor sessions --state all`; nothing was typed, so it can be repeated"),
            )),
        }
    }

    async fn try_out(&self, hub: &Hub, linked: &LinkedSession) -> Result<Value, Failure> {
        let refuse = RefuseNudge { session: self.name.clone(), text_length: self.text.len(), failure: None };
        hub.store.write(refuse).await?;
        Ok(json!({
            "dry_run": true,
            "session": linked.session.name,
            "side_effect_completed": false,
            "side_effect_started": false,
            "target": linked.session.tmux_session,
            "text": self.text,
            "time": now_iso(),
            "transports": linked.reachable().pushes(),
        }))
    }
}

/// Interrupt what a session is doing
///
/// By the app-server when the session has one, else by a key in its terminal: Escape for Codex, C-c
/// for another program. C-c ends an idle Codex, so there it is refused without --force.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct SessionInterruptArgs {
    /// The session's name
    pub name: String,
    /// The key to press, in tmux's spelling, e.g. Escape or C-c
    #[arg(long)]
    pub key: Option<String>,
    /// A text to send after the interrupt
    #[arg(long, value_name = "TEXT")]
    pub followup: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
    /// Press the key even where it ends Codex
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

impl Call for SessionInterruptArgs {
    /// What was done, as the contract has it.
    type Reply = Value;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<Value, Failure> {
        let (command_id, outcome) = match self.begin(hub).await {
            Ok(Begun { interrupt, session, command_id }) => {
                let interrupted = ask(&hub.interrupt, interrupt, "session's actor").await;
                (command_id, interrupted.map(|interrupted| (session, interrupted)))
            }
            Err(failure) => (None, Err(failure)),
        };
        let record = FinishInterrupt {
            command_id,
            session: self.name.clone(),
            key: outcome.as_ref().map_or_else(
                |_| self.key.clone().unwrap_or_default(),
                |(_, interrupted)| interrupted.by.clone(),
            ),
            followup_length: self.followup.as_deref().unwrap_or_default().len(),
            outcome: outcome.as_ref().map(|_| self.dry_run).map_err(Clone::clone),
        };
        let recorded = hub.store.write(record).await;
        // What happened to the session matters more than that it could not be recorded.
        let (session, interrupted) = outcome?;
        recorded.map_err(|error| self.not_on_record(error.into(), &interrupted))?;
        if let (Some(text), false) = (&self.followup, self.dry_run) {
            let nudge = SessionNudgeArgs { name: self.name, text: text.clone(), dry_run: false };
            nudge.serve(hub, caller).await?;
        }
        Ok(json!({
            "dry_run": self.dry_run,
            "followup": self.followup,
            "key": interrupted.by,
            "session": session,
            "target": interrupted.target,
            "time": now_iso(),
        }))
    }
}

/// An interrupt that is about to be made, or tried out.
struct Begun {
    interrupt: Interrupt,
    /// The session's name.
    session: String,
    /// What it is on record as; none when it is only tried out.
    command_id: Option<String>,
}

impl SessionInterruptArgs {
    async fn begin(&self, hub: &Hub) -> Result<Begun, Failure> {
        let key = self
            .key
            .as_deref()
            .map(str::parse::<KeyName>)
            .transpose()
            .map_err(|error| Failure::usage(error.to_string()))?;
        let session = active_session(hub, &self.name).await?.session;
        let command_id = if self.dry_run {
            None
        } else {
            let begin = BeginInterrupt { session_id: session.id.clone(), key: self.key.clone() };
            Some(hub.store.write(begin).await?)
        };
        let interrupt = Interrupt { session_id: session.id, key, force: self.force, dry_run: self.dry_run };
        Ok(Begun { interrupt, session: session.name, command_id })
    }

    /// The database failed after the interrupt. Then nobody may take it for not made.
    fn not_on_record(&self, failure: Failure, interrupted: &Interrupted) -> Failure {
        if self.dry_run {
            return failure;
        }
        let message = format!(
            "session {} was interrupted by {}, which is not on record: {}",
            self.name, interrupted.by, failure.message
        );
        let failure = Failure { message, ..failure };
        match self.followup {
            Some(_) => failure.hint(format!(
                "the text after it was not sent: `conveyor session-nudge {} TEXT`",
                quoted(&self.name)
            )),
            None => failure.hint(format!("look before repeating it: `conveyor tail {}`", quoted(&self.name))),
        }
    }
}

async fn active_session(hub: &Hub, name: &str) -> Result<LinkedSession, Failure> {
    let linked = hub.store.read(GetLinkedSession(name.to_owned())).await?;
    if linked.session.is_active() {
        return Ok(linked);
    }
    let (role, path) = (linked.session.role, linked.session.codex_session_path);
    let rollout = path.map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    Err(Failure::refused(format!("session {name} is gone")).hint(format!(
        "if it runs again, register it: `conveyor register-{role} --name {} --codex-session {rollout}`",
        quoted(name)
    )))
}
