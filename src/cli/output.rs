//! stdout is the answer, stderr is the talk.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::show::Show;
use crate::domain::Failure;
use crate::domain::shell::quoted;

/// Where and how answers are printed.
#[derive(Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Answers as JSON when `json`, else as text where a command has a text form.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a call's reply; gives the exit code it stands for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn show<C: Show>(&mut self, call: &C, reply: &C::Reply) -> Result<u8, Failure> {
        let text = if self.json { None } else { call.text(reply) };
        match text {
            Some(text) if text.is_empty() => {}
            Some(text) => print(&text)?,
            None => print(&json(reply)?)?,
        }
        Ok(call.exit_code(reply))
    }
}

impl Output {
    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer that comes from no call: JSON with `--json`, else the text.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn answer(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { print(&json(value)?) } else { print(&text()) }
    }
}

/// Says something that is no answer.
pub fn talk(text: &str) {
    // With standard error gone there is nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// JSON as every command prints it: keys sorted, two spaces.
///
/// # Errors
/// When the value has no JSON form, which is a defect.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    // A `Value`'s objects are sorted; a struct's fields are in the order of their declaration.
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .map_err(|error| Failure::internal(format!("failed to write JSON: {error}")))
}

/// Writes a line of answer. A reader that hung up (`| head`) is not a failure.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    match writeln!(anstream::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::external(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Tells what went wrong and what to try next, of the database that was named with `--path`.
pub fn print_failure(program: &str, failure: &Failure, path: Option<&Path>) {
    let mut stderr = anstream::stderr().lock();
    // With standard error gone there is nobody to tell; the exit code still says it.
    let _ = writeln!(stderr, "{program}: {failure}");
    for hint in &failure.hints {
        let _ = writeln!(stderr, "  hint: {hint}");
    }
    if let Some(path) = path
        && failure.hints.iter().any(|hint| hint.contains("conveyor "))
    {
        let _ = writeln!(stderr, "  hint: with --path {} there, too", quoted(&path.to_string_lossy()));
    }
}
