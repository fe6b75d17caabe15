//! The command lines that start Codex in a terminal.

use super::{settings::Settings, version::Recipe};
use serde_json::{Map, Value};
use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::Path};

/// The terminal of a thread that a private app-server holds. `args` are the user's own.
///
/// The thread's sandbox, approval policy and model were given to `thread/start`: Codex refuses
/// them here, and without them the terminal shows and keeps what the thread has.
pub fn attached(program: &Path, socket: &Path, thread_id: &str, args: &[String]) -> Vec<OsString> {
    let mut address = OsString::from("unix://");
    address.push(socket);
    let mut argv = vec![program.into(), "--remote".into(), address, "resume".into(), thread_id.into()];
    argv.extend(args.iter().map(OsString::from));
    argv
}

/// Codex's flags that decide sandbox and approval policy together, and refuse to stand beside others.
const DECIDES_PERMISSIONS: [&str; 4] =
    ["--approve-for-me", "--dangerously-bypass-approvals-and-sandbox", "--full-auto", "--yolo"];

/// Codex's options that take the next word as their value.
pub const TAKES_VALUE: [&str; 18] = [
    "--add-dir",
    "--ask-for-approval",
    "--cd",
    "--config",
    "--disable",
    "--enable",
    "--image",
    "--local-provider",
    "--model",
    "--profile",
    "--remote",
    "--sandbox",
    "-C",
    "-a",
    "-c",
    "-i",
    "-m",
    "-p",
];

/// Whether one of Codex's arguments is a prompt.
pub fn has_prompt(args: &[String]) -> bool {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if TAKES_VALUE.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') {
            return true;
        }
    }
    false
}

/// A terminal that owns its thread, with `settings`, Codex configuration for this session alone,
/// and the first message if there is one.
pub fn embedded(
    program: &Path,
    recipe: Recipe,
    settings: &Settings,
    config: &Map<String, Value>,
    prompt: Option<&str>,
) -> Vec<OsString> {
    let mut argv = vec![program.into()];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(OsString::from));
    // Codex without this flag has no daemon to keep away from.
    if recipe != Recipe::OpenFiles {
        add(&["--no-daemon"]);
    }
    let args = settings.args.as_deref().unwrap_or_default();
    if !args.iter().any(|arg| DECIDES_PERMISSIONS.contains(&arg.as_str())) {
        add(&["--sandbox", settings.effective_sandbox().as_str()]);
        add(&["--ask-for-approval", settings.effective_approval_policy().as_str()]);
    }
    if let Some(model) = &settings.model {
        add(&["--model", model]);
    }
    if let Some(provider) = &settings.model_provider {
        add(&["-c", &format!("model_provider={}", toml::Value::from(provider.as_str()))]);
    }
    for setting in overrides(config) {
        add(&["-c", &setting]);
    }
    for arg in args {
        add(&[arg]);
    }
    if let Some(prompt) = prompt {
        add(&["--", prompt]);
    }
    argv
}

/// `config` as values of Codex's `-c`: `a.b=<TOML>`, one for each leaf. Values that TOML cannot
/// express, such as `null`, are left out.
fn overrides(config: &Map<String, Value>) -> Vec<String> {
    fn collect(prefix: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    collect(&format!("{prefix}.{key}"), value, found);
                }
            }
            leaf => found.extend(toml::Value::try_from(leaf).ok().map(|leaf| format!("{prefix}={leaf}"))),
        }
    }
    let mut found = Vec::new();
    for (key, value) in config {
        collect(key, value, &mut found);
    }
    found
}

/// The variables that tell where *this* program runs, which a session started by it must not
/// inherit: npm's, the pane's, and those of a Codex session that runs this program. A trailing `*`
/// stands for any ending.
pub const LAUNCHER_VARIABLES: &[&str] = &[
    "CODEX_CI",
    "CODEX_PERMISSION_PROFILE",
    "CODEX_SESSION_ID",
    "CODEX_THREAD_ID",
    "CODEX_TOOL_CALL_ID",
    "CODEX_VERSION",
    "TMUX_PANE",
    "npm_*",
];

/// Of the variables `names`, those that [`LAUNCHER_VARIABLES`] stands for.
pub fn launcher_variables(names: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_one = |name: &OsString, pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.as_bytes().starts_with(beginning.as_bytes()),
        None => name == pattern,
    };
    let is_launchers = |name: &OsString| LAUNCHER_VARIABLES.iter().any(|pattern| is_one(name, pattern));
    names.into_iter().filter(is_launchers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codex::policy::{ApprovalPolicy, SandboxMode};
    use serde_json::json;
    use std::ffi::OsStr;

    fn check(argv: Vec<OsString>, expected: &str) {
        assert_eq!(argv.join(OsStr::new("|")), expected);
    }

    #[test]
    fn attached_terminals() {
        let args = ["--no-alt-screen".to_owned()];
        let argv = attached(Path::new("/bin/codex"), Path::new("/run/a b.sock"), "t-1", &args);
        check(argv, "/bin/codex|--remote|unix:///run/a b.sock|resume|t-1|--no-alt-screen");
    }

    #[test]
    fn embedded_terminals() {
        let program = Path::new("codex");
        let plain = embedded(program, Recipe::OpenFiles, &Settings::default(), &Map::new(), Some("-go 'on'"));
        check(plain, "codex|--sandbox|danger-full-access|--ask-for-approval|never|--|-go 'on'");

        let settings = Settings {
            sandbox: Some(SandboxMode::ReadOnly),
            approval_policy: Some(ApprovalPolicy::OnRequest),
            model: Some("m".into()),
            model_provider: Some("p \"q\"".into()),
            args: Some(vec!["--search".into()]),
            ..Settings::default()
        };
        let config = json!({
            "mcp_servers": {"conveyor": {"command": "/bin/con veyor", "args": ["mcp"], "cwd": null}},
            "check_for_update_on_startup": false,
        });
        let full = embedded(program, Recipe::EmbeddedLock, &settings, config.as_object().unwrap(), None);
        check(
            full,
            "codex|--no-daemon|--sandbox|read-only|--ask-for-approval|on-request|--model|m\
             |-c|model_provider='p \"q\"'|-c|check_for_update_on_startup=false\
             |-c|mcp_servers.conveyor.args=[\"mcp\"]|-c|mcp_servers.conveyor.command=\"/bin/con veyor\"\
             |--search",
        );
    }

    #[test]
    fn permissions_are_decided_once() {
        let settings = Settings { args: Some(vec!["--yolo".into()]), ..Settings::default() };
        let argv = embedded(Path::new("codex"), Recipe::OpenFiles, &settings, &Map::new(), None);
        check(argv, "codex|--yolo");
    }

    #[test]
    fn prompts_are_told_from_values() {
        fn check(args: &[&str], expect: bool) {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(has_prompt(&args), expect, "{args:?}");
        }
        check(&[], false);
        check(&["--search", "-m", "o3", "--model=o3"], false);
        check(&["-m", "o3", "fix it"], true);
        check(&["fix it", "--search"], true);
    }

    #[test]
    fn only_the_launchers_variables_are_removed() {
        let names =
            ["PATH", "npm_config_x", "NPM_TOKEN", "TMUX", "TMUX_PANE", "CODEX_HOME", "CODEX_THREAD_ID"];
        let removed = launcher_variables(names.map(OsString::from));
        assert_eq!(removed, ["npm_config_x", "TMUX_PANE", "CODEX_THREAD_ID"]);
    }
}
