//! One supervised pair, from its start to its end.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "self-management",
    purpose: "A manager session supervises a worker session through one small task, and everything is on record.",
    steps: &[
        Step::new(
            "See that the machine has what it takes",
            &["conveyor doctor", "conveyor db-doctor"],
            "every check passes: tmux, Codex, the directories, the database",
        ),
        Step::new(
            "Start the pair",
            &[
                "conveyor pair --task qa-self --task-goal 'Say what this directory is for' --worker-name qa-self-worker --manager-name qa-self-manager --task-prompt 'Say in one sentence what this directory is for. Change nothing.' --accept-trust",
            ],
            "a task, two sessions, their binding, and somebody who dispatches",
        ),
        Step::new(
            "See who is there and how each is reached",
            &[
                "conveyor sessions --name qa-self-worker --name qa-self-manager --json",
                "conveyor run --status",
            ],
            "both sessions active, each with at least one transport beside its mailbox; a supervisor alive",
        ),
        Step::new(
            "Wait for the worker's first turn, and look",
            &[
                "conveyor wait --session qa-self-worker --for turn-end --since 0 --timeout 120 --json",
                "conveyor cycle qa-self",
            ],
            "the turn's outcome is `completed`; the state is `idle`; the worker's last message is there",
        ),
        Step::new(
            "Steer it",
            &[
                "conveyor session-nudge qa-self-worker 'Say the same in three words.'",
                "conveyor wait --session qa-self-worker --for delivery --timeout 60 --json",
                "conveyor deliveries --task qa-self",
            ],
            "the nudge ends as `observed`, by the transport that was named before, with its receipt",
        ),
        Step::new(
            "Finish",
            &["conveyor finish-task qa-self --reason 'Both answers were given' --stop-manager --stop-worker"],
            "the task is done, the binding ended, both sessions were ended",
        ),
        Step::new(
            "Read what happened, and see that nothing is left",
            &[
                "conveyor audit qa-self",
                "conveyor sessions --state gone --name qa-self-worker --name qa-self-manager",
                "conveyor reconcile",
            ],
            "registration, binding, nudge, finish and both stops in their order; no session, binding or task that is stuck",
        ),
    ],
    expected_observations: &[
        "The worker's first turn is told to the manager once, without anybody asking for it.",
        "What the worker said is in the cycle, and each push has its receipt in the deliveries.",
        "After the finish neither a Codex process nor a tmux session of the pair is left.",
        "The audit tells the whole story without the terminals' text.",
    ],
    ..EMPTY
};
