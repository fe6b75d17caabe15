//! What a session may do unasked: Codex's sandbox and approval modes.

use serde::{Deserialize, Serialize};

/// Codex's `--sandbox`: what the commands of a session may touch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Read files, write nothing, open no socket.
    ReadOnly,
    /// Also write the working directory and `/tmp`.
    WorkspaceWrite,
    /// No sandbox.
    DangerFullAccess,
}

impl SandboxMode {
    /// The word Codex knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

/// Codex's `--ask-for-approval`: when a session asks a person.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// Before every command that is not known to be harmless. Codex 0.169 takes it by RPC only.
    Untrusted,
    /// After a command failed in the sandbox. Older Codex only.
    OnFailure,
    /// When the model asks for it.
    OnRequest,
    /// Never: what the sandbox forbids fails.
    Never,
}

impl ApprovalPolicy {
    /// The word Codex knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::OnFailure => "on-failure",
            Self::OnRequest => "on-request",
            Self::Never => "never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn the_command_line_and_the_protocol_use_the_same_words() {
        fn check(on_the_command_line: &str, in_the_protocol: impl Serialize, as_str: &str) {
            assert_eq!(on_the_command_line, as_str);
            assert_eq!(serde_json::to_value(in_the_protocol).unwrap(), as_str);
        }
        for mode in SandboxMode::value_variants() {
            check(mode.to_possible_value().unwrap().get_name(), mode, mode.as_str());
        }
        for policy in ApprovalPolicy::value_variants() {
            check(policy.to_possible_value().unwrap().get_name(), policy, policy.as_str());
        }
    }
}
