//! A bounded loop with evidence and permissions.

use super::{EMPTY, Plan, Step};

pub(super) const PLAN: Plan = Plan {
    scenario: "ralph-loop",
    purpose: "The same task is gone through in passes, and no pass starts before the one before it is proven.",
    steps: &[
        Step::new(
            "Make the pair and its policy",
            &[
                "conveyor loop-templates --show pr_ci_merge_loop",
                "conveyor create-disposable-binding qa-ralph --goal 'One pull request a pass' --template pr_ci_merge_loop --run-name qa-ralph-loop --max-iterations 2 --json",
            ],
            "a run that requires pr_url, ci_green, merge and adversarial_check; a hand-off text for the worker",
        ),
        Step::new(
            "Say what the manager may do, and see that it may do no more",
            &[
                "conveyor manager-config qa-ralph --mode strict --objective 'One pull request a pass' --permit repo.open_pr --permit worker_session.clear",
                "conveyor manager-permission qa-ralph repo.open_pr --require",
            ],
            "opening a pull request is granted, and the question is on record",
        ),
        Step::refused(
            "Ask for what was not granted",
            &["conveyor manager-permission qa-ralph repo.merge_green_pr --require"],
            "denied, and who can grant it",
        ),
        Step::new(
            "Ask for the second pass without proof of the first",
            &[
                "conveyor enqueue-continue-iteration qa-ralph --loop-run qa-ralph-loop --requested-iteration 2 --message 'Look first: if the last pass is merged, say so and stop. Else open the next pull request.'",
                "conveyor dispatch --once --type continue_iteration",
                "conveyor worker-inbox qa-ralph --json",
            ],
            "the request is `blocked` with all four kinds of evidence missing; the worker's inbox stays empty",
        ),
        Step::new(
            "Record the evidence of the first pass",
            &[
                "conveyor loop-evidence add qa-ralph --loop-run qa-ralph-loop --iteration 1 --evidence-type pr_url --proof 'The address of the pull request'",
                "conveyor loop-evidence add qa-ralph --loop-run qa-ralph-loop --iteration 1 --evidence-type ci_green --proof 'The address of the run, and its result'",
                "conveyor loop-evidence add qa-ralph --loop-run qa-ralph-loop --iteration 1 --evidence-type merge --proof 'The merge commit'",
                "conveyor loop-evidence adversarial-check qa-ralph --loop-run qa-ralph-loop --iteration 1 --failure-mode 'The change is not on main' --check 'git log origin/main' --result 'The merge commit is there'",
                "conveyor loop-status qa-ralph --run qa-ralph-loop",
            ],
            "four receipts of iteration 1, none of them missing",
        ),
        Step::new(
            "Ask again",
            &[
                "conveyor enqueue-continue-iteration qa-ralph --loop-run qa-ralph-loop --requested-iteration 2 --message 'Look first: if the last pass is merged, say so and stop. Else open the next pull request.'",
                "conveyor dispatch --once --type continue_iteration",
                "conveyor worker-inbox qa-ralph --consume-next --json",
            ],
            "the request is delivered; the item carries `loop_policy` and `ralph_loop`, so that the worker knows the rules",
        ),
        Step::new(
            "Ask for a pass past the last one",
            &[
                "conveyor enqueue-continue-iteration qa-ralph --loop-run qa-ralph-loop --requested-iteration 3 --message 'Once more'",
                "conveyor dispatch --once --type continue_iteration",
            ],
            "`blocked` with max_iterations_reached",
        ),
        Step::refused(
            "Ask for the pass that is under way",
            &[
                "conveyor enqueue-continue-iteration qa-ralph --loop-run qa-ralph-loop --requested-iteration 1 --message 'The first again'",
            ],
            "refused before it is queued",
        ),
        Step::new(
            "Hand over, and finish",
            &[
                "conveyor handoff qa-ralph --summary 'Two passes, one merged' --next-step 'Nothing'",
                "conveyor finish-task qa-ralph --reason 'The loop has had its passes' --require-criteria-audit --require-adversarial-proof",
                "conveyor audit qa-ralph",
            ],
            "every request, refusal and receipt of the loop in its order",
        ),
    ],
    expected_observations: &[
        "A pass without proof of the one before never reaches the worker.",
        "A blocked request is on record with its reason; a fresh one is needed after the proof.",
        "Each pass starts with looking: what is merged already is not done again.",
        "Opening, merging and clearing each need their own permission.",
    ],
    acceptance_criteria: &[
        "Two passes at the most, each with its pull request, green checks, merge and adversarial check.",
        "The second pass begins after the worker's context was cleared.",
    ],
    authority_boundaries: &[
        "No pull request, merge or clearing without its permission on record.",
        "No further pass because the work looks unfinished: the policy decides.",
    ],
    correlation_markers: &[
        "run_id: the loop's policy, on every receipt and request",
        "iteration: the pass that a receipt is about",
        "correlation_id: one request with its attempt and its item in the inbox",
    ],
    evidence_template: &[
        ("run_id", "the loop's run"),
        ("iteration", "the pass"),
        ("pr_url", "the address of the pull request"),
        ("ci_green", "the address of the checks, and their result"),
        ("merge", "the merge commit"),
        ("adversarial_check", "failure_mode, check and result"),
        ("blocked_reason", "why a request was not delivered, if one was not"),
    ],
    ..EMPTY
};
