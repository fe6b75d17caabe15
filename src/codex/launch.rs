//! The command lines that start Codex in a terminal.

use super::{settings::Settings, version::Recipe};
use serde_json::{Map, Value};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

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
    add(&["--sandbox", settings.effective_sandbox().as_str()]);
    add(&["--ask-for-approval", settings.effective_approval_policy().as_str()]);
    if let Some(model) = &settings.model {
        add(&["--model", model]);
    }
    if let Some(provider) = &settings.model_provider {
        add(&["-c", &format!("model_provider={}", toml::Value::from(provider.as_str()))]);
    }
    for setting in overrides(config) {
        add(&["-c", &setting]);
    }
    for arg in settings.args.iter().flatten() {
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

/// Of the variables `names`, those that tell where *this* program runs, which a session started by
/// it must not inherit: npm's, the pane's, and those of a Codex session that runs this program.
pub fn launcher_variables(names: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    const SESSION: &[&str] = &[
        "CODEX_CI",
        "CODEX_PERMISSION_PROFILE",
        "CODEX_SESSION_ID",
        "CODEX_THREAD_ID",
        "CODEX_TOOL_CALL_ID",
        "CODEX_VERSION",
        "TMUX_PANE",
    ];
    let is_launchers = |name: &OsString| {
        name.as_bytes().starts_with(b"npm_") || SESSION.iter().any(|known| name.as_os_str() == *known)
    };
    names.into_iter().filter(is_launchers).collect()
}

/// `argv`, run by `env` without the variables `names`. No shell is involved.
pub fn without_variables(names: &[OsString], argv: Vec<OsString>) -> Vec<OsString> {
    if names.is_empty() {
        return argv;
    }
    let mut wrapped = vec![OsString::from("env")];
    for name in names {
        wrapped.extend([OsString::from("-u"), name.clone()]);
    }
    wrapped.extend(argv);
    wrapped
}

/// `argv` as one line for a POSIX shell that runs exactly that, for where only a line can be given.
/// The shell replaces itself, so that the process it started is the program.
pub fn shell_line<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> OsString {
    let mut line = b"exec".to_vec();
    for word in argv {
        line.push(b' ');
        quote(word.as_ref().as_bytes(), &mut line);
    }
    OsString::from_vec(line)
}

fn quote(word: &[u8], line: &mut Vec<u8>) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        line.extend(word);
        return;
    }
    line.push(b'\'');
    for &byte in word {
        match byte {
            b'\'' => line.extend(b"'\\''"),
            other => line.push(other),
        }
    }
    line.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codex::policy::{ApprovalPolicy, SandboxMode};
    use serde_json::json;
    use std::process::Command;

    fn check(argv: Vec<OsString>, expected: &[&str]) {
        assert_eq!(argv, expected);
    }

    #[test]
    fn attached_terminals() {
        let args = ["--no-alt-screen".to_owned()];
        let argv = attached(Path::new("/bin/codex"), Path::new("/run/a b.sock"), "t-1", &args);
        check(argv, &["/bin/codex", "--remote", "unix:///run/a b.sock", "resume", "t-1", "--no-alt-screen"]);
    }

    #[test]
    fn embedded_terminals() {
        let program = Path::new("codex");
        let nothing = Map::new();
        check(
            embedded(program, Recipe::OpenFiles, &Settings::default(), &nothing, Some("-go 'on'")),
            &["codex", "--sandbox", "danger-full-access", "--ask-for-approval", "never", "--", "-go 'on'"],
        );
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
        check(
            embedded(program, Recipe::EmbeddedLock, &settings, config.as_object().unwrap(), None),
            &[
                "codex",
                "--no-daemon",
                "--sandbox",
                "read-only",
                "--ask-for-approval",
                "on-request",
                "--model",
                "m",
                "-c",
                "model_provider='p \"q\"'",
                "-c",
                "check_for_update_on_startup=false",
                "-c",
                "mcp_servers.conveyor.args=[\"mcp\"]",
                "-c",
                "mcp_servers.conveyor.command=\"/bin/con veyor\"",
                "--search",
            ],
        );
    }

    #[test]
    fn only_the_launchers_variables_are_removed() {
        let names =
            ["PATH", "npm_config_x", "NPM_TOKEN", "TMUX", "TMUX_PANE", "CODEX_HOME", "CODEX_THREAD_ID"];
        let removed = launcher_variables(names.map(OsString::from));
        assert_eq!(removed, ["npm_config_x", "TMUX_PANE", "CODEX_THREAD_ID"]);
        check(
            without_variables(&removed[..1], vec!["codex".into()]),
            &["env", "-u", "npm_config_x", "codex"],
        );
        check(without_variables(&[], vec!["codex".into()]), &["codex"]);
    }

    #[test]
    fn a_shell_reads_a_line_as_the_same_words() {
        let words =
            ["", "a b", "it's", "\"$HOME\" `x` \\", "line\nbreak", "!*?~#;|&<>(){}[]", "plain-1.0/=@", "ü"];
        let line = shell_line(["printf", "%s\\0"].into_iter().chain(words));
        let output = Command::new("/bin/sh").arg("-c").arg(line).output().unwrap();
        let read: Vec<_> = output.stdout.split_inclusive(|&byte| byte == 0).collect();
        let expected: Vec<_> = words.iter().map(|word| format!("{word}\0").into_bytes()).collect();
        assert_eq!(read, expected);
        assert_eq!(shell_line(["codex", "a b"]), "exec codex 'a b'");
    }
}
