//! Who plays in a demonstration.

use clap::Args;

/// Who plays, and how messages reach them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(super) struct Cast {
    /// Use the real Codex with your own configuration; this spends model tokens
    #[arg(long)]
    pub(super) codex: bool,
    /// Do without tmux: the scripted sessions poll their mailboxes, Codex has no terminals
    #[arg(long)]
    pub(super) no_tmux: bool,
}

impl Cast {
    /// As flags of the keeper.
    pub(super) fn flags(self) -> Vec<String> {
        let flags = [(self.codex, "--codex"), (self.no_tmux, "--no-tmux")];
        flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag.to_owned()).collect()
    }

    /// One word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self { codex: true, .. } => "codex",
            Self { no_tmux: true, .. } => "mailbox",
            Self { .. } => "tmux",
        }
    }
}
