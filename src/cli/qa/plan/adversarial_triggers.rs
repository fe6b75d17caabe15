//! The wordings that arm a gate, and those that do not.

use super::{EMPTY, Plan, Step};
use crate::domain::triggers::TRIGGERS;

pub(super) const PLAN: Plan = Plan {
    scenario: "adversarial-triggers",
    purpose: "A few agreed wordings in a person's prompt arm a gate; caution in general arms none.",
    steps: &[
        Step::new(
            "See the wordings",
            &["conveyor loop-triggers --list"],
            "five triggers, each with its wording, its actions and prompts that sound alike",
        ),
        Step::new(
            "Try one that counts, and two that do not",
            &[
                "conveyor loop-triggers --classify 'Run this as an adversarially gated Ralph loop.'",
                "conveyor loop-triggers --classify 'Be adversarial in your review, but do not create a loop.'",
                "conveyor loop-triggers --classify 'Run tests before declaring this done.'",
            ],
            "only the first one matches",
        ),
        Step::new(
            "Make the policy that the first one asks for",
            &[
                "conveyor create-disposable-binding qa-triggers --goal 'Try the gates' --adversarial --run-name qa-triggers-loop --max-iterations 3 --json",
            ],
            "a run that requires adversarial_check",
        ),
        Step::new(
            "The gate before the next pass",
            &[
                "conveyor loop-triggers --classify 'Do not send the worker another iteration until adversarial proof exists.'",
                "conveyor enqueue-continue-iteration qa-triggers --loop-run qa-triggers-loop --requested-iteration 2 --message 'The next pass'",
                "conveyor dispatch --once --type continue_iteration",
            ],
            "`blocked` with missing_adversarial_check_evidence",
        ),
        Step::refused(
            "The gate before the finish",
            &["conveyor finish-task qa-triggers --reason 'Looks fine' --require-adversarial-proof"],
            "the missing proof is named, and the command that records it",
        ),
        Step::new(
            "The worker's own proof",
            &[
                "conveyor enqueue-nudge-worker qa-triggers --message 'Name the strongest realistic failure mode, check it, and record failure_mode, check and result.'",
                "conveyor loop-evidence adversarial-check qa-triggers --loop-run qa-triggers-loop --iteration 1 --source worker_proposed --failure-mode 'A gate opens by itself' --check 'Asked for the next pass before this receipt' --result 'It was blocked'",
            ],
            "a satisfied receipt whose source is `worker_proposed`",
        ),
        Step::new(
            "Criteria that could fail",
            &[
                "conveyor criteria qa-triggers --add --criterion 'No pass reaches the worker without proof of the one before' --source manager_inferred --status accepted",
                "conveyor criteria qa-triggers --list --status accepted",
            ],
            "the criterion says what must not happen",
        ),
        Step::new(
            "The gate opens for a fresh request",
            &[
                "conveyor enqueue-continue-iteration qa-triggers --loop-run qa-triggers-loop --requested-iteration 2 --message 'The next pass'",
                "conveyor dispatch --once --type continue_iteration",
                "conveyor worker-inbox qa-triggers --json",
            ],
            "the item is in the worker's inbox",
        ),
        Step::new(
            "Finish",
            &[
                "conveyor finish-task qa-triggers --reason 'Each gate held, then opened' --require-adversarial-proof",
                "conveyor audit qa-triggers",
            ],
            "the refused finish, the proof, and the finish that was let through",
        ),
    ],
    expected_observations: &[
        "Each wording is recognised whatever stands around it; each prompt that sounds alike is not.",
        "A gate lets nothing through before the proof, and a fresh request after it.",
        "A proof is failure_mode, check and result; a sentence that says `checked` is none.",
        "The same checks run by themselves with `qa-run adversarial-triggers`.",
    ],
    authority_boundaries: &["No policy and no gate is made because of a wording that is not on the list."],
    correlation_markers: &[
        "run_id: the loop's policy, on the request and on the receipt",
        "correlation_id: the blocked request, and the fresh one",
        "source: who proposed the proof",
    ],
    evidence_template: &[
        ("failure_mode", "the strongest realistic way in which the pass could be wrong"),
        ("check", "what was done to find out"),
        ("result", "what came out"),
    ],
    trigger_tasks: &TRIGGERS,
    ..EMPTY
};
