//! `conveyor qa-plan`: what a person does by hand, in which order, and what they should see.

mod adversarial_triggers;
mod dispatch_completion;
mod emergent_criteria;
mod goalbuddy;
mod ralph_loop;
mod self_management;
mod tmux_errors;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::output::Output;
use crate::domain::Failure;
use crate::domain::triggers::Trigger;

/// Print what to do by hand to see that a part of supervision works
///
/// The commands can be pasted in their order. A plan that starts a pair spends model tokens.
#[derive(Debug, Args)]
pub(in crate::cli) struct QaPlanArgs {
    /// What to look at
    #[arg(value_enum, default_value_t)]
    scenario: Scenario,
}

/// What there is a plan for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Scenario {
    /// One supervised pair, from its start to its end
    #[default]
    SelfManagement,
    /// Criteria that come up in the talk between worker and manager, and the gate they make
    EmergentCriteria,
    /// A terminal that disappears
    TmuxErrors,
    /// The way of an ended turn to the manager
    DispatchCompletion,
    /// A bounded loop with evidence and permissions
    RalphLoop,
    /// The wordings that arm a gate, and those that do not
    AdversarialTriggers,
    /// A broad request as a parent task with one child task after the other
    GoalbuddyConveyor,
}

/// A plan, but for what stands in every one.
#[derive(Debug, Serialize)]
struct Plan {
    scenario: &'static str,
    /// What is seen to work.
    purpose: &'static str,
    /// What to tell a manager that carries out the plan.
    #[serde(skip_serializing_if = "str::is_empty")]
    starter_prompt: &'static str,
    steps: &'static [Step],
    expected_observations: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    acceptance_criteria: &'static [&'static str],
    /// What nobody does without being told to.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authority_boundaries: &'static [&'static str],
    /// What ties the records of one cause together.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    correlation_markers: &'static [&'static str],
    /// What to write down: a name, and what belongs there.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_object")]
    evidence_template: &'static [(&'static str, &'static str)],
    /// Wordings to try.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trigger_tasks: &'static [Trigger],
}

/// A plan with nothing in it.
const EMPTY: Plan = Plan {
    scenario: "",
    purpose: "",
    starter_prompt: "",
    steps: &[],
    expected_observations: &[],
    acceptance_criteria: &[],
    authority_boundaries: &[],
    correlation_markers: &[],
    evidence_template: &[],
    trigger_tasks: &[],
};

/// One thing to do.
#[derive(Debug, Serialize)]
struct Step {
    title: &'static str,
    /// Each a whole command line.
    commands: &'static [&'static str],
    /// The commands are refused, with exit code 1.
    refused: bool,
    look_for: &'static str,
}

impl Step {
    const fn new(title: &'static str, commands: &'static [&'static str], look_for: &'static str) -> Self {
        Self { title, commands, refused: false, look_for }
    }

    /// A step whose commands are refused.
    const fn refused(title: &'static str, commands: &'static [&'static str], look_for: &'static str) -> Self {
        Self { title, commands, refused: true, look_for }
    }
}

/// Prints a plan.
pub(in crate::cli) fn run(
    args: &QaPlanArgs,
    program: &'static str,
    output: &mut Output,
) -> Result<u8, Failure> {
    let plan = args.scenario.plan();
    let mut value = json!(plan);
    if let Some(steps) = value["steps"].as_array_mut() {
        steps.iter_mut().for_each(|step| name_program(step, program));
    }
    output.answer(&value, || text(&plan, program))?;
    Ok(0)
}

impl Scenario {
    fn plan(self) -> Plan {
        match self {
            Self::SelfManagement => self_management::PLAN,
            Self::EmergentCriteria => emergent_criteria::PLAN,
            Self::TmuxErrors => tmux_errors::PLAN,
            Self::DispatchCompletion => dispatch_completion::PLAN,
            Self::RalphLoop => ralph_loop::PLAN,
            Self::AdversarialTriggers => adversarial_triggers::PLAN,
            Self::GoalbuddyConveyor => goalbuddy::PLAN,
        }
    }
}

fn as_object<S: serde::Serializer>(pairs: &[(&str, &str)], to: S) -> Result<S::Ok, S::Error> {
    let fields: Map<String, Value> =
        pairs.iter().map(|(name, what)| ((*name).to_owned(), (*what).into())).collect();
    fields.serialize(to)
}

/// A plan's commands are ours under the name that the program was called by.
fn name_program(step: &mut Value, program: &str) {
    let commands = step["commands"].as_array_mut().into_iter().flatten();
    for command in commands {
        *command = named(command.as_str().unwrap_or_default(), program).into();
    }
}

fn named(command: &str, program: &str) -> String {
    match command.strip_prefix("conveyor ") {
        Some(rest) => format!("{program} {rest}"),
        None => command.to_owned(),
    }
}

fn text(plan: &Plan, program: &str) -> String {
    let mut lines = vec![format!("QA plan: {}", plan.scenario), plan.purpose.to_owned()];
    if !plan.starter_prompt.is_empty() {
        lines.extend([String::new(), "To start a manager with:".to_owned(), plan.starter_prompt.to_owned()]);
    }
    for (number, step) in (1..).zip(plan.steps) {
        lines.extend([String::new(), format!("{number}. {}", step.title)]);
        lines.extend(step.commands.iter().map(|command| format!("   $ {}", named(command, program))));
        let refused = if step.refused { "Refused, with exit code 1. " } else { "" };
        lines.push(format!("   Look for: {refused}{}", step.look_for));
    }
    let triggers: Vec<String> =
        plan.trigger_tasks.iter().map(|task| format!("{}: {}", task.name, task.canonical_phrase)).collect();
    let evidence: Vec<String> =
        plan.evidence_template.iter().map(|(name, what)| format!("{name}: {what}")).collect();
    for (heading, items) in [
        ("Prompts to try", as_strs(&triggers)),
        ("It works when", plan.expected_observations.to_vec()),
        ("It is accepted when", plan.acceptance_criteria.to_vec()),
        ("Nobody does without being told to", plan.authority_boundaries.to_vec()),
        ("What ties the records together", plan.correlation_markers.to_vec()),
        ("Write down", as_strs(&evidence)),
    ] {
        if !items.is_empty() {
            lines.extend([String::new(), heading.to_owned()]);
            lines.extend(items.iter().map(|item| format!("- {item}")));
        }
    }
    lines.join("\n")
}

fn as_strs(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}
