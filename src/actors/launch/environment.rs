//! What a started session inherits, and what it does not.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use crate::actors::paths::Paths;
use crate::codex::launch::launcher_variables;

/// The variables that a session needs to find its way back here, from the environment of this
/// process. A tmux server hands on its own environment, which may be another.
pub(super) fn variables(paths: &Paths, tmux_socket: Option<&Path>) -> Vec<(String, String)> {
    let mut variables = vec![("CONVEYOR_STATE_ROOT", paths.state_root.clone().into_os_string())];
    let tmux_socket = tmux_socket.map(|socket| ("CONVEYOR_TMUX_SOCKET", socket.into()));
    // The session works in another directory: a relative path would be another one there.
    let codex_home = env::var_os("CODEX_HOME").filter(|home| !home.is_empty());
    let codex_home = codex_home.and_then(|home| std::path::absolute(home).ok());
    variables.extend(tmux_socket);
    variables.extend(codex_home.map(|home| ("CODEX_HOME", home.into_os_string())));
    variables.extend(env::var_os("PATH").map(|path| ("PATH", path)));
    // tmux and Codex's configuration take only text.
    let text = |(name, value): (&str, OsString)| Some((name.to_owned(), value.into_string().ok()?));
    variables.into_iter().filter_map(text).collect()
}

/// The same as changes to the environment of this process, for a child of it: what tells where this
/// program runs is taken away.
pub(super) fn changes(variables: &[(String, String)]) -> Vec<(OsString, Option<OsString>)> {
    let removed = launcher_variables(env::vars_os().map(|(name, _)| name)).into_iter();
    let set = variables.iter().map(|(name, value)| (name.into(), Some(value.into())));
    removed.map(|name| (name, None)).chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_which_state_and_which_tmux_to_use() {
        let paths = Paths::of(Path::new("/state"), None);
        let variables = variables(&paths, Some(Path::new("/tmux/s")));
        let has =
            |name: &str, value: &str| variables.iter().any(|(known, given)| known == name && given == value);
        assert!(has("CONVEYOR_STATE_ROOT", "/state") && has("CONVEYOR_TMUX_SOCKET", "/tmux/s"));
        let changes = changes(&variables);
        assert!(changes.iter().any(|(name, value)| name == "PATH" && value.is_some()));
    }
}
