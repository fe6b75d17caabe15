//! A place of its own for each test.

use super::processes::{self, Process};
use super::run::Run;
use super::wait::poll;
use super::{Model, Script, codex};
use rustix::process::Signal;
use serde_json::json;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The name of the tmux server's socket in every world's own `TMUX_TMPDIR`.
const TMUX_SOCKET: &str = "cv";

/// How long the processes of a world may take to end by themselves, and by force.
const GRACE: Duration = Duration::from_secs(2);
const FORCE: Duration = Duration::from_secs(20);

/// A directory with a state root, a home, a Codex home, a tmux server and, when asked for, a
/// scripted model; nothing of the user's is seen from inside.
///
/// Dropping it ends every process that was started in it, directly or not, and removes it.
pub(crate) struct World {
    root: TempDir,
    model: Option<Model>,
}

impl World {
    /// A world without Codex.
    pub(crate) fn new() -> Self {
        Self::build(None)
    }

    /// A world with the real Codex, whose model follows `script`.
    pub(crate) fn with_codex(script: Script) -> Self {
        let world = Self::build(Some(Model::start(script)));
        symlink(codex::program(), world.bin().join("codex")).unwrap();
        let config = format!("check_for_update_on_startup = false\n{}", world.model().config_toml());
        fs::write(world.codex_config(), config).unwrap();
        world
    }

    fn build(model: Option<Model>) -> Self {
        // Not $TMPDIR: a socket's path must stay below 108 bytes.
        let root = TempDir::with_prefix_in("cv-", "/tmp").unwrap();
        let world = Self { root, model };
        for directory in [world.state_root(), world.codex_home(), world.home(), world.bin(), world.tmux_dir()]
        {
            fs::create_dir(directory).unwrap();
        }
        if let Some(tmux) = find_program("tmux") {
            symlink(tmux, world.bin().join("tmux")).unwrap();
        }
        world
    }

    /// The directory everything is in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where conveyor keeps its state.
    pub(crate) fn state_root(&self) -> PathBuf {
        self.root().join("state")
    }

    /// Codex's home, with the rollouts.
    pub(crate) fn codex_home(&self) -> PathBuf {
        self.root().join("codex")
    }

    /// The user's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The first directory of `PATH`; a program put here hides the real one.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    fn tmux_dir(&self) -> PathBuf {
        self.root().join("tmux")
    }

    fn codex_config(&self) -> PathBuf {
        self.codex_home().join("config.toml")
    }

    /// The working directory `name`, made when it is not there, and trusted by Codex.
    pub(crate) fn work_dir(&self, name: &str) -> PathBuf {
        let directory = self.root().join("work").join(name);
        if !directory.exists() {
            fs::create_dir_all(&directory).unwrap();
            self.trust(&directory);
        }
        directory
    }

    fn trust(&self, directory: &Path) {
        let mut config = OpenOptions::new().create(true).append(true).open(self.codex_config()).unwrap();
        writeln!(config, "\n[projects.\"{}\"]\ntrust_level = \"trusted\"", directory.display()).unwrap();
    }

    /// Gives every Codex session conveyor's tools, as an MCP server that is started with `flags`.
    pub(crate) fn give_tools(&self, flags: &[&str]) {
        let args = [&["mcp"], flags].concat();
        let server = json!({
            "command": env!("CARGO_BIN_EXE_conveyor"),
            "args": args,
            "env": {"CONVEYOR_STATE_ROOT": self.state_root(), "CODEX_HOME": self.codex_home()},
            "tool_timeout_sec": 600,
        });
        let config = toml::to_string(&json!({"mcp_servers": {"conveyor": server}})).unwrap();
        let mut file = OpenOptions::new().append(true).open(self.codex_config()).unwrap();
        write!(file, "\n{config}").unwrap();
    }

    /// The model; panics in a world without Codex.
    pub(crate) fn model(&self) -> &Model {
        self.model.as_ref().unwrap()
    }

    /// `program` with the environment of this world and nothing else.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.root())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin().display()))
            .env("HOME", self.home())
            .env("CODEX_HOME", self.codex_home())
            .env("CONVEYOR_STATE_ROOT", self.state_root())
            .env("CONVEYOR_TMUX_SOCKET", TMUX_SOCKET)
            .env("TMUX_TMPDIR", self.tmux_dir())
            .envs([("LANG", "C.UTF-8"), ("TERM", "xterm-256color"), ("TZ", "UTC"), ("SHELL", "/bin/sh")]);
        command
    }

    /// Runs conveyor in the root of this world.
    pub(crate) fn conveyor(&self, args: &[&str]) -> Run {
        self.conveyor_in(self.root(), args, "")
    }

    /// Runs conveyor in `directory` with `input` on its standard input.
    pub(crate) fn conveyor_in(&self, directory: &Path, args: &[&str], input: &str) -> Run {
        let mut command = self.command(env!("CARGO_BIN_EXE_conveyor"));
        Run::of(command.args(args).current_dir(directory), input)
    }

    /// The real Codex, to be run in `directory`.
    pub(crate) fn codex(&self, directory: &Path) -> Command {
        let mut command = self.command(self.bin().join("codex"));
        command.current_dir(directory);
        command
    }

    /// Runs tmux against the server of this world, which the first session starts.
    pub(crate) fn tmux(&self, args: &[&str], input: &str) -> Run {
        let mut command = self.command(self.bin().join("tmux"));
        Run::of(command.args(["-L", TMUX_SOCKET, "-f", "/dev/null"]).args(args), input)
    }

    /// Puts lines of shell script before tmux, in front of everybody in this world.
    pub(crate) fn before_tmux(&self, script: &str) {
        let tmux = self.bin().join("tmux");
        let real = fs::read_link(&tmux).unwrap();
        fs::remove_file(&tmux).unwrap();
        fs::write(&tmux, format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", real.display())).unwrap();
        fs::set_permissions(&tmux, Permissions::from_mode(0o755)).unwrap();
    }

    /// What a pane shows; empty when there is no such pane. `target` is what tmux calls one.
    pub(crate) fn pane(&self, target: &str) -> String {
        self.tmux(&["capture-pane", "-p", "-t", target], "").stdout
    }

    /// The processes that run in this world.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::mentioning(self.root())
    }

    /// Asks every process to end, then makes it. Returns those that stay.
    fn end_processes(&self) -> Vec<Process> {
        self.signal(Signal::TERM);
        if poll(GRACE, || self.processes().is_empty().then_some(())).is_none() {
            // Again and again, for what a dying process may just have started.
            poll(FORCE, || self.signal(Signal::KILL).is_empty().then_some(()));
        }
        self.processes()
    }

    fn signal(&self, signal: Signal) -> Vec<Process> {
        let processes = self.processes();
        processes.iter().for_each(|process| process.signal(signal));
        processes
    }

    /// Shows what a failed test was looking at.
    fn explain(&self) {
        let panes = self.tmux(&["list-panes", "-a", "-F", "#{pane_id}"], "").stdout;
        for pane in panes.lines() {
            eprintln!("--- pane {pane}\n{}", self.pane(pane).trim_end());
        }
        for process in self.processes() {
            eprintln!("--- process {} {}", process.pid, process.command);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            self.explain();
        }
        let left = self.end_processes();
        assert!(failed || left.is_empty(), "still running: {left:?}");
    }
}

/// The first file called `program` on the `PATH` of the test.
fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}
