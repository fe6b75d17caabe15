//! The tools: one for each call that is offered.

use std::ffi::OsString;
use std::sync::Arc;

use clap::{Command, FromArgMatches, Subcommand};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use super::{arguments, schema};
use crate::actors::Request;
use crate::actors::calls::{self, Call, ToolKind};
use crate::domain::Failure;
use crate::for_each_call;

/// What a call is beyond its command line.
struct Traits {
    kind: ToolKind,
    hidden: &'static [&'static str],
    waits: bool,
    types: Value,
}

macro_rules! define_traits {
    ($($name:ident($module:ident::$args:ident),)*) => {
        /// In the order of the list of calls, which is also that of the commands.
        fn traits() -> Vec<Traits> {
            vec![$(Traits {
                kind: calls::$module::$args::TOOL,
                hidden: calls::$module::$args::NOT_FOR_TOOLS,
                waits: calls::$module::$args::WAITS,
                types: schema::types_of::<calls::$module::$args>(),
            }),*]
        }
    };
}
for_each_call!(define_traits);

/// All tools, by name.
pub(super) struct Catalogue {
    tools: Vec<Offer>,
}

/// One tool, and the command it stands for.
pub(super) struct Offer {
    tool: Tool,
    command: Command,
    waits: bool,
}

impl Catalogue {
    /// Makes the tools from the calls.
    pub(super) fn new() -> Self {
        let commands = Request::augment_subcommands(Command::new("conveyor"));
        let calls = commands.get_subcommands().zip(traits());
        let offered = calls.filter(|(_, traits)| traits.kind != ToolKind::Hidden);
        Self { tools: offered.map(|(command, traits)| Offer::new(command, &traits)).collect() }
    }

    /// As clients are told.
    pub(super) fn list(&self) -> Vec<Tool> {
        self.tools.iter().map(|offer| offer.tool.clone()).collect()
    }

    /// The tool of that name.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub(super) fn find(&self, name: &str) -> Result<&Offer, Failure> {
        self.tools.iter().find(|offer| offer.tool.name == name).ok_or_else(|| {
            let names: Vec<String> = self.tools.iter().map(|offer| offer.tool.name.to_string()).collect();
            Failure::unknown_name("tool", name, &names)
        })
    }
}

impl Offer {
    fn new(command: &Command, traits: &Traits) -> Self {
        let hide = |command: Command, id: &&str| command.mut_arg(*id, |arg| arg.hide(true));
        let command = traits.hidden.iter().fold(command.clone(), hide);
        let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
        let input = Arc::new(schema::input(&command, &traits.types));
        let annotations = ToolAnnotations::new()
            .read_only(traits.kind == ToolKind::Reads)
            .destructive(false)
            .open_world(false);
        let name = command.get_name().replace('-', "_");
        let tool = Tool::new(name, about.unwrap_or_default(), input).with_annotations(annotations);
        Self { tool, command, waits: traits.waits }
    }

    /// The call that the arguments ask for; its wait, if it waits, ends within `max_wait_seconds`.
    ///
    /// # Errors
    /// `Usage`, as the command line would say it.
    pub(super) fn request(
        &self,
        mut arguments: JsonObject,
        max_wait_seconds: u32,
    ) -> Result<Request, Failure> {
        if self.waits {
            arguments::limit_wait(&self.command, &mut arguments, max_wait_seconds);
        }
        parse(arguments::words(&self.command, &arguments)?)
    }
}

fn parse(words: Vec<OsString>) -> Result<Request, Failure> {
    let commands = Request::augment_subcommands(Command::new("conveyor").no_binary_name(true));
    let matches = commands.try_get_matches_from(words);
    matches.and_then(|matches| Request::from_arg_matches(&matches)).map_err(|error| usage(&error))
}

/// What clap says, without what only helps at a prompt.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut paragraphs =
        text.split("\n\n").map(|lines| lines.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let failure = Failure::usage(message.trim_start_matches("error: "));
    let tips = paragraphs.filter_map(|paragraph| Some(paragraph.strip_prefix("tip: ")?.to_owned()));
    tips.fold(failure, Failure::hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::FailureKind;
    use crate::domain::prompts::Hands;

    #[test]
    fn commands_and_calls_are_in_the_same_order() {
        let commands = Request::augment_subcommands(Command::new("conveyor"));
        let traits = traits();
        assert_eq!(commands.get_subcommands().count(), traits.len());
        for (command, traits) in commands.get_subcommands().zip(traits) {
            for arg in command.get_arguments() {
                let field = schema::field(arg, &traits.types);
                assert!(field.is_some(), "{} has no field {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn a_call_of_a_tool_is_what_the_command_line_would_have_made() {
        let catalogue = Catalogue::new();
        let request = |tool: &str, arguments: Value| {
            catalogue.find(tool).unwrap().request(serde_json::from_value(arguments).unwrap(), 50)
        };
        let made = request("tail", json!({"name": "w1", "subtype": "task_complete"})).unwrap();
        let args = json!({"name": "w1", "limit": 50, "subtype": "task_complete", "include_content": false});
        assert_eq!(serde_json::to_value(made).unwrap(), json!({"call": "tail", "args": args}));

        let failure = request("sessions", json!({"state": "activ"})).unwrap_err();
        let message = "invalid value 'activ' for '--state <STATE>' [possible values: active, gone, all]";
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Usage, message));
        assert_eq!(failure.hints, ["a similar value exists: 'active'"]);
        assert_eq!(request("dispatch", json!({"watch": true})).unwrap_err().kind, FailureKind::Usage);
        assert!(request("dispatch", json!({"dry_run": true})).is_ok());
    }

    #[test]
    fn every_tool_that_sessions_are_told_of_exists() {
        let catalogue = Catalogue::new();
        let told = regex::Regex::new(r"the tool `(\w+)` \(([^()]*)\)").unwrap();
        for prompt in crate::cli::prompts::all(Hands::Tools) {
            assert!(!prompt.contains("`conveyor "), "{prompt}");
            for found in told.captures_iter(&prompt) {
                let arguments = found[2].split(", ").filter_map(|argument| argument.split_once(": "));
                // A text with a comma in it is cut; what is left over has no name.
                let arguments =
                    arguments.filter(|(name, _)| name.chars().all(|c| c == '_' || c.is_alphanumeric()));
                let value = |text: &str| match text {
                    "true" => json!(true),
                    json if json.starts_with('{') => json!({}),
                    text => json!(text),
                };
                let arguments = arguments.map(|(name, text)| (name.to_owned(), value(text))).collect();
                catalogue.find(&found[1]).unwrap().request(arguments, 50).unwrap();
            }
        }
    }
}
