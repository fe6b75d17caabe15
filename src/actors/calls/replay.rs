//! What happened to a task, told in order.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind, values};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::time::{now_iso, parse_iso};
use crate::reports::replay::{self, Replay, ReplayFormat, ReplayOptions, ReplayRole};
use crate::store::history::{FindQuiet, ReadHistory};
use crate::store::page::Page;

/// Tell what happened to a task, in order
///
/// The timeline is the whole story: turns, facts, deliveries and their receipts, decisions, refusals,
/// criteria, exits, and the worker's silence. Messages and terminals are shown only with
/// --include-content.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ReplayArgs {
    /// The task, by name or id
    pub task: String,
    /// How it is told
    #[arg(long, value_name = "FORMAT", default_value = "timeline")]
    #[serde(default = "timeline")]
    pub format: ReplayFormat,
    /// Whose part
    #[arg(long, value_name = "ROLE", default_value = "all")]
    #[serde(default = "all")]
    pub role: ReplayRole,
    /// Tell at most this much of the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: Option<u32>,
    /// Tell nothing before this instant: `2h` ago, `22:30`, `yesterday`, `2026-05-11T08:00`
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    pub since: Option<String>,
    /// Tell nothing from this instant on
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    pub until: Option<String>,
    /// Show messages and terminals
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
    /// Show times as the clock here shows them
    #[arg(long)]
    #[serde(default)]
    pub local: bool,
    /// Go on telling what happens, until the task has ended
    #[arg(long, conflicts_with = "until")]
    #[serde(default)]
    pub follow: bool,
}

fn timeline() -> ReplayFormat {
    ReplayFormat::Timeline
}

fn all() -> ReplayRole {
    ReplayRole::All
}

impl ReplayArgs {
    /// Rows of each kind that are read, at least: with a role many of them may be left out.
    const ROWS: u32 = 200;

    fn options(&self) -> ReplayOptions {
        ReplayOptions {
            format: self.format,
            role: self.role,
            limit: self.limit,
            include_content: self.include_content,
        }
    }

    fn page(&self) -> Page {
        let instant = |text: &Option<String>| text.as_deref().and_then(parse_iso);
        let limit = self.limit.unwrap_or_default().max(Self::ROWS);
        Page { limit, since: instant(&self.since), until: instant(&self.until) }
    }
}

impl Call for ReplayArgs {
    type Reply = Replay;
    const TOOL: ToolKind = ToolKind::Reads;
    const NOT_FOR_TOOLS: &'static [&'static str] = &["local", "follow"];

    async fn serve(self, hub: &Hub, _: &Caller) -> Result<Replay, Failure> {
        let options = self.options();
        options.check()?;
        let page = self.page();
        let read = ReadHistory { task: self.task, page, include_content: self.include_content };
        let history = hub.store.read(read).await?;
        let task_id = history.audit.task.id.clone();
        let mut replay = Replay::of(history, &options);
        if options.format == ReplayFormat::Timeline {
            let now = now_iso();
            let gaps =
                replay::gaps(&replay, self.until.as_ref().filter(|until| **until < now).unwrap_or(&now));
            let found = hub.store.read(FindQuiet { task_id, gaps: gaps.clone() }).await?;
            replay::tell_silence(&mut replay, &gaps, &found);
            replay.cut(&options);
        }
        Ok(replay)
    }
}
