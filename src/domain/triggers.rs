//! The few wordings by which a person asks for a loop, a gate or a proof. Everything else, however
//! cautious it sounds, asks for nothing.

use serde::Serialize;

use super::criteria::ADVERSARIAL_CHECK;

/// A thing that can be asked for, and the wordings that ask for it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// What it is called.
    pub name: &'static str,
    /// What is asked for.
    pub intent: &'static str,
    /// The wording to teach people.
    pub canonical_phrase: &'static str,
    /// When it is done.
    pub acceptance: &'static str,
    /// The commands that do it.
    pub operator_actions: &'static [&'static str],
    /// Evidence that a loop made for it requires.
    pub required_before_continue: &'static [&'static str],
    /// Wordings that sound alike and ask for nothing.
    pub negative_controls: &'static [&'static str],
    /// Every wording, in lower case and with single spaces.
    #[serde(skip)]
    wordings: &'static [&'static str],
}

/// All triggers, in the order in which they are tried.
pub const TRIGGERS: [Trigger; 5] = [
    Trigger {
        name: "loop-gate-trigger",
        intent: "create_loop_policy",
        canonical_phrase: "Run this as an adversarially gated Ralph loop.",
        acceptance: "A loop policy that requires adversarial evidence exists before the worker's second pass.",
        operator_actions: &[
            "loop-triggers --classify '<prompt>' --json",
            "create-disposable-binding <task> --adversarial, or loop-templates --create-run <task> --template <template>",
            "enqueue-continue-iteration <task> --loop-run <run> --requested-iteration 2",
        ],
        required_before_continue: &[ADVERSARIAL_CHECK],
        negative_controls: &[
            "Run tests before declaring this done.",
            "Be adversarial in your review, but do not create a loop.",
        ],
        wordings: &[
            "run this as an adversarially gated ralph loop",
            "run this as an adversarial gated ralph loop",
            "run this as an adversarially gated loop",
            "run this as an adversarial gated loop",
        ],
    },
    Trigger {
        name: "iteration-gate-trigger",
        intent: "gate_next_iteration",
        canonical_phrase: "Do not send the worker another iteration until adversarial proof exists.",
        acceptance: "Dispatch blocks the next pass until an adversarial check is recorded, and then delivers a fresh request.",
        operator_actions: &[
            "enqueue-continue-iteration <task> --loop-run <run> --requested-iteration <next>",
            "dispatch --once --type continue_iteration",
            "record the proof with loop-evidence when the pass is blocked, then queue the request again",
        ],
        required_before_continue: &[ADVERSARIAL_CHECK],
        negative_controls: &[
            "Ask the worker for another iteration.",
            "Send the next iteration when the tests are green again.",
        ],
        wordings: &[
            "do not send the worker another iteration until adversarial proof exists",
            "don't send the worker another iteration until adversarial proof exists",
            "require adversarial proof before another worker iteration",
            "require adversarial proof before the worker gets another iteration",
            "require adversarial proof before the next worker iteration",
        ],
    },
    Trigger {
        name: "finish-gate-trigger",
        intent: "require_finish_adversarial_proof",
        canonical_phrase: "Do not finish until you have tried to disprove it.",
        acceptance: "The task is not finished before a satisfied adversarial check is on record.",
        operator_actions: &[
            "criteria <task> --add, then --satisfy with evidence_type adversarial_check",
            "finish-task <task> --require-adversarial-proof",
        ],
        required_before_continue: &[],
        negative_controls: &[
            "Do not mark this done until tests pass.",
            "Finish this when the build is green and reviewed.",
        ],
        wordings: &[
            "do not finish until you have tried to disprove it",
            "don't finish until you have tried to disprove it",
            "do not finish this until you have tried to disprove it",
            "do not finish the task until you have tried to disprove it",
            "do not mark this done until you have tried to disprove it",
            "do not call this done until you have tried to disprove it",
            "require adversarial proof before finishing",
            "require adversarial proof before finish",
        ],
    },
    Trigger {
        name: "worker-directed-trigger",
        intent: "request_worker_adversarial_proof",
        canonical_phrase: "Ask the worker to identify the strongest realistic failure mode and prove it is handled.",
        acceptance: "The worker's own adversarial check is on record, proposed by the worker.",
        operator_actions: &[
            "enqueue-nudge-worker <task>, asking for failure_mode, check and result",
            "loop-evidence adversarial-check <task> --source worker_proposed",
        ],
        required_before_continue: &[],
        negative_controls: &[
            "Ask the worker to double-check the work before the next step.",
            "Ask the worker what else might go wrong with this.",
        ],
        wordings: &[
            "ask the worker to identify the strongest realistic failure mode and prove it is handled",
            "before continuing, record the strongest realistic failure mode, the check, and the result",
        ],
    },
    Trigger {
        name: "acceptance-criteria-trigger",
        intent: "create_adversarial_acceptance_criteria",
        canonical_phrase: "Each loop must include adversarial acceptance criteria from manager to worker.",
        acceptance: "Criteria that could fail are on record, inferred by the manager, and sent to the worker.",
        operator_actions: &[
            "criteria <task> --add --criterion '<what must not happen>' --source manager_inferred --status accepted",
            "enqueue-nudge-worker <task> with the criteria as its message",
        ],
        required_before_continue: &[],
        negative_controls: &[
            "Each loop should have acceptance criteria.",
            "Add acceptance criteria for the worker to this task.",
        ],
        wordings: &[
            "each loop must include adversarial acceptance criteria from manager to worker",
            "each loop must include adversarial acceptance criteria from the manager to the worker",
            "each loop must include adversarial acceptance criteria",
            "include adversarial acceptance criteria in each loop",
        ],
    },
];

/// The trigger that a prompt contains, whatever the case and the spaces.
pub fn classify(prompt: &str) -> Option<&'static Trigger> {
    let prompt = prompt.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    const { &TRIGGERS }.iter().find(|trigger| trigger.wordings.iter().any(|wording| prompt.contains(wording)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prompt: &str, expect: Option<&str>) {
        assert_eq!(classify(prompt).map(|trigger| trigger.name), expect, "{prompt}");
    }

    #[test]
    fn a_wording_is_found_whatever_surrounds_it() {
        check("please RUN this as an adversarial   gated loop now", Some("loop-gate-trigger"));
        check("Require adversarial proof before another\nworker iteration.", Some("iteration-gate-trigger"));
        check("Fix it. Do not finish until you have tried to disprove it!", Some("finish-gate-trigger"));
        check(
            "Before continuing, record the strongest realistic failure mode, the check, and the result",
            Some("worker-directed-trigger"),
        );
    }

    #[test]
    fn caution_asks_for_nothing() {
        check("be careful and run tests", None);
        check("", None);
        for trigger in &TRIGGERS {
            for control in trigger.negative_controls {
                check(control, None);
            }
        }
    }

    #[test]
    fn a_near_miss_asks_for_nothing() {
        let near = [
            "Run this as a Ralph loop.",
            "Run this as a gated loop.",
            "Run it as an adversarially gated loop.",
            "Run this as an adversarially-gated loop.",
            "Run this as an adversarially gated review.",
            "Run this as an adversarially, gated loop.",
            "Run this as adversarially gated loop.",
            "This ran as an adversarially gated loop yesterday.",
            "What does an adversarially gated Ralph loop do?",
            "Do not send the worker another iteration.",
            "Do not send the worker another iteration until the tests pass.",
            "Do not send another iteration until adversarial proof exists.",
            "Send the worker another iteration once adversarial proof exists.",
            "Require proof before another worker iteration.",
            "Require adversarial proof before another iteration.",
            "Require adversarial review before another worker iteration.",
            "Adversarial proof before another worker iteration would be nice.",
            "Do not finish until it works.",
            "Do not finish until you have tried it.",
            "Do not finish until you have tried to prove it.",
            "Finish when you have tried to disprove it.",
            "Try to disprove it before you finish.",
            "Do not mark this done until it is reviewed.",
            "Require proof before finishing.",
            "Require adversarial proof.",
            "Ask the worker to identify the strongest realistic failure mode.",
            "Ask the worker to identify a failure mode and prove it is handled.",
            "Ask the worker for the strongest realistic failure mode and a fix.",
            "Before continuing, record the failure mode, the check, and the result.",
            "Record the strongest realistic failure mode, the check, and the result.",
            "Each loop must include acceptance criteria from manager to worker.",
            "Each loop may include adversarial acceptance criteria.",
            "Include adversarial acceptance criteria.",
            "Every loop must include adversarial acceptance criteria.",
            "The loop must be adversarial.",
        ];
        near.iter().for_each(|prompt| check(prompt, None));
    }

    #[test]
    fn a_wording_counts_wherever_it_stands_and_the_first_of_several_wins() {
        check("Never run this as an adversarially gated loop.", Some("loop-gate-trigger"));
        check(
            "Do not finish until you have tried to disprove it, and run this as an adversarial gated loop.",
            Some("loop-gate-trigger"),
        );
    }

    #[test]
    fn every_trigger_is_reached_by_its_own_wordings() {
        for trigger in &TRIGGERS {
            check(trigger.canonical_phrase, Some(trigger.name));
            for wording in trigger.wordings {
                check(wording, Some(trigger.name));
            }
        }
    }
}
