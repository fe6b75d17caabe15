//! What is done to a session: looking, pushing, interrupting, ending.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::ending::end;
use super::ingest;
use super::interrupt_key::{codex_may_read, may_end, runs_a_turn, usual_key};
use super::pane_class::classify_view;
use super::session::{Interrupt, Interrupted, Nudge, Terminals};
use super::tmux::{Terminal, TerminalError};
use super::transport::{
    AppServerTransport, Connection, Letter, QueueTransport, Sending, TmuxTransport, Transport,
};
use super::whereabouts::has_rollout;
use crate::codex::app_server::AppServer;
use crate::codex::pane::PaneClass;
use crate::domain::header::OriginHeader;
use crate::domain::shell::quoted;
use crate::domain::time::now_iso;
use crate::domain::transport::TransportKind;
use crate::domain::{Failure, Recipe};
use crate::fault::Point;
use crate::store::Store;
use crate::store::dispatch::{BeginPush, ClaimNudge, Entry, FinishPush, Push, PushOutcome, Subject};
use crate::store::sessions::{GetLinkedSession, LinkedSession};
use crate::tmux::{Pane, PaneId, PaneView, Target, TmuxError};

/// How long the screen gets to show that a turn was interrupted.
const SCREEN_PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at it.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is needed to reach the session.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) session_id: String,
    pub(super) store: Store,
    pub(super) terminals: Terminals,
    pub(super) connection: Connection,
    /// Somebody keeps up with which thread it is in.
    pub(super) attended: Rc<Cell<bool>>,
    /// It is in a thread that has no rollout yet, and that nobody can tell the place of.
    pub(super) in_fresh_thread: Rc<Cell<bool>>,
}

impl Hands {
    pub(super) async fn linked(&self) -> Result<LinkedSession, Failure> {
        Ok(self.store.read(GetLinkedSession(self.session_id.clone())).await?)
    }

    pub(super) async fn look(&self, lines: u32) -> Result<PaneView, Failure> {
        let linked = self.linked().await?;
        let (_, view) = self.see(&linked, lines).await?;
        Ok(view)
    }

    /// The session's pane as it is now. In place of a recorded one that is gone counts the active one, when
    /// it shows Codex.
    pub(super) async fn see(
        &self,
        linked: &LinkedSession,
        lines: u32,
    ) -> Result<(Terminal, PaneView), Failure> {
        let (terminal, target) = self.pane(linked)?;
        let view = match (terminal.view(target.clone(), lines).await, target) {
            (
                Err(TerminalError::Tmux(gone @ TmuxError::NoSession { .. })),
                Target::PaneOfSession(session, _),
            ) => {
                let view = terminal.view(session.into(), lines).await?;
                if classify_view(&view) == PaneClass::Unknown {
                    return Err(gone.into());
                }
                view
            }
            (seen, _) => seen?,
        };
        Ok((terminal, view))
    }

    fn pane(&self, linked: &LinkedSession) -> Result<(Terminal, Target), Failure> {
        let session = &linked.session;
        let Some(tmux_session) = &session.tmux_session else {
            return Err(Failure::refused(format!("session {} has no tmux session", session.name)).hint(
                format!(
                    "it is reached through its mailbox: `conveyor session-inbox {}`",
                    quoted(&session.name)
                ),
            ));
        };
        let target = Target::stored(tmux_session, session.tmux_pane_id.as_deref()).map_err(Failure::from)?;
        Ok((self.terminal(linked), target))
    }

    fn terminal(&self, linked: &LinkedSession) -> Terminal {
        (self.terminals)(linked.link.as_ref().and_then(|link| link.tmux_socket.as_deref()))
    }

    pub(super) async fn end(&self) -> Result<bool, Failure> {
        // Where it is cannot be seen any more when it has ended. An attendant may not have come to it yet.
        self.locate(&self.linked().await?).await?;
        let linked = self.linked().await?;
        let was_running = end(&linked, &self.terminal(&linked)).await?;
        if linked.session.is_active() && has_rollout(&self.store, &linked).await? {
            // Once it is marked gone nobody reads what it wrote last.
            ingest::read_out(&self.store, &self.session_id).await?;
        }
        Ok(was_running)
    }

    pub(super) async fn deliver(&self, push: Push) -> Result<Entry, Failure> {
        let outcome = match self.located().await {
            Ok(linked) => self.push(&linked, &push).await?,
            Err(failure) => PushOutcome::NotSent { error: failure.message, pane_class: None, begun: false },
        };
        let (id, may_have_left) = (push.delivery.id, outcome.may_have_left());
        let recorded = self.store.write(FinishPush { push, outcome }).await;
        recorded.map_err(|error| not_on_record(error.into(), id, may_have_left))
    }

    pub(super) async fn nudge(&self, nudge: Nudge) -> Result<Entry, Failure> {
        if self.linked().await?.reachable().pushes().is_empty() {
            return Err(Failure::refused("the session has no terminal and no app-server to push to").hint(
                "queue the message for its mailbox: `conveyor enqueue-nudge-worker TASK --message TEXT`",
            ));
        }
        let claim =
            ClaimNudge { session: nudge.session_id, from_thread: nudge.from_thread, text: nudge.text };
        let push = self.store.write(claim).await?;
        self.deliver(push).await
    }

    pub(super) async fn interrupt(&self, interrupt: Interrupt) -> Result<Interrupted, Failure> {
        let linked = self.located().await?;
        if interrupt.key.is_none()
            && let Some(interrupted) = self.interrupt_by_rpc(&linked, interrupt.dry_run).await?
        {
            return Ok(interrupted);
        }
        let (terminal, view) = self.see(&linked, 0).await?;
        let class = classify_view(&view);
        let is_codex = codex_may_read(&view.pane, class, is_known_codex(&linked, &view.pane));
        let key = interrupt.key.unwrap_or_else(|| usual_key(is_codex));
        let interrupted =
            Interrupted { by: key.as_str().to_owned(), target: linked.session.tmux_session.clone() };
        if may_end(&key, is_codex, class) && !interrupt.force {
            return Err(Failure::refused(format!(
                "session {} shows no running turn ({class}), and C-c would end an idle Codex",
                linked.session.name
            ))
            .hint("to press it all the same, add --force; to stop a running turn, leave out --key"));
        }
        if !interrupt.dry_run {
            terminal.press(Target::Pane(view.pane.id), key).await?;
            turn_has_ended(&terminal, view.pane.id, class).await;
        }
        Ok(interrupted)
    }

    /// By the app-server, when the session has one that answers and a turn is running. One that it may
    /// have made is not made again with a key.
    async fn interrupt_by_rpc(
        &self,
        linked: &LinkedSession,
        dry_run: bool,
    ) -> Result<Option<Interrupted>, Failure> {
        let Some((server, thread_id, turn_id)) = self.running_turn(linked).await else { return Ok(None) };
        if !dry_run && let Err(error) = server.turn_interrupt(&thread_id, &turn_id).await {
            let name = &linked.session.name;
            let unknown = Failure::unknown(format!("session {name} may have been interrupted: {error}"))
                .hint(format!("look before repeating it: `conveyor tail {}`", quoted(name)));
            return if error.may_have_happened() { Err(unknown) } else { Ok(None) };
        }
        let target = linked.session.tmux_session.clone();
        Ok(Some(Interrupted { by: "turn/interrupt".into(), target }))
    }

    /// The session's app-server, its thread, and the turn that runs in it.
    async fn running_turn(&self, linked: &LinkedSession) -> Option<(AppServer, String, String)> {
        if !linked.reachable().pushes().contains(&TransportKind::AppServer) {
            return None;
        }
        let (socket, thread_id) =
            (linked.link.as_ref()?.app_server_socket.as_ref()?, linked.session.codex_session_id.as_ref()?);
        let server = self.connection.get(socket.as_ref()).await.ok()?;
        let turn_id = server.running_turn(thread_id).await.ok()??;
        Some((server, thread_id.clone(), turn_id))
    }

    async fn push(&self, linked: &LinkedSession, push: &Push) -> Result<PushOutcome, Failure> {
        let letter = Letter {
            origin: OriginHeader {
                kind: push.signal.clone(),
                from: push.from.clone(),
                correlation_id: push.correlation_id.clone(),
                delivery: push.delivery.id,
            },
            text: push.text.clone(),
            client_message_id: push.delivery.client_message_id.clone(),
        };
        // A nudge may be the last word to who is about to be ended, whom somebody named.
        if !linked.session.is_active() && push.subject != Subject::Nudge {
            return Ok(PushOutcome::NotSent {
                error: format!("session {} is gone", linked.session.name),
                pane_class: None,
                begun: false,
            });
        }
        let transport = match self.choose(linked).await {
            Ok(transport) => transport,
            Err(not_sent) => return Ok(not_sent),
        };
        let begin = BeginPush {
            delivery_id: push.delivery.id,
            fence: push.delivery.fence,
            transport: transport.kind(),
        };
        if !self.store.write(begin).await? {
            // The claim was lost while this waited its turn; whoever has it now decides.
            return Ok(PushOutcome::NotSent {
                error: "the claim was lost before the push began".into(),
                pane_class: None,
                begun: false,
            });
        }
        Point::PushStarted.reach();
        let sending = transport.send(&letter).await;
        Point::PushMade.reach();
        Ok(match sending {
            Sending::Sent(details) => {
                PushOutcome::Sent { result: send_result(linked, &letter, transport.kind(), details) }
            }
            Sending::NotSent(error) => PushOutcome::NotSent { error, pane_class: None, begun: true },
            Sending::Unknown { error, pane_class } => PushOutcome::Unknown { error, pane_class },
        })
    }

    /// The best transport that is ready. A session that waits for a person is not gone around.
    async fn choose(&self, linked: &LinkedSession) -> Result<Box<dyn Transport>, PushOutcome> {
        let mut reasons = Vec::new();
        let mut pane_class = None;
        for kind in linked.reachable().pushes() {
            let transport = match self.transport(linked, kind).await {
                Ok(transport) => transport,
                Err(failure) => {
                    reasons.push(failure.message);
                    continue;
                }
            };
            match transport.ready().await {
                Ok(()) => return Ok(transport),
                Err(not_ready) => {
                    reasons.push(format!("{kind}: {}", not_ready.error));
                    pane_class = not_ready.pane_class.or(pane_class);
                    if not_ready.asks_a_person {
                        break;
                    }
                }
            }
        }
        if reasons.is_empty() {
            reasons.push(format!("session {} can no longer be pushed to", linked.session.name));
        }
        Err(PushOutcome::NotSent { error: reasons.join("; "), pane_class, begun: false })
    }

    async fn transport(
        &self,
        linked: &LinkedSession,
        kind: TransportKind,
    ) -> Result<Box<dyn Transport>, Failure> {
        let link = linked.link.as_ref();
        let app_server = link.and_then(|link| link.app_server_socket.as_ref());
        let thread_id = linked.session.codex_session_id.clone();
        match (kind, app_server, thread_id) {
            (TransportKind::AppServer, Some(socket), Some(thread_id)) => Ok(Box::new(AppServerTransport {
                connection: self.connection.clone(),
                socket: socket.into(),
                thread_id,
                thread_start: link
                    .and_then(|link| link.thread_start.clone())
                    .and_then(|start| serde_json::from_value(start).ok()),
            })),
            (TransportKind::CodexQueue, ..) if self.in_fresh_thread.get() => Err(Failure::refused(format!(
                "session {} is in a new thread, which has no rollout before its first prompt",
                linked.session.name
            ))),
            (TransportKind::CodexQueue, remote, Some(thread_id)) => {
                let codex_home = link.and_then(|link| link.codex_home.as_ref()).map(PathBuf::from);
                let codex_home = codex_home.ok_or_else(|| Failure::refused("its CODEX_HOME is not known"))?;
                let program = link.and_then(|link| link.codex_program.as_ref()).map(PathBuf::from);
                let remote = remote.map(PathBuf::from);
                Ok(Box::new(QueueTransport { program, thread_id, remote, codex_home }))
            }
            (TransportKind::Tmux, ..) => {
                let (terminal, view) = self.see(linked, 0).await?;
                Ok(Box::new(TmuxTransport::new(terminal, view.pane.id, linked)))
            }
            _ => Err(Failure::refused(format!("session {} has no {kind} transport", linked.session.name))),
        }
    }
}

/// Waits for the screen to show that a turn was interrupted, but not for long. Until then the next key would
/// be taken for one into a running turn.
async fn turn_has_ended(terminal: &Terminal, pane: PaneId, class: PaneClass) {
    let deadline = Instant::now() + SCREEN_PATIENCE;
    let mut shown = class;
    while runs_a_turn(shown) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Ok(view) = terminal.view(Target::Pane(pane), 0).await else { return };
        shown = classify_view(&view);
    }
}

/// The database failed after the push. Then nobody may take the text for unsent.
fn not_on_record(failure: Failure, delivery_id: i64, may_have_left: bool) -> Failure {
    let Failure { message, .. } = failure;
    if !may_have_left {
        return Failure {
            message: format!("the text was not sent, which is not on record: {message}"),
            ..failure
        };
    }
    Failure {
        message: format!("the text may have been sent, but how that went is not on record: {message}"),
        ..failure
    }
    .hint(format!(
        "look at the session before you send it again; it is delivery {delivery_id} of `conveyor deliveries`"
    ))
}

/// Whether the session's pane was recorded as that of a Codex. Where somebody merely named the rollout, a
/// shell in front tells of another program.
fn is_known_codex(linked: &LinkedSession, pane: &Pane) -> bool {
    let was_found = linked.link.as_ref().is_some_and(|link| link.recipe != Recipe::Given);
    linked.session.codex_session_id.is_some() && (was_found || !pane.shows_shell())
}

/// What the contract reports of a completed push, and what the transport told beside it.
fn send_result(linked: &LinkedSession, letter: &Letter, transport: TransportKind, details: Value) -> Value {
    let mut result = json!({
        "dry_run": false,
        "session": linked.session.name,
        "side_effect_completed": true,
        "side_effect_started": true,
        "target": linked.session.tmux_session,
        "text": letter.text,
        "time": now_iso(),
        "transport": transport,
    });
    if let (Value::Object(result), Value::Object(details)) = (&mut result, details) {
        result.extend(details);
    }
    result
}
