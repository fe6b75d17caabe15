//! Classify: what plain words on a screen tell.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, ToolKind, values};
use crate::actors::blocking::read_text;
use crate::actors::{Caller, Hub};
use crate::domain::Failure;
use crate::domain::busy_wait::DEFAULT_BUSY_WAIT_SECONDS;
use crate::domain::startup::Classification;

/// Try the screen classifiers on a text
///
/// For looking into why `cycle` reports a pattern, or does not. Reads standard input unless a text
/// or a file is given.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct ClassifyArgs {
    /// The screen's text
    #[arg(long, allow_hyphen_values = true, value_parser = values::text, conflicts_with = "file")]
    pub text: Option<String>,
    /// A file with the screen's text
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// How long ago the session's status changed, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_BUSY_WAIT_SECONDS)]
    pub status_age_seconds: u32,
    /// From which age a screen counts as standing still, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_BUSY_WAIT_SECONDS)]
    pub busy_wait_seconds: u32,
}

impl Call for ClassifyArgs {
    type Reply = Classification;
    const TOOL: ToolKind = ToolKind::Reads;

    async fn serve(self, _: &Hub, caller: &Caller) -> Result<Classification, Failure> {
        let screen = match (self.text, self.file) {
            (Some(text), _) => text,
            (None, Some(file)) => read_text(caller.cwd.join(file)).await.map_err(|failure| {
                failure.hint("--file takes a text file, e.g. what `tmux capture-pane -p` printed")
            })?,
            (None, None) => {
                return Err(Failure::usage("there is no text to classify")
                    .hint("give it with --text, --file or on standard input"));
            }
        };
        Ok(Classification::of(&screen, self.status_age_seconds, self.busy_wait_seconds))
    }
}
