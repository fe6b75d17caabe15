//! A terminal that disappears.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "tmux-errors",
    purpose: "When a worker's terminal is gone, looking still answers, acting is refused with a reason, and the records are put right.",
    steps: &[
        Step::new(
            "Start a worker that lives in its terminal, and a manager without one",
            &[
                "conveyor start-worker --name qa-tmux-worker --recipe embedded --transport tmux --accept-trust --task 'Say that you are ready.'",
                "conveyor start-manager --name qa-tmux-manager --no-tmux",
                "conveyor tasks --create qa-tmux --goal 'Lose a terminal'",
                "conveyor bind --task qa-tmux --worker qa-tmux-worker --manager qa-tmux-manager",
            ],
            "the worker's tmux session is codex-qa-tmux-worker",
        ),
        Step::new(
            "Look while it is there",
            &["conveyor cycle qa-tmux", "conveyor transcript-capture qa-tmux --role worker --mode excerpt"],
            "the screen was captured",
        ),
        Step::new(
            "Take the terminal away",
            &["tmux kill-session -t =codex-qa-tmux-worker"],
            "nothing: conveyor was not asked",
        ),
        Step::new(
            "Look again",
            &["conveyor cycle qa-tmux", "conveyor sessions --state all --name qa-tmux-worker --json"],
            "an answer, not an error: `worker_alive` is false, and the screen says why it could not be captured",
        ),
        Step::refused(
            "Try to act on what is gone",
            &[
                "conveyor session-nudge qa-tmux-worker 'Are you there?'",
                "conveyor session-interrupt qa-tmux-worker",
            ],
            "the session and its terminal are named, and what to do next; nothing was sent",
        ),
        Step::new(
            "See what does not fit together, and put it right",
            &[
                "conveyor deliveries --session qa-tmux-worker",
                "conveyor reconcile",
                "conveyor reconcile --apply",
                "conveyor sessions --state gone --name qa-tmux-worker",
            ],
            "the dead process and the binding it leaves; after --apply the session is `gone` and the binding `invalid`",
        ),
        Step::new(
            "Clear up",
            &["conveyor stop qa-tmux-manager", "conveyor stop-task qa-tmux --reason 'The terminal is gone'"],
            "the task is over, and no process of it is left",
        ),
    ],
    expected_observations: &[
        "Commands that only look answer in JSON, also without the terminal.",
        "Commands that act fail with exit code 1 and name the session; none of them says that it delivered something.",
        "The attempts are on record as failed, not as done.",
        "`reconcile` shows first, and changes only with --apply.",
    ],
    ..EMPTY
};
