//! Rollouts written without a Codex.

pub(crate) use conveyor::codex::rollout::RolloutWriter as Rollout;
