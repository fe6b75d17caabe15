//! The words of a supervision contract, and the questions by which a person settles one.

use serde::{Deserialize, Serialize};

use super::permissions::Permission;
use super::words::words;

words! {
    /// How closely a manager supervises.
    SupervisionMode {
        /// Looks now and then.
        Light = "light",
        /// Checks against the criteria, suggests.
        Guided = "guided",
        /// Nothing goes on without proof.
        Strict = "strict",
    }
}

words! {
    /// What happens when the worker says that it is done.
    NudgeOnCompletion {
        /// Nothing.
        Off = "off",
        /// The operator is asked.
        AskOperator = "ask-operator",
        /// A reviewer looks first.
        AutoReview = "auto-review",
        /// The work goes on, also when the reviewer differs.
        AutoProceed = "auto-proceed",
    }
}

words! {
    /// A step that has to be done before a task is finished.
    EpilogueStep {
        /// Each expected tool answers.
        RunTools = "run-tools",
        /// The facts for a pull request are gathered.
        DraftPr = "draft-pr",
        /// A reviewer has given a verdict.
        SubagentReview = "subagent-review",
        /// The worker has written a handoff.
        RecordHandoff = "record-handoff",
    }
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// One of the choices.
    Choice,
    /// Any number of the choices.
    Choices,
    /// A text.
    Text,
    /// Any number of texts.
    Texts,
    /// Yes or no.
    YesNo,
}

/// A question whose answer is one field of a supervision contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The field it settles.
    pub id: String,
    /// What to ask.
    pub prompt: String,
    /// How an answer looks.
    #[serde(rename = "type")]
    pub kind: AnswerKind,
    /// What may be answered, where that is limited.
    pub choices: Vec<String>,
    /// What holds without an answer.
    pub default: Option<String>,
    /// The flag of `manager-config` that takes an answer.
    pub flag: String,
}

/// All questions, in the order to ask them.
pub fn questions() -> Vec<Question> {
    let texts = |id, flag, prompt| question(id, flag, AnswerKind::Texts, prompt);
    vec![
        Question {
            choices: words_of(SupervisionMode::ALL),
            default: Some(SupervisionMode::Guided.to_string()),
            ..question(
                "supervision_mode",
                "--mode",
                AnswerKind::Choice,
                "How closely should the worker be supervised?",
            )
        },
        question("objective", "--objective", AnswerKind::Text, "What should the manager see to?"),
        texts("guidelines", "--guideline", "Which rules should the worker follow?"),
        texts("acceptance_criteria", "--acceptance", "What must be true when the task is done?"),
        texts("reference_paths", "--reference", "Which files say what is wanted?"),
        Question {
            choices: Permission::all().map(|permission| permission.to_string()).collect(),
            ..question("permissions", "--permit", AnswerKind::Choices, "What may the manager do on its own?")
        },
        texts("tools", "--tool", "Which tools is the work expected to use?"),
        Question {
            choices: words_of(EpilogueStep::ALL),
            ..question(
                "epilogues",
                "--epilogue",
                AnswerKind::Choices,
                "What has to be done before the task is finished?",
            )
        },
        Question {
            choices: words_of(NudgeOnCompletion::ALL),
            default: Some(NudgeOnCompletion::AskOperator.to_string()),
            ..question(
                "nudge_on_completion",
                "--nudge-on-completion",
                AnswerKind::Choice,
                "What should happen when the worker says that it is done?",
            )
        },
        Question {
            default: Some("no".to_owned()),
            ..question(
                "require_acks",
                "--require-acks",
                AnswerKind::YesNo,
                "Must both sides acknowledge the contract before the work is observed or finished?",
            )
        },
    ]
}

fn question(id: &str, flag: &str, kind: AnswerKind, prompt: &str) -> Question {
    Question {
        id: id.into(),
        prompt: prompt.into(),
        kind,
        choices: Vec::new(),
        default: None,
        flag: flag.into(),
    }
}

fn words_of<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
