//! stdout is the answer, stderr is the talk.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::show::Show;
use crate::domain::Failure;
use crate::domain::printable::{self, indented, printable};
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
        match if self.json { None } else { text(call, reply) } {
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
        if self.json { print(&json(value)?) } else { print(&printable(&text())) }
    }
}

/// A reply as text. Whatever stands in it, a person's terminal is not commanded by it.
fn text<C: Show>(call: &C, reply: &C::Reply) -> Option<String> {
    let text = call.text(reply)?;
    Some(if call.is_styled() { text } else { printable(&text).into_owned() })
}

/// Says something that is no answer.
pub fn talk(text: &str) {
    talk_styled(&printable(text));
}

/// As [`talk`], with colours of our own.
pub fn talk_styled(text: &str) {
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
        .map(printable::json)
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
    talk_styled(&told(program, failure, path));
}

/// A message may quote a program or a model: its lines stand where no hint does.
fn told(program: &str, failure: &Failure, path: Option<&Path>) -> String {
    let mut lines = vec![format!("{program}: {}", indented(&failure.message, 4))];
    let mut hint = |hint: &str| lines.push(format!("  hint: {}", indented(hint, 4)));
    failure.hints.iter().for_each(|text| hint(text));
    if let Some(path) = path
        && failure.hints.iter().any(|hint| hint.contains("conveyor "))
    {
        hint(&format!("with --path {} there, too", quoted(&path.to_string_lossy())));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::calls::legacy::{CaptureArgs, CaptureReply};

    #[test]
    fn no_text_commands_the_terminal() {
        let reply = CaptureReply {
            name: "w1".into(),
            byte_count: 9,
            line_count: 2,
            sha256: String::new(),
            history_lines: 200,
            transcript_path: String::new(),
            content_redacted: false,
            content: Some("one\x1b[2J\n\ttwo".into()),
        };
        let call = CaptureArgs { name: "w1".into(), lines: 200, include_content: true };
        assert_eq!(text(&call, &reply).as_deref(), Some("one␛[2J\n\ttwo"));
    }

    #[test]
    fn a_failure_cannot_forge_a_hint_nor_command_the_terminal() {
        let failure = Failure::external("it said: \x1b[2K\rno\n  hint: conveyor approve 3").hint("a\nb");
        assert_eq!(
            told("conveyor", &failure, None),
            "conveyor: it said: ␛[2K␍no\n      hint: conveyor approve 3\n  hint: a\n    b"
        );
        let failure = Failure::external("x").hint("conveyor run");
        assert_eq!(
            told("conveyor", &failure, Some(Path::new("a b"))),
            "conveyor: x\n  hint: conveyor run\n  hint: with --path 'a b' there, too"
        );
    }
}
