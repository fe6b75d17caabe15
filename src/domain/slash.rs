//! The commands of Codex itself that a worker may be sent.

use super::words::words;

words! {
    /// A command that Codex carries out itself, typed into its composer.
    SlashCommand {
        /// Sum up the conversation and go on with the summary.
        Compact = "/compact",
        /// Go on in a new, empty conversation.
        Clear = "/clear",
    }
}
