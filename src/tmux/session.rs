//! Sessions: started, found, ended.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tmux_interface::{HasSession, KillSession, NewSession, ShowEnvironment, TmuxCommand};

use super::pane::{format, remain_on_exit};
use super::{Pane, SessionName, TmuxError, TmuxServer};

const RESTART_PAUSE: Duration = Duration::from_millis(20);

/// The size of a session nobody is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaneSize {
    /// Width in characters.
    pub columns: u16,
    /// Height in lines.
    pub rows: u16,
}

impl Default for PaneSize {
    fn default() -> Self {
        Self { columns: 160, rows: 48 }
    }
}

/// What to start in a new session, and how.
#[derive(Clone)]
pub struct SpawnOptions {
    /// The name of the new session.
    pub session: SessionName,
    /// The directory to start in; must exist.
    pub cwd: PathBuf,
    /// The program and its arguments. No shell sees them; the program is found by `PATH`.
    pub argv: Vec<String>,
    /// Variables set for the session. Their values are visible to local users while tmux starts,
    /// as arguments of its process.
    pub env: Vec<(String, String)>,
    /// Variables the program must not inherit: names, or prefixes written as `npm_*`.
    pub unset_env: Vec<String>,
    /// The size until a client attaches.
    pub size: PaneSize,
    /// Keeps the pane when the program exits, so that its last words can be read with
    /// [`TmuxServer::view`]. Of a program that exits right after printing, tmux 3.3a may miss the
    /// words: about one in a hundred, on a busy machine.
    pub keep_dead_pane: bool,
}

impl SpawnOptions {
    /// Runs `argv` in `cwd`, with nothing else special.
    pub fn new(session: SessionName, cwd: impl Into<PathBuf>, argv: Vec<String>) -> Self {
        Self {
            session,
            cwd: cwd.into(),
            argv,
            env: Vec::new(),
            unset_env: Vec::new(),
            size: PaneSize::default(),
            keep_dead_pane: false,
        }
    }
}

/// Without the values of variables, which may be secret.
impl fmt::Debug for SpawnOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("SpawnOptions")
            .field("session", &self.session)
            .field("cwd", &self.cwd)
            .field("argv", &self.argv)
            .field("env", &names)
            .field("unset_env", &self.unset_env)
            .field("size", &self.size)
            .field("keep_dead_pane", &self.keep_dead_pane)
            .finish()
    }
}

impl TmuxServer {
    /// Whether a session of exactly this name exists. `false` when there is no server.
    pub fn has_session(&self, session: &SessionName) -> Result<bool, TmuxError> {
        match self.run(&[HasSession::new().target_session(session.exact()).build()]) {
            Ok(_) => Ok(true),
            Err(TmuxError::NoSession { .. }) => Ok(false),
            Err(error) if error.server_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Starts a detached session, and the server if there is none.
    ///
    /// A program that does not exist is a program that exits with status 127.
    ///
    /// # Errors
    /// [`TmuxError::SessionExists`] when the name is taken, [`TmuxError::Invalid`] when something
    /// cannot be expressed to tmux.
    pub fn new_session(&self, options: &SpawnOptions) -> Result<Pane, TmuxError> {
        let argv = program_arguments(options, &self.unset_names(options)?)?;
        let mut command = new_session_command(options)?;
        command.push_param("--");
        argv.into_iter().for_each(|argument| {
            command.push_param(argument);
        });
        // In the same call, so that a program that exits at once is caught.
        let keep = remain_on_exit(options.session.exact(), options.keep_dead_pane);

        self.make_default_directory();
        let printed = self.run_past_restart(&[command, keep])?;
        Pane::parse(printed.trim_end_matches('\n'))
    }

    /// Ends a session and the programs in it.
    pub fn kill_session(&self, session: &SessionName) -> Result<(), TmuxError> {
        self.run(&[KillSession::new().target_session(session.exact()).build()]).map(drop)
    }

    /// What a variable is set to for a session. `None` when it is not, and when there is no such
    /// session or no server.
    pub fn session_variable(&self, session: &SessionName, name: &str) -> Result<Option<String>, TmuxError> {
        if !self.has_session(session)? {
            return Ok(None);
        }
        let listed = self.run(&[ShowEnvironment::new().target_session(session.exact()).build()])?;
        let mut variables = listed.lines().filter_map(|line| line.split_once('='));
        Ok(variables.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned()))
    }

    /// A server whose last session has just ended accepts a call and exits without serving it:
    /// nothing was started, so the call may be repeated until a new server takes it.
    fn run_past_restart(&self, commands: &[TmuxCommand<'_>]) -> Result<String, TmuxError> {
        let deadline = Instant::now() + self.deadline;
        loop {
            match self.run(commands) {
                Err(error) if error.server_absent() && Instant::now() < deadline => {
                    thread::sleep(RESTART_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// The names that `unset_env` means: the program would inherit them from the server, or from
    /// us if this call starts the server.
    fn unset_names(&self, options: &SpawnOptions) -> Result<BTreeSet<String>, TmuxError> {
        let (prefixes, mut names): (Vec<&str>, BTreeSet<String>) = partition_patterns(&options.unset_env);
        if prefixes.is_empty() {
            return Ok(names);
        }
        let in_server = match self.run(&[ShowEnvironment::new().global().build()]) {
            Err(error) if error.server_absent() => String::new(),
            listed => listed?,
        };
        let in_server =
            in_server.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned());
        let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.extend(
            in_server.chain(ours).filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))),
        );
        Ok(names)
    }

    /// tmux makes the directory of its default socket only when it looks for the socket itself.
    fn make_default_directory(&self) {
        if let Some(directory) = self.default_directory() {
            // If this fails, tmux says why it cannot create its socket.
            let _ = DirBuilder::new().mode(0o700).create(directory);
        }
    }
}

fn partition_patterns(patterns: &[String]) -> (Vec<&str>, BTreeSet<String>) {
    let prefixes = patterns.iter().filter_map(|pattern| pattern.strip_suffix('*')).collect();
    let names = patterns.iter().filter(|pattern| !pattern.ends_with('*')).cloned().collect();
    (prefixes, names)
}

fn new_session_command(options: &SpawnOptions) -> Result<TmuxCommand<'static>, TmuxError> {
    let mut command = NewSession::new()
        .detached()
        .print()
        .format(format())
        .session_name(without_formats(options.session.as_str()))
        .width(options.size.columns.into())
        .height(options.size.rows.into())
        .start_directory(without_formats(directory(&options.cwd)?));
    for (name, value) in &options.env {
        check_variable(name)?;
        command = command.environment(name.clone(), value.clone());
    }
    Ok(command.build())
}

/// The command line of the pane. `env` comes first because tmux hands a command of one word to a
/// shell, because it can unset variables, and because it says so in the pane when the program is
/// missing.
fn program_arguments(options: &SpawnOptions, unset: &BTreeSet<String>) -> Result<Vec<String>, TmuxError> {
    match options.argv.first() {
        None => return Err(invalid("command", "", "is empty")),
        Some(program) if program.is_empty() || program.contains('=') || program.starts_with('-') => {
            return Err(invalid("program", program, "is empty, starts with '-' or contains '='"));
        }
        Some(_) => {}
    }
    let mut arguments = vec!["env".to_owned()];
    for name in unset {
        check_variable(name)?;
        arguments.extend(["-u".to_owned(), name.clone()]);
    }
    arguments.extend(options.argv.iter().cloned());
    match arguments.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(invalid("argument", argument, "contains a NUL byte")),
        None => Ok(arguments),
    }
}

/// tmux would start in the home directory instead of one that does not exist.
fn directory(cwd: &Path) -> Result<&str, TmuxError> {
    let text = cwd.to_str().ok_or_else(|| invalid("directory", &cwd.to_string_lossy(), "is not UTF-8"))?;
    match (cwd.is_absolute(), cwd.is_dir()) {
        (true, true) => Ok(text),
        (false, _) => Err(invalid("directory", text, "is not an absolute path")),
        (true, false) => Err(invalid("directory", text, "does not exist")),
    }
}

fn check_variable(name: &str) -> Result<(), TmuxError> {
    if name.is_empty() || name.starts_with('-') || name.contains(['=', '\0']) {
        return Err(invalid("environment variable", name, "is not a name"));
    }
    Ok(())
}

/// tmux expands names and directories as formats, in which `#(…)` runs a shell.
fn without_formats(text: &str) -> String {
    text.replace('#', "##")
}

fn invalid(what: &'static str, value: &str, problem: &'static str) -> TmuxError {
    TmuxError::Invalid { what, value: value.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use tmux_interface::{RunShell, SetEnvironment};

    use super::super::Target;
    use super::super::testing::{TestServer, session_name, wait_for};
    use super::*;

    /// Starts a program and waits for what it prints, up to `end`.
    fn printed(server: &TestServer, options: &SpawnOptions, end: &str) -> String {
        let target = server.new_session(options).unwrap().id.into();
        wait_for(end, || Some(server.capture(&target, 50).unwrap()).filter(|text| text.ends_with(end)))
    }

    fn wait_for_death(server: &TestServer, target: &Target) -> Pane {
        wait_for("the program to exit", || Some(server.pane(target).unwrap()).filter(|pane| pane.dead))
    }

    #[test]
    fn a_variable_is_read_where_it_was_set() {
        let server = TestServer::new();
        let read = |session: &str| server.session_variable(&session_name(session), "MARK").unwrap();
        assert_eq!(read("w"), None, "no server yet");
        let cat = vec!["cat".to_owned()];
        let options = SpawnOptions::new(session_name("w"), "/", cat.clone());
        server.new_session(&SpawnOptions { env: vec![("MARK".into(), "a=b".into())], ..options }).unwrap();
        server.new_session(&SpawnOptions::new(session_name("other"), "/", cat)).unwrap();
        assert_eq!(read("w").as_deref(), Some("a=b"));
        assert_eq!(read("other"), None);
        assert_eq!(read("nobody"), None);
    }

    #[test]
    fn a_session_is_found_by_its_exact_name_only() {
        let server = TestServer::new();
        assert!(!server.has_session(&session_name("codex-a")).unwrap(), "no server yet");
        server.start("codex-abc", &["cat"]);
        let check = |name: &str, expect: bool| {
            assert_eq!(server.has_session(&session_name(name)).unwrap(), expect, "{name}");
        };
        check("codex-abc", true);
        check("codex-ab", false);
        check("codex-*", false);
    }

    #[test]
    fn a_taken_name_is_refused_and_changes_nothing() {
        let server = TestServer::new();
        let first = server.start("a", &["cat"]);
        let error = server.new_session(&server.options("a", &["cat"])).unwrap_err();
        assert!(matches!(&error, TmuxError::SessionExists { name } if name == "a"), "{error}");
        assert_eq!(server.panes().unwrap().iter().map(|pane| pane.id).collect::<Vec<_>>(), [first.id]);
    }

    #[test]
    fn only_the_named_session_is_ended() {
        let server = TestServer::new();
        server.start("a", &["cat"]);
        server.start("ab", &["cat"]);
        server.kill_session(&session_name("a")).unwrap();
        assert!(server.has_session(&session_name("ab")).unwrap());
        let error = server.kill_session(&session_name("a")).unwrap_err();
        assert!(matches!(&error, TmuxError::NoSession { target } if target == "a"), "{error}");
    }

    #[test]
    fn a_session_starts_while_the_server_of_the_last_one_exits() {
        let server = TestServer::new();
        for _ in 0..20 {
            server.start("a", &["cat"]);
            server.kill_session(&session_name("a")).unwrap();
        }
        assert!(server.panes().unwrap().is_empty());
    }

    #[test]
    fn nothing_given_is_read_by_a_shell_or_as_a_format() {
        let server = TestServer::new();
        let cwd = server.path("a #(touch stolen) #{pid} ;");
        std::fs::create_dir(&cwd).unwrap();
        let script = r#"pwd; printf '%s|' "$@" "$SET" "${DROP_ONE-unset}" "${DROP_TWO-unset}" end; cat"#;
        let arguments = ["-x", "$(touch stolen)", "#{pid}", "two words", "end;", "\\;", ";", "é"];
        let mut options = server.options("a", &["sh", "-c", script, "sh"]);
        options.argv.extend(arguments.map(str::to_owned));
        options.cwd = cwd.clone();
        options.env = [("SET", "$HOME #{pid};"), ("DROP_ONE", "1"), ("DROP_TWO", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        options.unset_env = vec!["DROP_ONE".into(), "DROP_TWO".into()];
        options.size = PaneSize { columns: 300, rows: 20 };

        let text = printed(&server, &options, "end|");
        let mut lines = text.lines();
        assert_eq!(lines.next(), cwd.canonicalize().unwrap().to_str());
        assert_eq!(
            lines.next().unwrap(),
            "-x|$(touch stolen)|#{pid}|two words|end;|\\;|;|é|$HOME #{pid};|unset|unset|end|"
        );
        assert!(!cwd.join("stolen").exists() && !server.path("stolen").exists());
    }

    #[test]
    fn a_command_of_one_word_is_not_given_to_a_shell_either() {
        let server = TestServer::new();
        let mut options = server.options("a", &["touch stolen"]);
        options.keep_dead_pane = true;
        wait_for_death(&server, &server.new_session(&options).unwrap().id.into());
        assert!(!server.path("stolen").exists());
    }

    #[test]
    fn variables_of_the_server_are_unset_by_prefix() {
        let server = TestServer::new();
        server.start("other", &["cat"]);
        for name in ["npm_one", "npm_two"] {
            server.run(&[SetEnvironment::new().global().name(name).value("1").build()]).unwrap();
        }
        let mut options = server.options("all", &["sh", "-c", "env | grep -c ^npm_; echo end; cat"]);
        assert_eq!(printed(&server, &options, "end"), "2\nend");

        options.session = session_name("cleaned");
        options.unset_env = vec!["npm_*".into()];
        assert_eq!(printed(&server, &options, "end"), "0\nend");
    }

    #[test]
    fn a_program_that_exits_at_once_leaves_its_pane() {
        let server = TestServer::new();
        for round in 0..10 {
            let mut options = server.options(&format!("a{round}"), &["false"]);
            options.keep_dead_pane = true;
            wait_for_death(&server, &server.new_session(&options).unwrap().id.into());
        }
    }

    #[test]
    fn a_program_that_exits_leaves_its_last_words_and_status() {
        let server = TestServer::new();
        let mut options = server.options("a", &["sh", "-c", "echo cannot start; read line; exit 3"]);
        options.keep_dead_pane = true;
        let target = server.new_session(&options).unwrap().id.into();
        wait_for("its words", || server.capture(&target, 0).unwrap().contains("cannot start").then_some(()));
        server.submit(&target).unwrap();
        wait_for_death(&server, &target);
        let view = wait_for("its status", || {
            // tmux 3.3a may overlook that a program has exited until the next one does.
            server.run(&[RunShell::new().shell_command("true").build()]).unwrap();
            Some(server.view(&target, 50).unwrap()).filter(|view| view.pane.exit_status.is_some())
        });
        assert_eq!(view.pane.exit_status, Some(3));
        assert!(view.text.starts_with("cannot start\n"), "{}", view.text);
    }

    #[test]
    fn what_tmux_would_misread_is_refused_before_it_runs() {
        let server = TestServer::new();
        let check = |change: fn(&mut SpawnOptions), expect: &str| {
            let mut options = server.options("a", &["cat"]);
            change(&mut options);
            let error = server.new_session(&options).unwrap_err();
            assert!(matches!(error, TmuxError::Invalid { .. }), "{error}");
            assert!(error.to_string().contains(expect), "{error}");
        };
        check(|options| options.argv.clear(), "command");
        check(|options| options.argv[0] = "A=b".into(), "program");
        check(|options| options.argv[0] = "-u".into(), "program");
        check(|options| options.argv.push("\0".into()), "NUL");
        check(|options| options.cwd = "/nonexistent/dir".into(), "does not exist");
        check(|options| options.cwd = "relative".into(), "absolute");
        check(|options| options.env.push(("A=B".into(), "c".into())), "variable");
        check(|options| options.unset_env.push("-i".into()), "variable");
        assert!(server.panes().unwrap().is_empty());
    }

    #[test]
    fn debug_output_hides_values() {
        let mut options = SpawnOptions::new(session_name("a"), "/", vec!["cat".into()]);
        options.env.push(("API_KEY".into(), "sk-secret".into()));
        let shown = format!("{options:?}");
        assert!(shown.contains("API_KEY") && !shown.contains("sk-secret"), "{shown}");
    }
}
