//! Continuations: propose what comes next, review the proposals or have them reviewed, list them.

use clap::{ArgGroup, Args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::summary::TaskSummary;
use super::{Call, Place, values};
use crate::actors::reviewer::{self, Reviewer};
use crate::actors::{Caller, Hub};
use crate::domain::continuation::{Reader, Review};
use crate::domain::shell::quoted;
use crate::domain::{Failure, Role, Seconds};
use crate::store::continuations::{
    Continuation, ContinuationReview, GetReviewSubject, ListContinuations, ListedContinuation, RecordReview,
    RecordedReview, SubmitContinuation,
};

/// Record what worker and manager propose to do next, and a reviewer's verdict on it
///
/// The worker proposes first. The manager proposes under the same correlation id without having
/// seen the worker's proposal. Somebody else reviews the two.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[command(group = ArgGroup::new("action").required(true).args(["submit", "review", "list"]))]
pub struct ContinuationArgs {
    /// The task, by name or id
    pub task: String,
    /// Hand in the proposal of this side
    #[arg(long, value_name = "SIDE")]
    #[serde(default)]
    pub submit: Option<Role>,
    /// Hand in a reviewer's verdict
    #[arg(long)]
    #[serde(default)]
    pub review: bool,
    /// List proposals and reviews
    #[arg(long)]
    #[serde(default)]
    pub list: bool,
    /// Read what is handed in from standard input, as a JSON object
    #[arg(long, conflicts_with = "payload_json")]
    #[serde(default)]
    pub from_stdin: bool,
    /// What is handed in. A review: {"agreement": …, "verdict": …, "rationale": …, "subagent_run": {…}}
    #[arg(long, value_name = "JSON", value_parser = values::json_object)]
    #[serde(default)]
    pub payload_json: Option<Map<String, Value>>,
    /// Which completion it is about
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// With --list: show what this reader may see
    #[arg(long, value_name = "ROLE", default_value_t = Reader::All)]
    #[serde(default = "everybody")]
    pub as_role: Reader,
    /// With --list: show what is proposed
    #[arg(long)]
    #[serde(default)]
    pub include_payload: bool,
}

fn everybody() -> Reader {
    Reader::All
}

/// What was recorded, or the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ContinuationReply {
    /// Proposals and reviews.
    Listed {
        /// The proposals, oldest first.
        continuations: Vec<ListedContinuation>,
        /// The reviews, oldest first.
        reviews: Vec<ContinuationReview>,
        /// The task.
        task: TaskSummary,
    },
    /// The verdict that was recorded.
    Reviewed(Box<RecordedReview>),
    /// The proposal that was recorded.
    Submitted(Continuation),
}

impl Call for ContinuationArgs {
    type Reply = ContinuationReply;

    fn changes_task(&self) -> Option<&str> {
        (!self.list).then_some(&self.task)
    }

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<ContinuationReply, Failure> {
        let (task, correlation_id) = (self.task, self.correlation_id);
        if self.list {
            let (reader, include_payload) = (self.as_role, self.include_payload);
            let list = ListContinuations { task, correlation_id, reader, include_payload };
            let list = hub.store.read(list).await?;
            let (continuations, reviews) = (list.continuations, list.reviews);
            return Ok(ContinuationReply::Listed { continuations, reviews, task: list.task.into() });
        }
        let payload = self.payload_json.ok_or_else(|| {
            Failure::usage(format!("there is nothing to hand in for task {task}"))
                .hint("pipe a JSON object in with --from-stdin, or give it with --payload-json")
        })?;
        if let Some(proposer) = self.submit {
            let submit = SubmitContinuation { task, proposer, payload, correlation_id };
            return Ok(ContinuationReply::Submitted(hub.store.write(submit).await?));
        }
        let review = Review::read(payload).map_err(|refusal| {
            refusal
                .hint(format!("how to hand it in: `conveyor continuation {} --review --help`", quoted(&task)))
        })?;
        let record = RecordReview { task, correlation_id, review };
        Ok(ContinuationReply::Reviewed(Box::new(hub.store.write(record).await?)))
    }
}

/// Have a command review what worker and manager propose to do next, and record its verdict
///
/// It reads what it may know as JSON from its standard input and answers with JSON: agreement, verdict,
/// rationale and, where something is to be done differently, addendum. It runs in a directory of its
/// own, with little environment, in a sandbox that keeps it from the rollouts of bound sessions, the
/// database and the state root. A failure, a timeout or another answer is recorded as the verdict stop.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ContinuationReviewerArgs {
    /// The task, by name or id
    pub task: String,
    /// Which completion the proposals are about
    #[arg(long, value_name = "ID")]
    pub correlation_id: String,
    /// The session that the command speaks for
    #[arg(long, value_name = "ID")]
    pub reviewer_session_id: String,
    /// The session of the manager, which cannot review its own proposal
    #[arg(long, value_name = "ID")]
    pub manager_session_id: String,
    /// Seconds the command may take
    #[arg(long, value_name = "SECONDS", default_value_t = Self::TIMEOUT)]
    #[serde(default = "ContinuationReviewerArgs::default_timeout")]
    pub timeout: Seconds,
    /// Only show what the command would be told
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
    /// The command and its arguments, to the end of the line
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true, required = true)]
    pub reviewer_command: Vec<String>,
}

impl ContinuationReviewerArgs {
    const TIMEOUT: Seconds = Seconds::whole(120);

    fn default_timeout() -> Seconds {
        Self::TIMEOUT
    }
}

/// A verdict, or what would be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ContinuationReviewerReply {
    /// What the command would be told.
    Planned {
        /// All of it.
        context: Value,
        /// The command.
        reviewer_command: Vec<String>,
    },
    /// The verdict that was recorded.
    Reviewed(Box<RecordedReview>),
}

impl Call for ContinuationReviewerArgs {
    type Reply = ContinuationReviewerReply;
    /// The command is the caller's.
    const PLACE: Place = Place::Caller;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<ContinuationReviewerReply, Failure> {
        if self.reviewer_session_id == self.manager_session_id {
            return Err(Failure::usage(format!(
                "nothing of task {} was reviewed: the manager cannot review its own proposal",
                self.task
            ))
            .hint("name another session with --reviewer-session-id"));
        }
        let (task, correlation_id) = (self.task, self.correlation_id);
        let get = GetReviewSubject { task: task.clone(), correlation_id: correlation_id.clone() };
        let subject = hub.store.read(get).await?;
        let context = reviewer::context(&subject, caller).await?;
        if self.dry_run {
            let reviewer_command = self.reviewer_command;
            return Ok(ContinuationReviewerReply::Planned { context, reviewer_command });
        }
        let reviewer = Reviewer {
            argv: self.reviewer_command,
            reviewer_session_id: self.reviewer_session_id,
            manager_session_id: self.manager_session_id,
            limit: self.timeout.duration(),
        };
        let review = reviewer.review(&context, &subject, &hub.paths, caller).await;
        let record = RecordReview { task, correlation_id: Some(correlation_id), review };
        Ok(ContinuationReviewerReply::Reviewed(Box::new(hub.store.write(record).await?)))
    }
}
