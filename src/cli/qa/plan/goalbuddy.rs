//! A broad request as a parent task with one child task after the other.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "goalbuddy-conveyor",
    purpose: "A broad request becomes a parent task and thin vertical slices, done one after the other, each merged and challenged before the next.",
    starter_prompt: "Use the manage-codex-workers skill. Take this request apart with GoalBuddy and conveyor: one \
        parent board for the goal, and one child board for each vertical slice that is worth a pull request of its \
        own. Work on one child at a time. For each: say what it must do, have the worker build it, see its pull \
        request open, its checks green and its merge on main, and try to disprove it before you go on. Record \
        each as evidence. Look at main before each child: what is there already is satisfied, not done again. \
        Stop and ask me when a slice changes the goal, needs a permission that is not on record, or was refused \
        twice.",
    steps: &[
        Step::new(
            "Make the parent, with one criterion for each slice",
            &[
                "conveyor tasks --create qa-goal --goal 'The broad request, in one sentence'",
                "conveyor criteria qa-goal --add --criterion 'Slice 1 is on main' --source user_requested --status accepted",
                "conveyor criteria qa-goal --add --criterion 'Slice 2 is on main' --source user_requested --status accepted",
            ],
            "two accepted criteria; they are the parent's board",
        ),
        Step::new(
            "Make the first child, with its policy",
            &[
                "conveyor create-disposable-binding qa-goal-slice-1 --goal 'Slice 1: the thinnest one that works' --template pr_ci_merge_loop --run-name qa-goal-slice-1-loop --json",
                "conveyor manager-config qa-goal-slice-1 --mode strict --objective 'Slice 1 on main' --permit repo.open_pr --permit repo.merge_green_pr",
            ],
            "a pair, its hand-off text, and what the manager may do",
        ),
        Step::new(
            "Send the worker its slice",
            &[
                "conveyor enqueue-nudge-worker qa-goal-slice-1 --message 'Look at main first. If slice 1 is there, say where. Else build it, with a test that fails without it, and open a pull request.'",
                "conveyor dispatch --once --type nudge_worker",
                "conveyor worker-inbox qa-goal-slice-1 --consume-next --json",
            ],
            "the worker got the slice, and nothing of the others",
        ),
        Step::new(
            "Record what proves it",
            &[
                "conveyor loop-evidence add qa-goal-slice-1 --loop-run qa-goal-slice-1-loop --iteration 1 --evidence-type pr_url --proof 'The address of the pull request'",
                "conveyor loop-evidence add qa-goal-slice-1 --loop-run qa-goal-slice-1-loop --iteration 1 --evidence-type ci_green --proof 'The address of the checks'",
                "conveyor loop-evidence add qa-goal-slice-1 --loop-run qa-goal-slice-1-loop --iteration 1 --evidence-type merge --proof 'The merge commit'",
                "conveyor loop-evidence adversarial-check qa-goal-slice-1 --loop-run qa-goal-slice-1-loop --iteration 1 --failure-mode 'It only works in the test' --check 'Ran it by hand from a clean checkout of main' --result 'It works'",
                "conveyor loop-status qa-goal-slice-1 --run qa-goal-slice-1-loop",
            ],
            "nothing is missing for iteration 1",
        ),
        Step::new(
            "Close the child, and its criterion of the parent",
            &[
                "conveyor finish-task qa-goal-slice-1 --reason 'Slice 1 is on main' --require-criteria-audit --require-adversarial-proof",
                "conveyor criteria qa-goal --satisfy 1 --proof 'The merge commit of slice 1'",
            ],
            "the child is done; one criterion of the parent is left",
        ),
        Step::refused(
            "Try to finish the parent with a slice left",
            &["conveyor finish-task qa-goal --reason 'Nearly there' --require-criteria-audit"],
            "slice 2 is named",
        ),
        Step::new(
            "Go on with the next child in the same way, or defer it, and finish",
            &[
                "conveyor criteria qa-goal --defer 2 --rationale 'The person took slice 2 out'",
                "conveyor finish-task qa-goal --reason 'Slice 1 on main, slice 2 taken out' --require-criteria-audit",
                "conveyor audit qa-goal",
            ],
            "each slice's way to main or to its deferral; take criterion ids from the list when they differ",
        ),
    ],
    expected_observations: &[
        "At no time is more than one child open.",
        "Each child has a pull request, green checks, a merge and an adversarial check on record before the next begins.",
        "A slice that was on main already is satisfied with where it was found, without a new pull request.",
        "The parent cannot be finished while a slice is open.",
    ],
    acceptance_criteria: &[
        "Every slice is on main or deferred with a reason of the person's.",
        "Every slice was challenged by somebody who did not build it.",
        "The parent's audit and its children's tell the same story.",
    ],
    authority_boundaries: &[
        "The manager builds nothing itself.",
        "Only the person adds, changes or drops a slice.",
        "No merge that is not green, and none without its permission on record.",
        "After a second refusal of the same slice the person is asked.",
    ],
    correlation_markers: &[
        "parent task and child tasks: qa-goal, qa-goal-slice-1, …",
        "run_id and iteration: the evidence of one slice",
        "merge commit: the same on the child's receipt and on the parent's criterion",
    ],
    evidence_template: &[
        ("slice", "what it does, in one sentence"),
        ("child_task", "its task and its run"),
        ("pr_url", "the address of the pull request"),
        ("ci_green", "the address of the checks, and their result"),
        ("merge", "the merge commit, or where main had it already"),
        ("adversarial_check", "failure_mode, check and result"),
        ("parent_criterion", "the id of the parent's criterion it satisfies"),
    ],
    ..EMPTY
};
