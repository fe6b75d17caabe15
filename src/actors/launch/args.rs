//! How a person says how Codex is to be started.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codex::policy::{ApprovalPolicy, SandboxMode};
use crate::codex::settings::{Profile, Settings};
use crate::codex::version::Recipe;
use crate::domain::Failure;
use crate::domain::transport::TransportKind;

/// The flags of every command that starts Codex. What is left open comes from `conveyor.toml`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CodexArgs {
    /// The directory to work in [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// What its commands may touch [default: danger-full-access]
    #[arg(long, value_name = "MODE")]
    pub sandbox: Option<SandboxMode>,
    /// When it asks a person [default: never]
    #[arg(long, value_name = "POLICY")]
    pub ask_for_approval: Option<ApprovalPolicy>,
    /// A name for a sandbox and an approval policy together
    #[arg(long, value_name = "PROFILE")]
    pub codex_profile: Option<Profile>,
    /// Answer yes if Codex asks whether to trust the directory
    #[arg(long)]
    pub accept_trust: bool,
    /// The model's name
    #[arg(long, short = 'm')]
    pub model: Option<String>,
    /// The model's provider, as Codex's configuration names it
    #[arg(long, value_name = "PROVIDER")]
    pub model_provider: Option<String>,
    /// A value for Codex's configuration, in TOML, for this session alone; may be given several times
    #[arg(short = 'c', long, value_name = "KEY=VALUE", value_parser = setting)]
    pub config: Vec<String>,
    /// The Codex program [default: $CONVEYOR_CODEX, else codex on the PATH]
    #[arg(long, value_name = "PATH")]
    pub codex: Option<PathBuf>,
    /// How Codex is run and its session found [default: the best that this Codex can do]
    #[arg(long)]
    pub recipe: Option<Recipe>,
    /// Reach the session only in this way; several are tried in the order given [default: all there are]
    #[arg(long, value_name = "TRANSPORT")]
    pub transport: Vec<TransportKind>,
    /// Start it without a terminal, for machines without tmux
    #[arg(long)]
    pub no_tmux: bool,
    /// More arguments for Codex
    #[arg(last = true, value_name = "CODEX ARGUMENT")]
    pub args: Vec<String>,
}

impl CodexArgs {
    /// What the flags say, with the gaps left open. The program's path is relative to nothing yet.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            program: self.codex.clone(),
            model: self.model.clone(),
            model_provider: self.model_provider.clone(),
            sandbox: self.sandbox,
            approval_policy: self.ask_for_approval,
            profile: self.codex_profile,
            args: (!self.args.is_empty()).then(|| self.args.clone()),
        }
    }

    /// The values of `--config` as one tree.
    ///
    /// # Errors
    /// A usage failure for one that is no `KEY=VALUE`, and for two that contradict each other.
    pub(super) fn config_tree(&self) -> Result<Map<String, Value>, Failure> {
        let mut tree = Map::new();
        for given in &self.config {
            let (key, value) = split_setting(given).map_err(Failure::usage)?;
            put(&mut tree, key, value).map_err(|error| Failure::usage(format!("-c {given}: {error}")))?;
        }
        Ok(tree)
    }

    /// Whether the session is reached only when it asks.
    pub fn polls(&self) -> bool {
        !self.transport.is_empty() && self.transport.iter().all(|kind| *kind == TransportKind::Mailbox)
    }
}

fn setting(given: &str) -> Result<String, String> {
    split_setting(given).map(|_| given.to_owned())
}

/// Splits `key=value`. As Codex does, a value that is no TOML is taken for a text.
fn split_setting(given: &str) -> Result<(&str, Value), String> {
    let Some((key, value)) = given.split_once('=') else {
        return Err(format!("{given:?} is not of the form KEY=VALUE"));
    };
    let key = key.trim();
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err(format!("{given:?} has no key"));
    }
    Ok((key, toml_value(value.trim())))
}

fn toml_value(text: &str) -> Value {
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_else(|| Value::String(text.trim_matches(['"', '\'']).to_owned()))
}

/// Puts a value at a dotted key. Tables given for one key twice become one.
pub(super) fn put(tree: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    match (key.split_once('.'), value) {
        (Some((first, rest)), value) => match tree.entry(first).or_insert_with(|| Map::new().into()) {
            Value::Object(inner) => put(inner, rest, value),
            _ => Err(format!("{first} is no table")),
        },
        (None, Value::Object(new)) => match tree.entry(key).or_insert_with(|| Map::new().into()) {
            Value::Object(known) => new.into_iter().try_for_each(|(key, value)| put(known, &key, value)),
            _ => Err(format!("{key} is no table")),
        },
        (None, value) => {
            tree.insert(key.to_owned(), value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_for_codex_become_a_tree() {
        fn check(given: &[&str], expect: Result<Value, &str>) {
            let config = given.iter().map(|given| (*given).to_owned()).collect();
            let tree = CodexArgs { config, ..CodexArgs::default() }.config_tree();
            match (tree, expect) {
                (Ok(tree), Ok(expect)) => assert_eq!(Value::Object(tree), expect, "{given:?}"),
                (Err(failure), Err(words)) => assert!(failure.message.contains(words), "{failure:?}"),
                (tree, expect) => panic!("{given:?}: {tree:?} is not {expect:?}"),
            }
        }
        check(&[], Ok(json!({})));
        check(&["a=1", "b=true", "c=\"x y\"", "d=plain words"], {
            Ok(json!({"a": 1, "b": true, "c": "x y", "d": "plain words"}))
        });
        check(&["a.b.c=[1, 2]", "a.b.d='x'"], Ok(json!({"a": {"b": {"c": [1, 2], "d": "x"}}})));
        check(&["a={b = 1}", "a.c=2", "a={d.e = 3}"], Ok(json!({"a": {"b": 1, "c": 2, "d": {"e": 3}}})));
        check(&["a=1", "a=2"], Ok(json!({"a": 2})));
        check(&["a=x=y"], Ok(json!({"a": "x=y"})));
        check(&["a=1", "a.b=2"], Err("a is no table"));
        check(&["no value"], Err("KEY=VALUE"));
        check(&["=1"], Err("no key"));
        check(&["a..b=1"], Err("no key"));
    }

    #[test]
    fn only_a_session_with_nothing_but_a_mailbox_polls() {
        fn check(transport: &[TransportKind], expect: bool) {
            let args = CodexArgs { transport: transport.to_vec(), ..CodexArgs::default() };
            assert_eq!(args.polls(), expect, "{transport:?}");
        }
        check(&[], false);
        check(&[TransportKind::Mailbox], true);
        check(&[TransportKind::Mailbox, TransportKind::Tmux], false);
        check(&[TransportKind::AppServer], false);
    }
}
