//! The way of an ended turn to the manager.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "dispatch-completion",
    purpose: "A turn that a worker ends becomes one fact and one notification, whoever looks and however often.",
    steps: &[
        Step::new(
            "Start a pair for which nobody dispatches",
            &[
                "conveyor pair --task qa-dispatch --task-goal 'End one turn' --worker-name qa-dispatch-worker --manager-name qa-dispatch-manager --task-prompt 'Say done.' --no-dispatch --accept-trust",
                "conveyor wait --session qa-dispatch-worker --for turn-end --since 0 --timeout 120 --json",
            ],
            "the turn ended, and the manager has heard nothing of it",
        ),
        Step::new(
            "Read the rollout twice",
            &[
                "conveyor ingest qa-dispatch-worker",
                "conveyor ingest qa-dispatch-worker",
                "conveyor tail qa-dispatch-worker --limit 5",
            ],
            "the second time nothing is new; `task_complete` is among the events",
        ),
        Step::new(
            "See what Dispatch would do, then let it",
            &[
                "conveyor dispatch --once --dry-run --dispatcher-id qa-dispatch",
                "conveyor dispatch --once --dispatcher-id qa-dispatch",
            ],
            "one `worker_task_complete` for the manager, first only announced, then carried out",
        ),
        Step::new(
            "Dispatch again",
            &["conveyor dispatch --once --dispatcher-id qa-dispatch-again"],
            "nothing is processed: the same turn is never told twice",
        ),
        Step::new(
            "See that it arrived",
            &[
                "conveyor wait --session qa-dispatch-manager --for delivery --timeout 60 --json",
                "conveyor deliveries --task qa-dispatch",
                "conveyor manager-inbox qa-dispatch --json",
            ],
            "one delivery to the manager with its receipt; the inbox shows the same item, not a second one",
        ),
        Step::new(
            "Queue something by hand, both ways",
            &[
                "conveyor enqueue-notify-manager qa-dispatch --message 'From the worker' --correlation-id qa-dispatch-1",
                "conveyor enqueue-nudge-worker qa-dispatch --message 'From the manager' --correlation-id qa-dispatch-1",
                "conveyor dispatch --once --dispatcher-id qa-dispatch",
                "conveyor commands --task qa-dispatch",
            ],
            "both commands succeeded, with one attempt each, under the same correlation id",
        ),
        Step::new(
            "Finish, and read the story",
            &[
                "conveyor finish-task qa-dispatch --reason 'The turn was routed once' --stop-manager --stop-worker",
                "conveyor audit qa-dispatch",
            ],
            "the turn, its notification, the commands and the finish in their order",
        ),
    ],
    expected_observations: &[
        "One ended turn makes one notification, with the id of the event it comes from.",
        "Neither reading the rollout again nor dispatching again makes a second one.",
        "A manager with a terminal is pushed to; one without finds the item in its inbox, marked `pull_required`.",
        "Dispatch says what happened and never what it is worth.",
    ],
    authority_boundaries: &[
        "Dispatch neither satisfies criteria nor finishes tasks.",
        "What is `unknown` is not sent again before a person or a receipt has settled it.",
    ],
    correlation_markers: &[
        "source_event_id: the event that the notification was made of",
        "correlation_id: the same on command, attempt, notification and delivery",
        "dispatcher_id: who claimed it",
    ],
    evidence_template: &[
        ("turn_event_id", "the event id of the worker's `task_complete`"),
        ("notification_id", "the one notification made of it"),
        ("delivery_state", "how its delivery ended, and by which receipt"),
        ("second_pass_count", "what the second pass processed: 0"),
    ],
    ..EMPTY
};
