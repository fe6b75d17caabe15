//! The ways a text reaches a session, best first, and how a delivery ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to reach a session.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    /// `turn/start` on the session's app-server. Its receipt is exact.
    AppServer,
    /// `codex queue`. Stored by Codex; the session takes it when it is idle.
    CodexQueue,
    /// A bracketed paste into the session's pane, then Enter.
    Tmux,
    /// Nothing is pushed: the session asks.
    Mailbox,
}

impl TransportKind {
    /// The order in which transports are tried.
    pub const BEST_FIRST: [Self; 4] = [Self::AppServer, Self::CodexQueue, Self::Tmux, Self::Mailbox];

    /// The word in the database. On the command line it has hyphens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppServer => "app_server",
            Self::CodexQueue => "codex_queue",
            Self::Tmux => "tmux",
            Self::Mailbox => "mailbox",
        }
    }

    /// Reads [`TransportKind::as_str`] back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::BEST_FIRST.into_iter().find(|kind| kind.as_str() == word)
    }

    /// A comma-separated list, as it is stored; unknown words are left out.
    pub fn parse_list(list: &str) -> Vec<Self> {
        list.split(',').filter_map(|word| Self::parse(word.trim())).collect()
    }

    /// Writes a list the way [`TransportKind::parse_list`] reads it.
    pub fn format_list(kinds: &[Self]) -> String {
        kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of a session's ways in, from the database alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reachable {
    /// It has an app-server socket of ours.
    pub app_server: bool,
    /// It was started or adopted by us and may take `codex queue`.
    pub codex_queue: bool,
    /// It has a tmux session.
    pub tmux: bool,
    /// The only transports to use, in the order to try them; empty means all that are there.
    pub only: Vec<TransportKind>,
}

impl Reachable {
    /// The push transports to try, best first. Empty means that the mailbox has to do.
    pub fn pushes(&self) -> Vec<TransportKind> {
        let wanted = if self.only.is_empty() { &TransportKind::BEST_FIRST } else { &*self.only };
        wanted
            .iter()
            .copied()
            .filter(|kind| match kind {
                TransportKind::AppServer => self.app_server,
                TransportKind::CodexQueue => self.codex_queue,
                TransportKind::Tmux => self.tmux,
                TransportKind::Mailbox => false,
            })
            .collect()
    }

    /// [`Reachable::pushes`] and, as the last, the mailbox.
    pub fn transports(&self) -> Vec<TransportKind> {
        let mut transports = self.pushes();
        transports.push(TransportKind::Mailbox);
        transports
    }
}

/// The contract's word for how an item reached its target.
pub fn delivery_mode(pushed: bool) -> &'static str {
    if pushed { "push" } else { "pull_required" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_allowed_way_in_comes_first_and_the_mailbox_is_always_there() {
        let all = Reachable { app_server: true, codex_queue: true, tmux: true, only: Vec::new() };
        assert_eq!(all.transports(), TransportKind::BEST_FIRST);
        let only_tmux = Reachable { only: TransportKind::parse_list("tmux, nonsense"), ..all.clone() };
        assert_eq!(only_tmux.pushes(), [TransportKind::Tmux]);
        let tmux_first = Reachable { only: TransportKind::parse_list("tmux,app_server"), ..all.clone() };
        assert_eq!(tmux_first.pushes(), [TransportKind::Tmux, TransportKind::AppServer]);
        let only_mailbox = Reachable { only: vec![TransportKind::Mailbox], ..all };
        assert_eq!(only_mailbox.pushes(), []);
        assert_eq!(Reachable::default().transports(), [TransportKind::Mailbox]);
    }
}
