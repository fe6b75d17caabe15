//! What becomes known about a session beside its turns.

use super::words::words;

words! {
    /// The kinds of facts about a session.
    SessionFactKind {
        /// The process that runs its thread is gone.
        Exited = "exited",
        /// Its terminal is gone; its app-server runs on.
        TerminalExited = "terminal_exited",
        /// It waits for an approval or an answer.
        Waiting = "waiting",
        /// A manager sits idle while its mailbox holds something.
        IdleWithMail = "idle_with_mail",
        /// Its rollout cannot be read, so that nothing becomes known of its turns.
        Unreadable = "unreadable",
    }
}

words! {
    /// The processes of a session.
    ProcessRole {
        /// The Codex that runs the thread, in a terminal or not.
        Codex = "codex",
        /// The app-server that runs the thread.
        AppServer = "app_server",
        /// A terminal attached to the app-server: a view, without which the session goes on.
        Terminal = "terminal",
    }
}

impl SessionFactKind {
    /// Whether somebody has to do something about it.
    pub fn needs_somebody(self) -> bool {
        self != Self::TerminalExited
    }

    /// The signal by which such a fact about a worker reaches its manager; none for what a manager
    /// has no use for.
    pub fn signal(self) -> Option<&'static str> {
        match self {
            Self::Exited => Some("session_exited"),
            Self::Waiting => Some("session_waiting"),
            Self::Unreadable => Some("session_unreadable"),
            Self::TerminalExited | Self::IdleWithMail => None,
        }
    }
}

impl ProcessRole {
    /// The fact that the end of such a process is.
    pub fn exit(self) -> SessionFactKind {
        match self {
            Self::Codex | Self::AppServer => SessionFactKind::Exited,
            Self::Terminal => SessionFactKind::TerminalExited,
        }
    }

    /// As it stands in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Codex => "Codex",
            Self::AppServer => "its app-server",
            Self::Terminal => "its terminal",
        }
    }
}
