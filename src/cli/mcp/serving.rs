//! Where a tool's call is served: as for the command line, looked up anew for each call, so that a
//! supervisor may come and go.

use serde_json::Value;

use super::embedded::Embedded;
use crate::actors::calls::Place;
use crate::actors::client::connect_to_supervisor;
use crate::actors::paths::Paths;
use crate::actors::{Caller, Request, wire};
use crate::cli::connection;
use crate::domain::Failure;

/// Serves the calls of one state root.
pub(super) struct Serving {
    paths: Paths,
    embedded: Embedded,
}

impl Serving {
    pub(super) fn new(paths: Paths, embedded: Embedded) -> Self {
        Self { paths, embedded }
    }

    /// Makes a call and waits for its reply. Dropping this abandons a call that waits.
    ///
    /// # Errors
    /// The call's own refusal or failure; or `Unknown` when the supervisor went away after it got
    /// the call.
    pub(super) async fn serve(&self, request: Request, caller: Caller) -> Result<Value, Failure> {
        if request.place() == Place::Supervisor
            && let Some(answer) = self.ask_supervisor(&request, &caller).await
        {
            return answer;
        }
        self.embedded.serve(request, caller).await
    }

    /// `None` when no supervisor serves this call.
    async fn ask_supervisor(&self, request: &Request, caller: &Caller) -> Option<Result<Value, Failure>> {
        let mut supervisor = match connect_to_supervisor(&self.paths).await {
            Ok(supervisor) => supervisor?,
            Err(failure) => return Some(Err(failure)),
        };
        let envelope = match connection::envelope(&self.paths, caller, request) {
            Ok(envelope) => envelope,
            Err(failure) => return Some(Err(failure)),
        };
        // A supervisor that never got the whole call cannot have acted on it.
        wire::send(&mut supervisor, &envelope).await.ok()?;
        connection::answered(request, wire::receive(&mut supervisor).await)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream as Blocking};
    use std::thread::{self, JoinHandle};

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::actors::calls::tasks::TasksArgs;
    use crate::actors::wire::{Answer, Envelope};
    use crate::domain::FailureKind;
    use crate::own_dir::private_dir;

    /// A state root whose supervisor is `supervise`, for one client.
    fn supervised<T: Send + 'static>(
        supervise: impl FnOnce(Blocking, Envelope) -> T + Send + 'static,
    ) -> (TempDir, Serving, JoinHandle<T>) {
        let root = TempDir::with_prefix_in("cv-", "/tmp").unwrap();
        let paths = Paths::of(root.path(), None);
        private_dir(&paths.run_dir()).unwrap();
        let listener = UnixListener::bind(paths.socket()).unwrap();
        let supervisor = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let envelope = wire::receive_blocking(&mut client).unwrap();
            supervise(client, envelope)
        });
        let (embedded, _) = Embedded::start(paths.clone()).unwrap();
        (root, Serving::new(paths, embedded), supervisor)
    }

    fn answering(answer: Answer) -> impl FnOnce(Blocking, Envelope) -> Envelope + Send {
        move |mut client, envelope| {
            wire::send_blocking(&mut client, &answer).unwrap();
            envelope
        }
    }

    fn tasks() -> Request {
        TasksArgs { active: true, create: None, goal: None, summary: None }.into()
    }

    fn caller() -> Caller {
        Caller { thread_id: Some("thread-1".to_owned()), ..Caller::default() }
    }

    #[tokio::test]
    async fn a_supervisor_serves_and_knows_the_caller() {
        let done = Answer::Done { reply: json!(["from it"]), version: "1".to_owned() };
        let (_root, serving, supervisor) = supervised(answering(done));
        assert_eq!(serving.serve(tasks(), caller()).await, Ok(json!(["from it"])));
        let envelope = supervisor.join().unwrap();
        assert_eq!(envelope.caller, caller());
        assert_eq!(envelope.request["call"], "tasks");
    }

    #[tokio::test]
    async fn a_supervisor_that_does_not_serve_is_done_without() {
        let other = Answer::NotServed { reason: "another version".to_owned() };
        let (_root, serving, _supervisor) = supervised(answering(other));
        assert_eq!(serving.serve(tasks(), caller()).await, Ok(json!([])));
    }

    #[tokio::test]
    async fn a_supervisor_that_goes_leaves_the_outcome_unknown() {
        let (_root, serving, _supervisor) = supervised(|client, _| drop(client));
        let failure = serving.serve(tasks(), caller()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unknown);
    }

    #[tokio::test]
    async fn what_only_looks_is_done_without_a_supervisor_that_goes() {
        let (_root, serving, _supervisor) = supervised(|client, _| drop(client));
        let look = serde_json::from_value(json!({ "call": "approvals", "args": {} })).unwrap();
        assert_eq!(serving.serve(look, caller()).await, Ok(json!([])));
    }

    #[tokio::test]
    async fn what_waited_is_told_that_nothing_was_changed() {
        let (_root, serving, _supervisor) = supervised(|client, _| drop(client));
        let wait =
            serde_json::from_value::<Request>(json!({ "call": "wait", "args": { "for": ["turn-end"] } }))
                .unwrap();
        let failure = serving.serve(wait, caller()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::External);
        assert!(failure.message.ends_with("nothing was changed"), "{failure}");
    }

    #[tokio::test]
    async fn a_call_that_is_abandoned_hangs_up() {
        let (got_it, it_got_it) = tokio::sync::oneshot::channel();
        let (_root, serving, supervisor) = supervised(|mut client, _| {
            got_it.send(()).unwrap();
            wire::receive_blocking::<Envelope>(&mut client).unwrap_err().kind()
        });
        tokio::select! {
            answer = serving.serve(tasks(), caller()) => panic!("answered: {answer:?}"),
            _ = it_got_it => {}
        }
        assert_eq!(supervisor.join().unwrap(), std::io::ErrorKind::UnexpectedEof);
    }
}
