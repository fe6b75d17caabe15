//! The busy-wait classifier: words on a screen that stands still which ask for attention.
//!
//! A shadow signal by plain words, kept as agent-conveyor had it, with today's wordings beside the
//! old ones. What Codex is doing is told by its rollout, and by `codex::pane` for its screen.

use serde::{Deserialize, Serialize};

/// Status age in seconds from which a screen counts as standing still.
pub const DEFAULT_BUSY_WAIT_SECONDS: u32 = 90;

/// Rollout events per look from which a session counts as lively, whatever its status age.
const LIVELY_EVENTS: u64 = 10;

/// Lines at the end of the screen in which an approval prompt is looked for.
const APPROVAL_LINES: usize = 12;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// MCP servers are being started.
    McpStartup,
    /// A rate limit is near and another model is offered.
    RateLimitPrompt,
    /// Something waits for Enter.
    EnterToConfirm,
    /// The directory is not trusted yet.
    TrustPrompt,
    /// A plan waits for a decision.
    PlanPrompt,
    /// Something waits for permission.
    ApprovalPrompt,
    /// A turn has been running for long and can be interrupted.
    LongRunningInterruptible,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecommendedAction {
    /// Look, then let it be or interrupt.
    InspectOrInterrupt,
    /// Look, then confirm.
    InspectOrConfirm,
    /// Look, then accept the trust question.
    InspectOrAcceptTrust,
    /// Look, then approve.
    InspectOrApprove,
}

/// A pattern found on a screen. Serialises to `{pattern, reason, recommended_action}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyWait {
    /// What was seen.
    pub pattern: Pattern,
    /// One sentence for a person.
    pub reason: String,
    /// What to do about it.
    pub recommended_action: RecommendedAction,
}

/// When the session last said something, beside its screen.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    /// Seconds since its status last changed; `None` when it never had one.
    pub status_age_seconds: Option<f64>,
    /// Age from which it counts as standing still.
    pub busy_wait_seconds: f64,
    /// Rollout events that arrived with this look.
    pub recent_events: u64,
}

impl Quiet {
    fn is_fresh(&self) -> bool {
        self.status_age_seconds.is_some_and(|age| age < self.busy_wait_seconds)
    }
}

/// Questions, in lower case, by which Codex asks for trust in a directory: before 0.169 and since.
pub(super) const TRUST_QUESTIONS: [&str; 2] =
    ["do you trust the contents of this directory", "trust this folder?"];

/// Words, in lower case, any of which shows the pattern. The first pattern that fits counts.
const WORDS: [(Pattern, &[&str]); 5] = [
    (Pattern::McpStartup, &["starting mcp servers"]),
    (Pattern::RateLimitPrompt, &["approaching rate limits"]),
    (Pattern::EnterToConfirm, &["press enter to confirm"]),
    (Pattern::TrustPrompt, &TRUST_QUESTIONS),
    (Pattern::PlanPrompt, &["create a plan?", "implement this plan?"]),
];

/// The pattern on `screen`; `None` while its session is fresh or when nothing is found.
pub fn classify(screen: &str, quiet: &Quiet) -> Option<BusyWait> {
    if quiet.is_fresh() {
        return None;
    }
    let screen = screen.to_lowercase();
    let worded = WORDS.iter().find(|(_, words)| words.iter().any(|word| screen.contains(word)));
    if let Some((pattern, _)) = worded {
        return Some(pattern.finding());
    }
    if asks_for_approval(&screen) {
        return Some(Pattern::ApprovalPrompt.finding());
    }
    let runs_long = quiet.status_age_seconds.is_some() && quiet.recent_events < LIVELY_EVENTS;
    (runs_long && screen.contains("esc to interrupt")).then(|| Pattern::LongRunningInterruptible.finding())
}

fn asks_for_approval(screen: &str) -> bool {
    let lines = screen.lines().rev().filter(|line| !line.trim().is_empty()).take(APPROVAL_LINES);
    let asking: Vec<&str> = lines.filter(|line| !quotes_this_classifier(line)).collect();
    let says =
        |phrases: &[&str]| asking.iter().any(|line| phrases.iter().any(|phrase| has_words(line, phrase)));
    says(&["approve", "approval"])
        && says(&["allow", "deny", "permission", "requires approval", "needs approval", "approve command"])
}

/// A session that prints what `cycle` told it does not ask for anything by that.
fn quotes_this_classifier(line: &str) -> bool {
    Pattern::ALL.iter().any(|pattern| {
        line.contains(pattern.as_str()) || line.contains(pattern.recommended_action().as_str())
    })
}

/// Whether `line` contains `phrase` as whole words: `approve`, but not `approved`.
fn has_words(line: &str, phrase: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(phrase).any(|(start, found)| {
        let before = line[..start].chars().next_back();
        let after = line[start + found.len()..].chars().next();
        !is_word(before) && !is_word(after)
    })
}

impl Pattern {
    const ALL: [Self; 7] = [
        Self::McpStartup,
        Self::RateLimitPrompt,
        Self::EnterToConfirm,
        Self::TrustPrompt,
        Self::PlanPrompt,
        Self::ApprovalPrompt,
        Self::LongRunningInterruptible,
    ];

    /// The name in JSON, in the database and as `notable_pane_pattern`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::McpStartup => "mcp_startup",
            Self::RateLimitPrompt => "rate_limit_prompt",
            Self::EnterToConfirm => "enter_to_confirm",
            Self::TrustPrompt => "trust_prompt",
            Self::PlanPrompt => "plan_prompt",
            Self::ApprovalPrompt => "approval_prompt",
            Self::LongRunningInterruptible => "long_running_interruptible",
        }
    }

    fn finding(self) -> BusyWait {
        BusyWait {
            pattern: self,
            reason: self.reason().to_owned(),
            recommended_action: self.recommended_action(),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::McpStartup => "MCP servers are still being started",
            Self::RateLimitPrompt => "a rate limit is near and a choice of model is offered",
            Self::EnterToConfirm => "the screen waits for Enter",
            Self::TrustPrompt => "the screen asks whether this directory is trusted",
            Self::PlanPrompt => "a plan waits for a decision",
            Self::ApprovalPrompt => "the screen asks for permission",
            Self::LongRunningInterruptible => "a turn has run without news for longer than the threshold",
        }
    }

    fn recommended_action(self) -> RecommendedAction {
        match self {
            Self::McpStartup | Self::RateLimitPrompt | Self::LongRunningInterruptible => {
                RecommendedAction::InspectOrInterrupt
            }
            Self::EnterToConfirm | Self::PlanPrompt => RecommendedAction::InspectOrConfirm,
            Self::TrustPrompt => RecommendedAction::InspectOrAcceptTrust,
            Self::ApprovalPrompt => RecommendedAction::InspectOrApprove,
        }
    }
}

impl RecommendedAction {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InspectOrInterrupt => "inspect_or_interrupt",
            Self::InspectOrConfirm => "inspect_or_confirm",
            Self::InspectOrAcceptTrust => "inspect_or_accept_trust",
            Self::InspectOrApprove => "inspect_or_approve",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Quiet = Quiet { status_age_seconds: Some(90.0), busy_wait_seconds: 90.0, recent_events: 0 };

    fn found(screen: &str, quiet: &Quiet) -> Option<(&'static str, &'static str)> {
        classify(screen, quiet).map(|found| (found.pattern.as_str(), found.recommended_action.as_str()))
    }

    fn check(screen: &str, expect: Option<(&str, &str)>) {
        assert_eq!(found(screen, &STALE), expect, "{screen}");
    }

    #[test]
    fn every_pattern_is_found_by_its_words() {
        check("Starting MCP servers (0/2)", Some(("mcp_startup", "inspect_or_interrupt")));
        check("  Approaching rate limits", Some(("rate_limit_prompt", "inspect_or_interrupt")));
        check("Press enter to confirm or esc to cancel", Some(("enter_to_confirm", "inspect_or_confirm")));
        let trust = Some(("trust_prompt", "inspect_or_accept_trust"));
        check("Do you trust the contents of this directory?", trust);
        check("  Trust this folder? Codex can read", trust);
        check("Create a plan? yes", Some(("plan_prompt", "inspect_or_confirm")));
        check("  Implement this plan?", Some(("plan_prompt", "inspect_or_confirm")));
        let approval = Some(("approval_prompt", "inspect_or_approve"));
        check("This command requires approval. Allow or deny?", approval);
        check("Approve command?\n\n\n", approval);
        check(
            "◦ Working (5m • esc to interrupt)",
            Some(("long_running_interruptible", "inspect_or_interrupt")),
        );
        check("all quiet", None);
        check("", None);
    }

    #[test]
    fn the_first_pattern_counts() {
        check(
            "esc to interrupt\nCreate a plan?\npress enter to confirm",
            Some(("enter_to_confirm", "inspect_or_confirm")),
        );
    }

    #[test]
    fn an_approval_prompt_is_recent_active_and_not_a_quotation() {
        check("✔ You approved codex to run touch this time\n  permissions: YOLO mode", None);
        check("the approval came through", None);
        check(r#"{"pattern": "approval_prompt", "reason": "asks for approval, allow or deny"}"#, None);
        let twelve = "x\n\n".repeat(12);
        check(&format!("requires approval\n{twelve}"), None);
        let eleven = "x\n\n".repeat(11);
        check(&format!("requires approval\n{eleven}"), Some(("approval_prompt", "inspect_or_approve")));
    }

    #[test]
    fn a_fresh_session_is_left_alone() {
        let fresh = Quiet { status_age_seconds: Some(89.9), ..STALE };
        assert_eq!(found("press enter to confirm", &fresh), None);
        let unknown = Quiet { status_age_seconds: None, ..STALE };
        assert!(found("press enter to confirm", &unknown).is_some());
        assert_eq!(found("esc to interrupt", &unknown), None);
    }

    #[test]
    fn a_lively_session_does_not_run_long() {
        let lively = |recent_events| Quiet { recent_events, ..STALE };
        assert!(found("esc to interrupt", &lively(9)).is_some());
        assert_eq!(found("esc to interrupt", &lively(10)), None);
        assert!(found("press enter to confirm", &lively(10)).is_some());
    }

    #[test]
    fn names_are_those_in_json() {
        for pattern in Pattern::ALL {
            let finding = pattern.finding();
            let expect = serde_json::json!({
                "pattern": pattern.as_str(),
                "reason": finding.reason,
                "recommended_action": finding.recommended_action.as_str(),
            });
            assert_eq!(serde_json::to_value(finding).unwrap(), expect);
        }
    }
}
