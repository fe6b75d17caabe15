//! This program as an MCP server of a session: its way out of Codex's sandbox.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::put;
use crate::domain::Failure;

/// The server's name in Codex's configuration, and so in the names of its tools.
const SERVER_NAME: &str = "conveyor";

/// How long Codex waits for the server to start, in seconds.
const STARTUP_SECONDS: u32 = 30;

/// How long Codex waits for one tool, in seconds.
const TOOL_SECONDS: u32 = 600;

/// How long the server lets a tool wait for something to happen, so that it still answers in time.
const WAIT_SECONDS: u32 = TOOL_SECONDS - 30;

/// Adds the MCP server to the configuration of a session, beside what the user put there.
///
/// `variables` are those it needs; Codex starts it with few of its own. `database` is given when it
/// is not the state root's.
///
/// # Errors
/// When the user's own settings make `mcp_servers` something else than a table.
pub(super) fn attach(
    config: &mut Map<String, Value>,
    program: &Path,
    database: Option<&Path>,
    variables: &[(String, String)],
) -> Result<(), Failure> {
    let mut args = vec!["mcp".to_owned(), "--max-wait-seconds".to_owned(), WAIT_SECONDS.to_string()];
    if let Some(database) = database {
        args.extend(["--path".to_owned(), database.to_string_lossy().into_owned()]);
    }
    let env: Map<String, Value> =
        variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let server = json!({
        "command": program.to_string_lossy(),
        "args": args,
        "env": env,
        "startup_timeout_sec": STARTUP_SECONDS,
        "tool_timeout_sec": TOOL_SECONDS,
        // The tools are the session's way to supervise; asking for each would stop it every time.
        "default_tools_approval_mode": "approve",
    });
    put(config, &format!("mcp_servers.{SERVER_NAME}"), server)
        .map_err(|problem| Failure::usage(format!("-c mcp_servers: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_stands_beside_the_users_own() {
        let mut config = json!({"mcp_servers": {"mine": {"command": "x"}}, "a": 1});
        let variables = [("CONVEYOR_STATE_ROOT".to_owned(), "/state".to_owned())];
        let config = config.as_object_mut().unwrap();
        attach(config, Path::new("/bin/conveyor"), Some(Path::new("/db")), &variables).unwrap();
        let expect = json!({
            "command": "/bin/conveyor",
            "args": ["mcp", "--max-wait-seconds", "570", "--path", "/db"],
            "env": {"CONVEYOR_STATE_ROOT": "/state"},
            "startup_timeout_sec": 30,
            "tool_timeout_sec": 600,
            "default_tools_approval_mode": "approve",
        });
        assert_eq!(config["mcp_servers"]["conveyor"], expect);
        assert_eq!((&config["mcp_servers"]["mine"]["command"], &config["a"]), (&json!("x"), &json!(1)));

        let mut odd = json!({"mcp_servers": 7});
        let odd = odd.as_object_mut().unwrap();
        assert!(attach(odd, Path::new("/bin/conveyor"), None, &variables).is_err());
    }
}
