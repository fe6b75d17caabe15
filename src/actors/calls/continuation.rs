//! Continuations: propose what comes next, review the proposals, list them.

use clap::{ArgGroup, Args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::summary::TaskSummary;
use super::{Call, values};
use crate::actors::{Caller, Hub};
use crate::domain::continuation::{Reader, Review};
use crate::domain::{Failure, Role};
use crate::store::continuations::{
    Continuation, ContinuationReview, ListContinuations, ListedContinuation, RecordReview, RecordedReview,
    SubmitContinuation,
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
            Failure::usage("there is nothing to hand in")
                .hint("pipe a JSON object in with --from-stdin, or give it with --payload-json")
        })?;
        if let Some(proposer) = self.submit {
            let submit = SubmitContinuation { task, proposer, payload, correlation_id };
            return Ok(ContinuationReply::Submitted(hub.store.write(submit).await?));
        }
        let record = RecordReview { task, correlation_id, review: Review::read(payload)? };
        Ok(ContinuationReply::Reviewed(Box::new(hub.store.write(record).await?)))
    }
}
