//! The actors inside this process, for calls that no supervisor serves.
//!
//! They have a thread of their own, run while there are calls, and stop when the last one is
//! served, so that nothing is held open in between.

use std::io;
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::actors::hub::gone;
use crate::actors::paths::Paths;
use crate::actors::runtime::{Mode, Runtime};
use crate::actors::{Caller, Hub, Request};
use crate::domain::Failure;

/// The way to the thread; it ends when the last of these is dropped.
#[derive(Debug, Clone)]
pub(super) struct Embedded(mpsc::UnboundedSender<Job>);

#[derive(Debug)]
struct Job {
    request: Request,
    caller: Caller,
    reply: oneshot::Sender<Result<Value, Failure>>,
}

impl Embedded {
    /// Starts the thread; the database is not touched yet.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn start(paths: Paths) -> io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let serve = move || actix::System::new().block_on(serve_jobs(paths, queue));
        let thread = thread::Builder::new().name("embedded".to_owned()).spawn(serve)?;
        Ok((Self(jobs), thread))
    }

    /// Makes a call and waits for its reply. Dropping this abandons a call that waits.
    ///
    /// # Errors
    /// The call's own refusal or failure, or that of opening the database.
    pub(super) async fn serve(&self, request: Request, caller: Caller) -> Result<Value, Failure> {
        let (reply, answer) = oneshot::channel();
        // A thread that has stopped drops the job, and with it the sender of the reply.
        let _ = self.0.send(Job { request, caller, reply });
        answer.await.unwrap_or_else(|_| Err(gone("embedded runtime")))
    }
}

async fn serve_jobs(paths: Paths, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match Runtime::start(paths.clone(), Mode::Embedded) {
            Ok(runtime) => {
                serve_until_idle(runtime.hub(), job, &mut jobs).await;
                runtime.stop().await;
            }
            // Whoever asked may have gone.
            Err(failure) => drop(job.reply.send(Err(failure))),
        }
    }
}

async fn serve_until_idle(hub: &Hub, first: Job, jobs: &mut mpsc::UnboundedReceiver<Job>) {
    let mut running = JoinSet::new();
    running.spawn_local(first.serve(hub.clone()));
    while !running.is_empty() {
        tokio::select! {
            _ = running.join_next() => {}
            Some(job) = jobs.recv() => drop(running.spawn_local(job.serve(hub.clone()))),
        }
    }
}

impl Job {
    async fn serve(mut self, hub: Hub) {
        let waits = self.request.waits();
        let answer = tokio::select! {
            answer = hub.serve(self.request, self.caller) => answer,
            () = self.reply.closed(), if waits => return,
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(answer);
    }
}
