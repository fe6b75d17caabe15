//! Which part of a long history is asked for.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values;
use crate::domain::time::parse_iso;
use crate::store::page::Page;

/// Which part of a long history is asked for: the newest rows within a stretch of time.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageArgs {
    /// Show at most this many of the newest, of each kind
    #[arg(long, value_name = "N", default_value_t = Self::LIMIT, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Show nothing before this instant: `2h` ago, `22:30`, `yesterday`, `2026-05-11T08:00`
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    pub since: Option<String>,
    /// Show nothing from this instant on
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    pub until: Option<String>,
}

impl PageArgs {
    const LIMIT: u32 = 200;
}

impl Default for PageArgs {
    fn default() -> Self {
        Self { limit: Self::LIMIT, since: None, until: None }
    }
}

impl From<&PageArgs> for Page {
    fn from(args: &PageArgs) -> Self {
        let instant = |text: &Option<String>| text.as_deref().and_then(parse_iso);
        Self { limit: args.limit, since: instant(&args.since), until: instant(&args.until) }
    }
}
