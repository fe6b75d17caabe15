//! What a tool takes, as JSON schema.
//!
//! The command line knows the names, what is required, the choices and the defaults; the Rust type
//! of an argument knows whether it is a number, a text or a list.

use clap::{Arg, Command};
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The keys of a type's schema that say what a value must look like. The rest is prose, which the
/// command line has too, and names of Rust's number formats.
const SHAPE: [&str; 5] = ["type", "items", "enum", "minimum", "maximum"];

/// The schema of the type `A` and its fields, without references.
pub(super) fn types_of<A: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<A>().to_value()
}

/// The input of the tool that `command` becomes; `types` is the schema of its arguments' type.
pub(super) fn input(command: &Command, types: &Value) -> JsonObject {
    let arguments = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    let properties: JsonObject = arguments().map(|arg| (name(arg), property(arg, types))).collect();
    let required: Vec<String> = arguments().filter(|arg| arg.is_required_set()).map(name).collect();
    let schema = [
        ("type", json!("object")),
        ("properties", Value::Object(properties)),
        ("required", json!(required)),
        ("additionalProperties", json!(false)),
    ];
    schema.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The property an argument becomes: its flag without dashes, else its field.
pub(super) fn name(arg: &Arg) -> String {
    arg.get_long().unwrap_or(arg.get_id().as_str()).replace('-', "_")
}

/// A flag is there or not; every other argument has a value.
pub(super) fn is_flag(arg: &Arg) -> bool {
    !arg.get_action().takes_values()
}

/// The schema of an argument's field. serde may have renamed it as the command line has.
pub(super) fn field<'a>(arg: &Arg, types: &'a Value) -> Option<&'a Value> {
    let fields = &types["properties"];
    fields.get(name(arg)).or_else(|| fields.get(arg.get_id().as_str()))
}

fn property(arg: &Arg, types: &Value) -> Value {
    if is_flag(arg) {
        return described(json!({"type": "boolean"}), arg);
    }
    let mut property = field(arg, types).map_or_else(|| json!({"type": "string"}), shape);
    let choices = choices(arg);
    if !choices.is_empty() {
        let choice = json!({"type": "string", "enum": choices});
        let is_list = property["type"] == "array";
        property = if is_list { json!({"type": "array", "items": choice}) } else { choice };
    }
    if let Some(default) = default(arg, &property) {
        property["default"] = default;
    }
    described(property, arg)
}

fn described(mut property: Value, arg: &Arg) -> Value {
    if let Some(help) = arg.get_long_help().or(arg.get_help()) {
        property["description"] = json!(help.to_string());
    }
    property
}

/// What a field's value must look like when it is given: `null` means that it is not.
fn shape(field: &Value) -> Value {
    let given = field["anyOf"].as_array().and_then(|options| options.iter().find(|o| o["type"] != "null"));
    let field = given.unwrap_or(field);
    let mut shape: JsonObject =
        SHAPE.iter().filter_map(|key| Some(((*key).to_owned(), field.get(key)?.clone()))).collect();
    if let Some(Value::Array(types)) = shape.get("type") {
        let given = types.iter().find(|name| *name != "null").cloned();
        shape.insert("type".to_owned(), given.unwrap_or_default());
    }
    if let Some(items) = shape.get_mut("items") {
        *items = self::shape(items);
    }
    Value::Object(shape)
}

fn choices(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    values.map(|value| value.get_name().to_owned()).collect()
}

fn default(arg: &Arg, property: &Value) -> Option<Value> {
    let text = arg.get_default_values().first()?.to_string_lossy();
    match property["type"].as_str() {
        Some("integer" | "number") => serde_json::from_str(&text).ok(),
        Some("array") => None,
        _ => (!text.is_empty()).then(|| json!(text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args;
    use std::path::PathBuf;

    use super::*;

    /// One side
    #[derive(Clone, Copy, clap::ValueEnum, JsonSchema)]
    enum Side {
        /// The one that works
        WorkerSide,
        ManagerSide,
    }

    #[derive(Args, JsonSchema)]
    struct Flattened {
        /// How many
        #[arg(long, default_value_t = 10)]
        limit: u32,
    }

    #[derive(Args, JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Sample {
        task: String,
        #[arg(default_value = "")]
        query: String,
        #[arg(long, required = true)]
        sides: Vec<Side>,
        #[arg(long)]
        side: Option<Side>,
        #[arg(long = "type")]
        kind: Option<PathBuf>,
        #[arg(long)]
        seconds: Option<f64>,
        #[arg(long)]
        dry_run: bool,
        #[arg(long, hide = true)]
        secret: bool,
        #[arg(skip)]
        own: u64,
        #[command(flatten)]
        #[serde(flatten)]
        flattened: Flattened,
    }

    #[test]
    fn the_command_line_and_the_types_make_the_schema() {
        let command = Sample::augment_args(Command::new("sample"));
        let expect = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["task", "sides"],
            "properties": {
                "task": {"type": "string"},
                "query": {"type": "string"},
                "sides": {"type": "array", "items": {"type": "string", "enum": ["worker-side", "manager-side"]}},
                "side": {"type": "string", "enum": ["worker-side", "manager-side"]},
                "type": {"type": "string"},
                "seconds": {"type": "number"},
                "dry_run": {"type": "boolean"},
                "limit": {"type": "integer", "minimum": 0, "default": 10, "description": "How many"},
            },
        });
        assert_eq!(Value::Object(input(&command, &types_of::<Sample>())), expect);
    }
}
