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
    if asked.is_none_or(|asked| asked > f64::from(max_seconds)) {
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
