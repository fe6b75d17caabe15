//! From a plan to a registered session that has been told what to do.

use std::path::Path;

use super::plan::Plan;
use super::undo::Begun;
use super::{Started, give_up, not_started, on_record, progress, start};
use crate::actors::blocking::blocking;
use crate::actors::{Hub, record};
use crate::codex::app_server::{AppServer, TurnStart};
use crate::codex::discover::system_processes;
use crate::domain::shell::quoted;
use crate::domain::time::iso;
use crate::domain::transport::TransportKind;
use crate::domain::{Failure, Role};
use crate::fault::Point;
use crate::store::deliveries::Move;
use crate::store::launches::{BeginFirstPrompt, FinishFirstPrompt, RefuseTakenName, RegisterStarted};
use crate::store::registration::Register;
use crate::store::session_links::Link;
use crate::store::sessions::LinkedSession;

/// A session that was started and registered.
#[derive(Debug)]
pub struct Launched {
    /// The session.
    pub linked: LinkedSession,
    /// The command that shows its terminal.
    pub attach_command: Option<String>,
    prompt: Prompt,
    begun: Begun,
}

/// Where a session's first prompt is.
#[derive(Debug)]
enum Prompt {
    None,
    /// It went with the command line: the terminal owns the thread.
    Given,
    ToSend {
        client: AppServer,
        thread_id: String,
        text: String,
    },
}

/// Starts a session and registers it under its name. Its first prompt is then to be sent with
/// [`Launched::send_prompt`].
///
/// # Errors
/// Why it was not started; then nothing is registered and nothing runs.
pub async fn launch(
    hub: &Hub,
    plan: &Plan,
    role: Role,
    transports: &[TransportKind],
) -> Result<Launched, Failure> {
    progress(format_args!("starting {role} {} in {}", plan.name, plan.cwd.display()));
    let mut begun = Begun::default();
    match start_and_register(hub, plan, role, transports, &mut begun).await {
        Ok((linked, prompt)) => Ok(Launched { linked, attach_command: plan.attach_command(), prompt, begun }),
        Err(failure) => {
            give_up(hub, plan, begun).await;
            Err(not_started(&plan.name, failure))
        }
    }
}

async fn start_and_register(
    hub: &Hub,
    plan: &Plan,
    role: Role,
    transports: &[TransportKind],
    begun: &mut Begun,
) -> Result<(LinkedSession, Prompt), Failure> {
    hub.store.read(RefuseTakenName { name: plan.name.clone(), role }).await?;
    let started = on_record(hub, plan, start(plan, begun)).await?;
    let session = describe(plan, &started, role, transports).await?;
    let linked = hub.store.write(RegisterStarted { session, launch_id: plan.id.clone() }).await?;
    if let Some(terminal) = &started.terminal {
        terminal.settle().await;
    }
    let prompt = match (plan.prompt.clone(), started.server) {
        (None, _) => Prompt::None,
        (Some(_), None) => Prompt::Given,
        (Some(text), Some((_, client))) => Prompt::ToSend { client, thread_id: started.thread_id, text },
    };
    Ok((linked, prompt))
}

impl Launched {
    /// Sends the first prompt, if there is one that has not gone with the command line. Gives whether
    /// the session has something to do.
    ///
    /// # Errors
    /// When it was not, or may not have been, sent. The session is there and waits.
    pub async fn send_prompt(&self, hub: &Hub) -> Result<bool, Failure> {
        let Prompt::ToSend { client, thread_id, text } = &self.prompt else {
            return Ok(matches!(self.prompt, Prompt::Given));
        };
        Point::LaunchRegistered.reach();
        let begin = BeginFirstPrompt { session_id: self.linked.session.id.clone(), prompt: text.clone() };
        let delivery = hub.store.write(begin).await.map_err(|error| self.not_prompted(error.into()))?;
        let client_user_message_id = &*delivery.client_message_id;
        let turn = TurnStart { thread_id, text, client_user_message_id };
        let sent = client.turn_start(turn).await;
        let outcome = match &sent {
            Ok(_) => Move::Sent,
            Err(error) if error.may_have_happened() => {
                Move::Unknown { error: error.to_string(), pane_class: None }
            }
            Err(error) => Move::Failed { error: error.to_string(), pane_class: None },
        };
        let recorded = hub.store.write(FinishFirstPrompt { delivery, outcome }).await;
        let sent = sent.map(|_| true).map_err(|error| self.not_prompted(error.into()));
        record::ended(sent, recorded, |_| {
            format!("session {} has got its first prompt", self.linked.session.name)
        })
    }

    fn not_prompted(&self, failure: Failure) -> Failure {
        let name = &self.linked.session.name;
        let problem = "runs and is registered, but its first prompt did not go out";
        Failure { message: format!("session {name} {problem}: {}", failure.message), ..failure }
            .hint(format!("send it: `conveyor session-nudge {} TEXT`", quoted(name)))
    }

    /// Ends the session's processes again. Its registration stays.
    pub async fn undo(self) {
        self.begun.undo().await;
    }
}

async fn describe(
    plan: &Plan,
    started: &Started,
    role: Role,
    transports: &[TransportKind],
) -> Result<Register, Failure> {
    let pid = started.pid;
    let pid_started_at = blocking(move || system_processes().started_at(pid)).await?.ok().map(iso);
    let server = started.server.as_ref();
    let link = Link {
        tmux_socket: plan.tmux.as_ref().map(|(tmux, _)| text(tmux.socket())),
        codex_home: plan.codex_home.as_deref().map(text),
        codex_version: plan.version.clone(),
        codex_program: Some(text(&plan.program)),
        app_server_socket: server.map(|(socket, _)| text(socket)),
        app_server_pid: server.map(|_| pid.into()),
        tui_pid: started.tui_pid.map(i64::from),
        pid_started_at,
        mcp: plan.mcp,
        transports: transports.to_vec(),
        ..Link::new(started.recipe)
    };
    Ok(Register {
        name: plan.name.clone(),
        role,
        pid: Some(pid.into()),
        cwd: text(&plan.cwd),
        tmux_session: plan.tmux.as_ref().map(|(_, session)| session.to_string()),
        tmux_pane_id: started.terminal.as_ref().map(|terminal| terminal.pane.id.to_string()),
        codex_session_path: started.rollout.as_deref().map(text),
        codex_session_id: Some(started.thread_id.clone()),
        link,
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
