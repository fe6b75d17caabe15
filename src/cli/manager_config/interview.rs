//! The questions of a supervision contract, asked one after the other.

use std::io::{self, BufRead, Write};
use std::str::FromStr;

use crate::actors::calls::manager_config::ManagerConfigArgs;
use crate::domain::supervision::{AnswerKind, Question, questions};

/// Asks everything and puts the answers into `args`. An empty answer leaves a field as it is.
///
/// # Errors
/// When reading or writing fails, or the input ends before the last question.
pub(super) fn hold(
    args: &mut ManagerConfigArgs,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    for question in questions() {
        writeln!(output, "{}{}", question.prompt, advice(&question))?;
        loop {
            let answer = read_answer(&question, input, output)?;
            match put(args, &question, answer) {
                Ok(()) => break,
                Err(unknown) => writeln!(output, "  {unknown} is not one of the choices")?,
            }
        }
    }
    Ok(())
}

/// What can be answered and what happens without an answer.
fn advice(question: &Question) -> String {
    let choices = if question.choices.is_empty() {
        String::new()
    } else {
        format!(" [{}]", question.choices.join(", "))
    };
    let how = match question.kind {
        AnswerKind::Texts => " (one a line, an empty line ends)",
        AnswerKind::Choices => " (separated by commas)",
        AnswerKind::YesNo => " [yes, no]",
        AnswerKind::Choice | AnswerKind::Text => "",
    };
    format!("{choices}{how}; empty to leave it")
}

/// The entries of an answer.
fn read_answer(
    question: &Question,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<Vec<String>> {
    let line = read_line(input, output)?;
    match question.kind {
        AnswerKind::Texts => {
            let mut entries = Vec::new();
            let mut next = line;
            while !next.is_empty() {
                entries.push(next);
                next = read_line(input, output)?;
            }
            Ok(entries)
        }
        AnswerKind::Choices => Ok(entries(&line)),
        AnswerKind::Choice | AnswerKind::Text | AnswerKind::YesNo => {
            Ok(Some(line).filter(|line| !line.is_empty()).into_iter().collect())
        }
    }
}

fn entries(line: &str) -> Vec<String> {
    line.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn read_line(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<String> {
    write!(output, "> ")?;
    output.flush()?;
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim().to_owned())
}

/// Puts an answer into the field it is for; gives back an entry that is not one of the choices.
fn put(args: &mut ManagerConfigArgs, question: &Question, answer: Vec<String>) -> Result<(), String> {
    if !question.choices.is_empty()
        && let Some(unknown) = answer.iter().find(|entry| !question.choices.contains(entry))
    {
        return Err(unknown.clone());
    }
    let Some(first) = answer.first().cloned() else { return Ok(()) };
    match question.id.as_str() {
        "supervision_mode" => args.mode = Some(word(&first)?),
        "objective" => args.objective = Some(first),
        "guidelines" => args.guideline = answer,
        "acceptance_criteria" => args.acceptance = answer,
        "reference_paths" => args.reference = answer,
        "permissions" => args.permit = answer,
        "tools" => args.tool = answer,
        "epilogues" => args.epilogue = answer.iter().map(|entry| word(entry)).collect::<Result<_, _>>()?,
        "nudge_on_completion" => args.nudge_on_completion = Some(word(&first)?),
        "require_acks" => args.require_acks = yes(&first)?,
        _ => {}
    }
    Ok(())
}

fn word<T: FromStr>(entry: &str) -> Result<T, String> {
    entry.parse().map_err(|_| entry.to_owned())
}

fn yes(answer: &str) -> Result<bool, String> {
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err(answer.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::supervision::{EpilogueStep, NudgeOnCompletion, SupervisionMode};

    fn answer(lines: &[&str]) -> io::Result<(ManagerConfigArgs, String)> {
        let mut args = ManagerConfigArgs::default();
        let mut output = Vec::new();
        hold(&mut args, &mut lines.join("\n").as_bytes(), &mut output)?;
        Ok((args, String::from_utf8(output).unwrap()))
    }

    #[test]
    fn every_answer_finds_its_field() {
        let (args, _) = answer(&[
            "strict",
            "Follow the PRD",
            "be brief",
            "ask first",
            "",
            "tests pass",
            "",
            "",
            "repo.open_pr, context.fetch_prs",
            "pytest",
            "",
            "run-tools",
            "auto-review",
            "yes",
            "",
        ])
        .unwrap();
        assert_eq!(args.mode, Some(SupervisionMode::Strict));
        assert_eq!(args.objective.as_deref(), Some("Follow the PRD"));
        assert_eq!(args.guideline, ["be brief", "ask first"]);
        assert_eq!(args.acceptance, ["tests pass"]);
        assert!(args.reference.is_empty());
        assert_eq!(args.permit, ["repo.open_pr", "context.fetch_prs"]);
        assert_eq!(args.tool, ["pytest"]);
        assert_eq!(args.epilogue, [EpilogueStep::RunTools]);
        assert_eq!(args.nudge_on_completion, Some(NudgeOnCompletion::AutoReview));
        assert!(args.require_acks);
    }

    #[test]
    fn empty_answers_change_nothing_and_a_wrong_one_is_asked_again() {
        let (args, shown) =
            answer(&["wild", "", "", "", "", "", "", "", "", "", "perhaps", "no", ""]).unwrap();
        assert!(
            args.mode.is_none() && args.objective.is_none() && !args.require_acks && args.permit.is_empty()
        );
        assert!(shown.contains("wild is not one of the choices"), "{shown}");
        assert!(shown.contains("perhaps is not one of the choices"), "{shown}");
    }

    #[test]
    fn every_question_has_a_field() {
        for question in questions() {
            let mut args = ManagerConfigArgs::default();
            let before = format!("{args:?}");
            let answer = question.choices.first().cloned().unwrap_or_else(|| "yes".to_owned());
            put(&mut args, &question, vec![answer]).unwrap();
            assert_ne!(format!("{args:?}"), before, "{}", question.id);
        }
    }

    #[test]
    fn an_early_end_is_an_error() {
        assert_eq!(answer(&["strict"]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
