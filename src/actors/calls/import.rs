//! Importing what the files of workers say.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::legacy::import::{Entry, WorkerFiles, read};
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::store::compat::{Content, Import, Item, NotYetImported};

/// Put on record what the files of workers say, which agent-conveyor kept before it had a database
///
/// Each thing is imported once, however often this is called. A file that is none of a worker's keeps
/// everything out. Without --apply it is only said what would be imported.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ImportCompatArgs {
    /// Import it
    #[arg(long)]
    #[serde(default)]
    pub apply: bool,
    /// Only this worker
    #[arg(long, value_name = "NAME")]
    pub worker: Option<String>,
    /// The directory with the workers' directories [default: the state root]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// What was, or would be, imported.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportReply {
    /// It was.
    pub apply: bool,
    /// Where the workers' directories are.
    pub root: String,
    /// How many there are.
    pub worker_count: usize,
    /// By name.
    pub workers: Vec<WorkerImport>,
}

/// What was imported of one worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerImport {
    /// Its name.
    pub worker: String,
    /// How much.
    pub action_count: usize,
    /// In the order of the files.
    pub actions: Vec<ImportAction>,
}

/// One thing that was imported, or left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportAction {
    /// What was done.
    pub action: String,
    /// The file.
    pub source: String,
    /// Whose; none for what was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The line, from 1, in a file that has one for each thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Call for ImportCompatArgs {
    type Reply = ImportReply;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<ImportReply, Failure> {
        let root = match self.root {
            Some(root) => caller.cwd.join(root),
            None => hub.paths.state_root.clone(),
        };
        let (directory, only) = (root.clone(), self.worker);
        let workers = blocking(move || read(&directory, only.as_deref())).await??;
        let mut items = Vec::new();
        let planned: Vec<Planned> =
            workers.into_iter().map(|worker| Planned::of(worker, &mut items)).collect();
        let done = match self.apply {
            true => hub.store.write(Import(items)).await?,
            false => hub.store.read(NotYetImported(items)).await?,
        };
        let workers: Vec<WorkerImport> = planned.into_iter().map(|worker| worker.told(&done)).collect();
        Ok(ImportReply {
            apply: self.apply,
            root: root.to_string_lossy().into_owned(),
            worker_count: workers.len(),
            workers,
        })
    }
}

/// The actions for one worker, each with the key of its item; those without one are always told.
struct Planned {
    worker: String,
    actions: Vec<(Option<String>, ImportAction)>,
}

impl Planned {
    fn of(files: WorkerFiles, items: &mut Vec<Item>) -> Self {
        let mut actions = Vec::with_capacity(files.entries.len());
        for entry in files.entries {
            actions.push(match entry {
                Entry::NoEvent { source, line } => {
                    let action = "skip_invalid_event".to_owned();
                    (None, ImportAction { action, source, worker: None, line: Some(line) })
                }
                Entry::Item(item, line) => {
                    let action = ImportAction {
                        action: name_of(&item.content).to_owned(),
                        source: item.source.clone(),
                        worker: Some(item.worker.clone()),
                        line,
                    };
                    let key = item.key.clone();
                    items.push(*item);
                    (Some(key), action)
                }
            });
        }
        Self { worker: files.name, actions }
    }

    fn told(self, done: &HashSet<String>) -> WorkerImport {
        let is_told = |key: &Option<String>| key.as_ref().is_none_or(|key| done.contains(key));
        let actions: Vec<ImportAction> =
            self.actions.into_iter().filter(|(key, _)| is_told(key)).map(|(_, action)| action).collect();
        WorkerImport { worker: self.worker, action_count: actions.len(), actions }
    }
}

fn name_of(content: &Content) -> &'static str {
    match content {
        Content::Worker(_) => "upsert_worker",
        Content::Status(_) => "insert_status",
        Content::Screen(_) => "insert_transcript_capture",
        Content::Event { .. } => "insert_event",
    }
}
