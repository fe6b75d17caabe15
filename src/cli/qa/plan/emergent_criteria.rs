//! Criteria that come up in the talk between worker and manager, and the gate they make.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "emergent-criteria",
    purpose: "Criteria are negotiated while the work goes on, and a finish waits until each one is settled.",
    steps: &[
        Step::new(
            "Start a pair that has no criteria yet",
            &[
                "conveyor pair --task qa-criteria --task-goal 'Explain the README' --worker-name qa-criteria-worker --manager-name qa-criteria-manager --task-prompt 'Read the README if there is one. Change nothing.' --accept-trust",
                "conveyor wait --session qa-criteria-worker --for turn-end --since 0 --timeout 120 --json",
                "conveyor cycle qa-criteria",
            ],
            "`criteria_negotiation` says that criteria are needed, because there are none",
        ),
        Step::new(
            "Ask the worker what should count as done",
            &[
                "conveyor session-nudge qa-criteria-worker 'Propose 2 to 4 acceptance criteria for this task: first what it must have, then what can follow later.'",
                "conveyor wait --session qa-criteria-worker --for delivery --timeout 60 --json",
            ],
            "the nudge ends as `observed`",
        ),
        Step::new(
            "Draft criteria from an answer; nothing is changed by it",
            &[
                "conveyor criteria-plan qa-criteria --from-text 'Must-have: the explanation names the purpose. Follow-up: it has an example.'",
                "conveyor criteria qa-criteria --list",
            ],
            "drafted `criteria --add` commands, and still an empty list",
        ),
        Step::new(
            "Record what was agreed",
            &[
                "conveyor criteria qa-criteria --add --criterion 'The explanation names the purpose' --source worker_proposed --status accepted",
                "conveyor criteria qa-criteria --add --criterion 'It has an example' --source worker_proposed --status accepted",
                "conveyor cycle qa-criteria",
            ],
            "two accepted criteria with their ids; the cycle shows both as open and asks for no negotiation",
        ),
        Step::refused(
            "Try to finish too early",
            &["conveyor finish-task qa-criteria --reason 'Looks fine' --require-criteria-audit"],
            "the open criteria are named, and the commands that settle them; task and binding are as before",
        ),
        Step::new(
            "Settle both, one with proof, one for later",
            &[
                "conveyor criteria qa-criteria --satisfy 1 --proof 'The first sentence of the answer'",
                "conveyor criteria qa-criteria --defer 2 --rationale 'An example is for the next task'",
            ],
            "`affected_criterion` is the one that was named; take the ids from the list when they differ",
        ),
        Step::new(
            "Finish, and see that nothing is left",
            &[
                "conveyor finish-task qa-criteria --reason 'Explained; the example is deferred' --require-criteria-audit --stop-manager --stop-worker",
                "conveyor audit qa-criteria",
                "conveyor sessions --state gone --name qa-criteria-worker --name qa-criteria-manager",
                "conveyor reconcile",
            ],
            "the criteria's way from their addition to the finish; the early finish as a failed command",
        ),
    ],
    expected_observations: &[
        "The need for criteria comes from the cycle, not from somebody's memory.",
        "A draft changes nothing; only `criteria --add` does.",
        "The early finish leaves everything as it was, and says what is missing.",
        "Who proposed a criterion, and what proved it, can be read afterwards.",
    ],
    ..EMPTY
};
