//! The arguments of a tool as the words of a command line.

use std::ffi::OsString;

use clap::{Arg, Command};
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::schema::{is_flag, name};
use crate::domain::{Failure, FailureKind};

/// The argument that says how long to wait.
const TIMEOUT: &str = "timeout";

/// What a person would have typed after the program's name.
///
/// # Errors
/// When there is an argument the command does not have, or a value that no word can stand for.
/// Everything else is the command line's to judge.
pub(super) fn words(command: &Command, arguments: &JsonObject) -> Result<Vec<OsString>, Failure> {
    refuse_unknown(command, arguments)?;
    let mut words = vec![OsString::from(command.get_name())];
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        words.extend(option(arg, given(arg, arguments))?);
    }
    words.push("--".into());
    words.extend(positionals(command, arguments)?);
    Ok(words)
}

/// Keeps the time a wait takes within `max_seconds`, also when the call leaves it to the default.
pub(super) fn limit_wait(command: &Command, arguments: &mut JsonObject, max_seconds: u32) {
    let Some(timeout) = command.get_arguments().find(|arg| name(arg) == TIMEOUT) else { return };
    let default = || Some(timeout.get_default_values().first()?.to_string_lossy().into_owned());
    let asked = given(timeout, arguments).map_or_else(default, |value| Some(text(value)));
    let asked: Option<f64> = asked.and_then(|asked| asked.parse().ok());
    if asked.is_some_and(|asked| asked > f64::from(max_seconds)) {
        arguments.insert(TIMEOUT.to_owned(), json!(max_seconds));
    }
}

fn refuse_unknown(command: &Command, arguments: &JsonObject) -> Result<(), Failure> {
    let known: Vec<String> = command.get_arguments().filter(|arg| !arg.is_hide_set()).map(name).collect();
    match arguments.keys().find(|key| !known.contains(key)) {
        None => Ok(()),
        Some(unknown) => Err(Failure {
            kind: FailureKind::Usage,
            ..Failure::unknown_name("argument", unknown, &known).hint(format!(
                "{} takes: {}",
                command.get_name(),
                known.join(", ")
            ))
        }),
    }
}

/// The value of an argument, unless it was left out; `null` leaves it out.
fn given<'a>(arg: &Arg, arguments: &'a JsonObject) -> Option<&'a Value> {
    arguments.get(&name(arg)).filter(|value| !value.is_null())
}

/// `--flag`, `--option=value`, or as many of these as the list has values.
fn option(arg: &Arg, value: Option<&Value>) -> Result<Vec<OsString>, Failure> {
    let long = arg.get_long().unwrap_or_default();
    let word = |value: &Value| OsString::from(format!("--{long}={}", text(value)));
    match value {
        None => Ok(Vec::new()),
        Some(Value::Bool(set)) if is_flag(arg) => {
            Ok(if *set { vec![format!("--{long}").into()] } else { Vec::new() })
        }
        Some(other) if is_flag(arg) => {
            Err(Failure::usage(format!("{} is true or false, not {other}", name(arg))))
        }
        Some(Value::Array(values)) if is_repeatable(arg) => Ok(values.iter().map(word).collect()),
        Some(value) => Ok(vec![word(value)]),
    }
}

/// The values without a flag, in their order.
fn positionals(command: &Command, arguments: &JsonObject) -> Result<Vec<OsString>, Failure> {
    let mut words = Vec::new();
    let mut left_out = None;
    for arg in command.get_positionals() {
        match (given(arg, arguments), &left_out) {
            (None, None) => left_out = Some(name(arg)),
            (None, Some(_)) => {}
            (Some(_), Some(missing)) => {
                return Err(Failure::usage(format!("{} needs {missing} as well", name(arg))));
            }
            (Some(Value::Array(values)), None) if is_repeatable(arg) => {
                words.extend(values.iter().map(|value| OsString::from(text(value))));
            }
            (Some(value), None) => words.push(text(value).into()),
        }
    }
    Ok(words)
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// A value as a person would type it: 3.0 is 3, and a list or an object is JSON, for arguments that
/// take JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction::{Append, SetTrue};

    use super::*;

    fn sample() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        Command::new("sample")
            .arg(Arg::new("name").required(true))
            .arg(Arg::new("text"))
            .arg(option("dry-run").action(SetTrue))
            .arg(option("limit"))
            .arg(option("tag").action(Append))
            .arg(option("timeout").default_value("30"))
    }

    fn object(value: Value) -> JsonObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn arguments_become_the_words_a_person_would_type() {
        fn check(arguments: Value, expect: &[&str]) {
            let words = words(&sample(), &object(arguments.clone())).unwrap();
            assert_eq!(words, [&["sample"], expect].concat(), "{arguments}");
        }
        check(json!({}), &["--"]);
        check(json!({"name": "-w", "text": "--json"}), &["--", "-w", "--json"]);
        check(json!({"dry_run": true, "limit": 3}), &["--dry-run", "--limit=3", "--"]);
        check(json!({"dry_run": false, "limit": null}), &["--"]);
        check(json!({"limit": 3.0}), &["--limit=3", "--"]);
        check(json!({"limit": 0.5}), &["--limit=0.5", "--"]);
        check(json!({"limit": "- a\n=b"}), &["--limit=- a\n=b", "--"]);
        check(json!({"limit": {"a": [1]}}), &["--limit={\"a\":[1]}", "--"]);
        check(json!({"limit": [1]}), &["--limit=[1]", "--"]);
        check(json!({"tag": ["a", "b c"]}), &["--tag=a", "--tag=b c", "--"]);
        check(json!({"tag": "a"}), &["--tag=a", "--"]);
    }

    #[test]
    fn what_no_word_can_stand_for_is_refused() {
        fn check(arguments: Value, expect: &str) {
            let failure = words(&sample(), &object(arguments)).unwrap_err();
            assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Usage, expect));
        }
        check(json!({"dry-run": true}), "argument dry-run does not exist");
        check(json!({"help": true}), "argument help does not exist");
        check(json!({"dry_run": "true"}), "dry_run is true or false, not \"true\"");
        check(json!({"text": "t"}), "text needs name as well");
    }

    #[test]
    fn a_wait_stays_within_the_limit() {
        fn check(timeout: Value, max_seconds: u32, expect: Value) {
            let mut arguments = object(json!({"timeout": timeout}));
            limit_wait(&sample(), &mut arguments, max_seconds);
            assert_eq!(arguments["timeout"], expect);
        }
        check(json!(600), 50, json!(50));
        check(json!(50.5), 50, json!(50));
        check(json!("600"), 50, json!(50));
        check(json!(1.5), 50, json!(1.5));
        check(Value::Null, 50, Value::Null);
        check(Value::Null, 20, json!(20));
        check(json!("NaN"), 50, json!("NaN"));
    }
}
