//! Where a tool's call is served: as for the command line, looked up anew for each call, so that a
//! supervisor may come and go.

use serde_json::Value;
use tokio::net::UnixStream;

use super::embedded::Embedded;
use crate::actors::calls::Place;
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
        let mut supervisor = UnixStream::connect(self.paths.socket()).await.ok()?;
        let envelope = match connection::envelope(&self.paths, caller, request) {
            Ok(envelope) => envelope,
            Err(failure) => return Some(Err(failure)),
        };
        // A supervisor that never got the whole call cannot have acted on it.
        wire::send(&mut supervisor, &envelope).await.ok()?;
        connection::answered(wire::receive(&mut supervisor).await)
    }
}
