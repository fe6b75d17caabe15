//! Reading a worker's answer to "what must be done now, and what can wait?" as draft criteria.

use serde::{Deserialize, Serialize};

use super::criteria::{CriterionSource, CriterionStatus};

/// Why a criterion that can wait is deferred. The text is agent-conveyor's.
const DEFERRED_BECAUSE: &str = "Follow-up after this QA slice.";

/// A criterion to look at and then add, with the command that adds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// What must be true.
    pub criterion: String,
    /// Where it would stand.
    pub status: CriterionStatus,
    /// Always the worker: it is its answer.
    pub source: CriterionSource,
    /// Why it would stand there.
    pub rationale: Option<String>,
    /// The words of the command that adds it.
    pub command: Vec<String>,
}

/// What was read from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the answer.
    pub suggestions: Vec<Suggestion>,
    /// What could not be read, in sentences.
    pub warnings: Vec<String>,
}

/// Reads an answer in Markdown: list items below a heading that says whether they are for now or
/// for later. `program` and `task` go into the commands.
pub fn plan(answer: &str, task: &str, program: &str) -> Plan {
    let mut section = None;
    let mut items: Vec<(Option<CriterionStatus>, String)> = Vec::new();
    let mut in_item = false;
    for line in answer.lines() {
        let text = line.trim();
        if let Some(item) = list_item(text) {
            items.push((section, item.to_owned()));
            in_item = true;
        } else if let Some(heading) = heading(text) {
            section = status_for(heading);
            in_item = false;
        } else if text.is_empty() {
            in_item = false;
        } else if let (true, Some((_, item))) = (in_item, items.last_mut()) {
            item.push(' ');
            item.push_str(text);
        }
    }
    let wanted =
        |item: &str| !matches!(item.to_lowercase().as_str(), "" | "none" | "nothing" | "n/a" | "na" | "-");
    let items: Vec<(Option<CriterionStatus>, String)> = items
        .into_iter()
        .map(|(status, item)| (status, plain(&item)))
        .filter(|(_, item)| wanted(item.trim_end_matches('.')))
        .collect();
    let unplaced = items.iter().filter(|(status, _)| status.is_none()).count();
    let suggestions: Vec<Suggestion> =
        items.into_iter().filter_map(|(status, item)| Some(suggest(item, status?, task, program))).collect();
    Plan { warnings: warnings(suggestions.len(), unplaced), suggestions }
}

fn warnings(placed: usize, unplaced: usize) -> Vec<String> {
    let none = "no criteria were found; list them below the headings \"Must-have\" and \"Follow-up\"";
    let outside = format!(
        "{unplaced} list items stand below no heading that says whether they are for now or for later"
    );
    match (placed, unplaced) {
        (0, 0) => vec![none.to_owned()],
        (_, 0) => Vec::new(),
        _ => vec![outside],
    }
}

fn suggest(criterion: String, status: CriterionStatus, task: &str, program: &str) -> Suggestion {
    let source = CriterionSource::WorkerProposed;
    let rationale = (status == CriterionStatus::Deferred).then(|| DEFERRED_BECAUSE.to_owned());
    let words = [
        program,
        "criteria",
        task,
        "--add",
        "--criterion",
        &criterion,
        "--source",
        source.as_str(),
        "--status",
        status.as_str(),
    ];
    let because = rationale.iter().flat_map(|rationale| ["--rationale", rationale]);
    let command = words.into_iter().chain(because).map(str::to_owned).collect();
    Suggestion { criterion, status, source, rationale, command }
}

/// The text of `- item`, `* item`, `+ item`, `1. item` or `1) item`, without a check box.
fn list_item(line: &str) -> Option<&str> {
    let after_digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_digits.len() < line.len();
    let rest = if numbered {
        after_digits.strip_prefix(". ").or_else(|| after_digits.strip_prefix(") "))
    } else {
        ["- ", "* ", "+ "].iter().find_map(|marker| line.strip_prefix(marker))
    }?;
    let rest = rest.trim_start();
    Some(["[ ] ", "[x] ", "[X] "].iter().find_map(|done| rest.strip_prefix(done)).unwrap_or(rest))
}

/// The text of `# heading`, `**heading**` or `heading:`.
fn heading(line: &str) -> Option<&str> {
    let bold = |text: &str| text.starts_with("**") && text.trim_end_matches(':').ends_with("**");
    (line.starts_with('#') || bold(line) || line.ends_with(':'))
        .then(|| line.trim_matches(['#', '*', ':', ' ']))
}

/// Whether what follows a heading is for now or for later.
fn status_for(heading: &str) -> Option<CriterionStatus> {
    const LATER: [&str; 8] = [
        "follow-up",
        "follow up",
        "followup",
        "defer",
        "later",
        "nice to have",
        "nice-to-have",
        "out of scope",
    ];
    const NOW: [&str; 5] = ["must-have", "must have", "current", "required", "acceptance"];
    let heading = heading.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| heading.contains(word));
    match (says(&LATER), says(&NOW)) {
        (true, _) => Some(CriterionStatus::Deferred),
        (false, true) => Some(CriterionStatus::Accepted),
        (false, false) => None,
    }
}

/// Without the marks that only surround it.
fn plain(item: &str) -> String {
    let item = item.trim();
    let unwrapped = |mark: &str| {
        let inner = item.strip_prefix(mark)?.strip_suffix(mark)?;
        (!inner.contains(mark)).then_some(inner)
    };
    ["**", "`"].into_iter().find_map(unwrapped).unwrap_or(item).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Vec<(CriterionStatus, String)> {
        plan(answer, "t1", "conveyor").suggestions.into_iter().map(|s| (s.status, s.criterion)).collect()
    }

    fn check(answer: &str, now: &[&str], later: &[&str]) {
        let of = |status| now_or_later(answer, status);
        assert_eq!(of(CriterionStatus::Accepted), now, "{answer}");
        assert_eq!(of(CriterionStatus::Deferred), later, "{answer}");
    }

    fn now_or_later(answer: &str, status: CriterionStatus) -> Vec<String> {
        read(answer).into_iter().filter(|(found, _)| *found == status).map(|(_, text)| text).collect()
    }

    #[test]
    fn list_items_are_sorted_by_their_heading() {
        check(
            "## Must-have (current task)\n- Tests pass on CI\n- Docs updated\n  with examples\n\n## Follow-up\n1. Add metrics\n2) none\n* `Refactor later`\n",
            &["Tests pass on CI", "Docs updated with examples"],
            &["Add metrics", "Refactor later"],
        );
        check("**Required:**\n- [ ] a\n- [x] b\n\n**Nice to have**\n+ c", &["a", "b"], &["c"]);
        check("Must have:\n1. a\nDeferred follow-ups:\n1. b", &["a"], &["b"]);
        check("Acceptance criteria\n\n- lost", &[], &[]);
        check("# Must-have\n- None.\n- n/a\n", &[], &[]);
        check("# Must-have\n- a\n\nSome prose.\n# Notes\n- b\n", &["a"], &[]);
        check(
            "# Must-have\n- keep `this` and `that`\n- **bold**\n",
            &["keep `this` and `that`", "bold"],
            &[],
        );
    }

    #[test]
    fn what_could_not_be_placed_is_told() {
        let warnings = |answer: &str| plan(answer, "t1", "conveyor").warnings.len();
        assert_eq!(warnings(""), 1);
        assert_eq!(warnings("all fine"), 1);
        assert_eq!(warnings("- a\n- b"), 1);
        assert_eq!(warnings("# Must-have\n- a"), 0);
        assert_eq!(warnings("- a\n# Must-have\n- b"), 1);
    }

    #[test]
    fn the_command_adds_the_criterion() {
        let plan = plan("Follow-up:\n- Add metrics", "t1", "workerctl");
        assert_eq!(
            plan.suggestions[0].command.join(" "),
            "workerctl criteria t1 --add --criterion Add metrics --source worker_proposed --status deferred \
             --rationale Follow-up after this QA slice."
        );
        assert_eq!(plan.suggestions[0].rationale.as_deref(), Some(DEFERRED_BECAUSE));
    }
}
