//! The export of a task.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, ToolKind};
use crate::actors::blocking::blocking;
use crate::actors::{Caller, Hub, export};
use crate::domain::Failure;
use crate::reports::export::{ReadBundle, Texts};
use crate::store::exports::RecordExport;

/// Write everything on record about a task into a directory
///
/// Messages, prompts and terminals are told of, with their length, and left out unless they are asked
/// for. Only the owner can read the files. What is there already is not touched.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ExportTaskArgs {
    /// The task, by name or id
    pub task: String,
    /// The directory [default: artifacts/tasks/TASK-ID/export in the state root]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write the archive DIR.zip as well
    #[arg(long)]
    #[serde(default)]
    pub zip: bool,
    /// With what was new on the terminals each time they were captured
    #[arg(long)]
    #[serde(default)]
    pub include_transcripts: bool,
    /// With the same as one text for each side, and the replay with it
    #[arg(long)]
    #[serde(default)]
    pub include_full_transcripts: bool,
    /// With messages, prompts and captured terminals
    #[arg(long)]
    #[serde(default)]
    pub include_content: bool,
}

/// What was written.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportTaskReply {
    /// The archive, when one was asked for.
    pub archive: Option<PathBuf>,
    /// The directory.
    pub export_dir: PathBuf,
    /// What is in it.
    pub manifest: Value,
    /// The task's name.
    pub task: String,
}

impl Call for ExportTaskArgs {
    type Reply = ExportTaskReply;
    const TOOL: ToolKind = ToolKind::Hidden;

    async fn serve(self, hub: &Hub, caller: &Caller) -> Result<ExportTaskReply, Failure> {
        let texts = Texts {
            transcripts: self.include_transcripts,
            full_transcripts: self.include_full_transcripts,
            content: self.include_content,
        };
        let read = ReadBundle { task: self.task, texts, now: Timestamp::now() };
        let bundle = hub.store.read(read).await?;
        let task = bundle.task.clone();
        let export_dir = match self.output {
            Some(output) => caller.cwd.join(output),
            None => hub.paths.state_root.join("artifacts/tasks").join(&task.id).join("export"),
        };
        let (directory, zip) = (export_dir.clone(), self.zip);
        let written = blocking(move || export::write(&bundle, texts, &directory, zip)).await??;
        let record = RecordExport {
            task_id: task.id,
            directory: export_dir.clone(),
            archive: written.archive.clone(),
            with_texts: texts.any(),
        };
        hub.store.write(record).await?;
        Ok(ExportTaskReply {
            archive: written.archive,
            export_dir,
            manifest: written.manifest,
            task: task.name,
        })
    }
}
