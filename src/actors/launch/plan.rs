//! What is to be started, with every default filled in and everything looked up.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::args::CodexArgs;
use super::{environment, mcp, progress};
use crate::actors::Caller;
use crate::actors::blocking::blocking;
use crate::actors::paths::Paths;
use crate::actors::window::attach_command;
use crate::codex::app_server::{ThreadStart, socket_path};
use crate::codex::discover::{Clues, Identity, identify, system_processes};
use crate::codex::install::{self, InstallError};
use crate::codex::settings::Settings;
use crate::codex::version::{Recipe, Version};
use crate::domain::{Failure, ids::new_id, name};
use crate::tmux::{SessionName, TmuxServer};

/// How long Codex may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(20);

/// The key of Codex's configuration whose screen would stand in the way.
const UPDATE_CHECK: &str = "check_for_update_on_startup";

/// What somebody wants to be started.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The session's name, shown by Codex as the name of its thread.
    pub name: &'a str,
    /// The tmux session to make.
    pub tmux_session: String,
    /// How Codex is to be started.
    pub codex: &'a CodexArgs,
    /// The rollout of a session to go on with.
    pub codex_session: Option<&'a Path>,
    /// How long starting may take.
    pub timeout: Duration,
    /// conveyor's own MCP server is wanted in the session.
    pub mcp: bool,
    /// The terminal has to own its thread, so that its process is the session's.
    pub own_terminal: bool,
}

/// What is to be started.
#[derive(Debug)]
pub struct Plan {
    /// No other start has it.
    pub(super) id: String,
    /// The session's name.
    pub name: String,
    /// Where it works, absolute.
    pub cwd: PathBuf,
    /// How it is run and found.
    pub recipe: Recipe,
    /// What it is given to do first.
    pub prompt: Option<String>,
    /// The flags over the settings files.
    pub settings: Settings,
    pub(super) program: PathBuf,
    pub(super) version: Option<String>,
    pub(super) codex_home: Option<PathBuf>,
    pub(super) config: Map<String, Value>,
    pub(super) mcp: bool,
    pub(super) variables: Vec<(String, String)>,
    pub(super) tmux: Option<(TmuxServer, SessionName)>,
    pub(super) resume: Option<Identity>,
    pub(super) accept_trust: bool,
    pub(super) timeout: Duration,
    pub(super) paths: Paths,
    begun: Instant,
    interrupted: Cell<bool>,
}

impl Plan {
    /// Looks everything up. Starts nothing but `codex --version`.
    ///
    /// # Errors
    /// What is missing or contradictory: the directory, Codex, a settings file, a flag.
    pub async fn resolve(wish: Wish<'_>, paths: &Paths, caller: &Caller) -> Result<Self, Failure> {
        name::check("session", wish.name)?;
        let begun = Instant::now();
        let codex = wish.codex;
        let tmux = match codex.no_tmux {
            true => None,
            false => Some((
                TmuxServer::resolve(|name| std::env::var_os(name)),
                SessionName::of_new(wish.tmux_session)?,
            )),
        };
        let cwd = directory(&caller.cwd, codex.cwd.as_deref())?;
        let settings = {
            let (flags, cwd) = (program_from(codex.settings(), &caller.cwd), cwd.clone());
            blocking(move || Settings::load(&cwd).map(|files| flags.over(files))).await??
        };
        let (program, version, able) = installed(settings.program.clone(), wish.timeout).await?;
        let recipe = chosen(able, codex, version.as_deref())?;
        let recipe = if wish.own_terminal { recipe.in_own_terminal() } else { recipe };
        let resume = match wish.codex_session {
            Some(rollout) => Some(to_resume(caller.cwd.join(rollout)).await?),
            None => None,
        };
        let variables = environment::variables(paths, tmux.as_ref().map(|(server, _)| server.socket()));
        let mut config = codex.config_tree()?;
        config.entry(UPDATE_CHECK).or_insert(false.into());
        let plan = Self {
            id: new_id("launch"),
            name: wish.name.to_owned(),
            cwd,
            recipe,
            prompt: None,
            settings,
            program,
            version,
            codex_home: install::codex_home().map(|home| caller.cwd.join(home)),
            config,
            mcp: false,
            variables,
            tmux,
            resume,
            accept_trust: codex.accept_trust,
            timeout: wish.timeout,
            paths: paths.clone(),
            begun,
            interrupted: Cell::new(false),
        };
        if wish.mcp { plan.with_tools() } else { Ok(plan) }
    }

    /// The same plan with conveyor's own MCP server in the session.
    ///
    /// # Errors
    /// When the settings leave no place for it, or this program is not found.
    pub fn with_tools(mut self) -> Result<Self, Failure> {
        mcp::attach(&mut self.config, &own_program()?, self.paths.other_database(), &self.variables)?;
        Ok(Self { mcp: true, ..self })
    }

    /// By which its start is on record.
    pub fn launch_id(&self) -> &str {
        &self.id
    }

    /// The same plan with something to do first.
    #[must_use]
    pub fn with_prompt(self, prompt: Option<String>) -> Self {
        Self { prompt: prompt.filter(|prompt| !prompt.trim().is_empty()), ..self }
    }

    /// The command that shows its terminal to a person with the caller's environment.
    pub fn attach_command(&self) -> Option<String> {
        self.tmux.as_ref().map(|(server, session)| attach_command(server, session))
    }

    /// What is left of the time that starting may take; never nothing, so that a call can be tried.
    pub(super) fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed()).max(Duration::from_millis(1))
    }

    /// Whether the time is up.
    pub(super) fn is_late(&self) -> bool {
        self.begun.elapsed() >= self.timeout
    }

    /// Somebody wants the start to be given up.
    pub(super) fn interrupt(&self) {
        self.interrupted.set(true);
    }

    /// Whether the start is to be given up.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// Ends a start that is to be given up.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        if self.is_interrupted() { Err(Failure::refused("it was interrupted")) } else { Ok(()) }
    }

    /// Whether the session gets an app-server of its own.
    pub(super) fn has_server(&self) -> bool {
        self.recipe == Recipe::PrivateServer
    }

    /// Where that listens.
    pub(super) fn socket(&self) -> PathBuf {
        socket_path(&self.paths.run_dir(), &self.id)
    }

    /// The thread as an app-server is told to make it.
    pub(super) fn thread(&self) -> ThreadStart {
        ThreadStart {
            cwd: self.cwd.clone(),
            approval_policy: Some(self.settings.effective_approval_policy()),
            sandbox: Some(self.settings.effective_sandbox()),
            model: self.settings.model.clone(),
            model_provider: self.settings.model_provider.clone(),
            config: self.config.clone(),
        }
    }
}

fn directory(caller_cwd: &Path, given: Option<&Path>) -> Result<PathBuf, Failure> {
    let cwd = given.map_or_else(|| caller_cwd.to_owned(), |given| caller_cwd.join(given));
    let cwd = std::path::absolute(&cwd).unwrap_or(cwd);
    let problem = if !cwd.exists() {
        "does not exist"
    } else if !cwd.is_dir() {
        "is no directory"
    } else if cwd.to_str().is_none() {
        "cannot be told to Codex: its name is not UTF-8"
    } else {
        return Ok(cwd);
    };
    Err(Failure::not_found(format!("{} {problem}", cwd.display())).hint("name another with --cwd"))
}

/// A program given with a slash is meant from where the caller is.
fn program_from(mut settings: Settings, caller_cwd: &Path) -> Settings {
    if let Some(program) = settings.program.as_mut().filter(|program| program.components().count() > 1) {
        *program = caller_cwd.join(&program);
    }
    settings
}

/// The program, its version, and the best recipe it can do. One that does not tell its version is
/// older than all that do.
async fn installed(
    configured: Option<PathBuf>,
    timeout: Duration,
) -> Result<(PathBuf, Option<String>, Recipe), Failure> {
    let program = blocking(move || install::locate(configured.as_deref())).await??;
    match install::inspect(&program, VERSION_DEADLINE.min(timeout)).await {
        Ok(codex) => Ok((codex.program, Some(codex.version.to_string()), codex.recipe)),
        Err(InstallError::Strange { .. }) => {
            progress(format_args!(
                "{} does not tell its version; taking it for an old one",
                program.display()
            ));
            Ok((program, None, Recipe::OpenFiles))
        }
        Err(error) => Err(error.into()),
    }
}

fn chosen(able: Recipe, codex: &CodexArgs, version: Option<&str>) -> Result<Recipe, Failure> {
    let recipe = codex.recipe.unwrap_or(able);
    let version = version.unwrap_or("of an unknown version");
    if recipe == Recipe::PrivateServer && able != Recipe::PrivateServer {
        return Err(Failure::refused(format!(
            "Codex {version} is too old for --recipe private-server, which {} can do",
            Version::FIRST_CHECKED
        ))
        .hint("leave out --recipe, or update Codex: npm install -g @openai/codex"));
    }
    if recipe != Recipe::PrivateServer && codex.no_tmux {
        return Err(Failure::refused(format!(
            "without a terminal a session needs an app-server of its own, and Codex {version} is {}",
            if able == recipe {
                format!("too old for that: {} can do it", Version::FIRST_CHECKED)
            } else {
                "to be run without one".to_owned()
            }
        ))
        .hint("leave out --no-tmux"));
    }
    Ok(recipe)
}

async fn to_resume(rollout: PathBuf) -> Result<Identity, Failure> {
    let path = rollout.display().to_string();
    let clues = Clues { rollout: Some(rollout), ..Clues::default() };
    let found = blocking(move || identify(&*system_processes(), clues)).await?;
    let found = found.map_err(|error| error.failure("its session cannot be gone on with"))?;
    match found.pid {
        None => Ok(found),
        Some(pid) => Err(Failure::refused(format!("the session of {path} is running, in process {pid}"))
            .hint(format!(
                "register it as it is: `conveyor register-worker --name NAME --codex-session {path}`"
            ))),
    }
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::external(format!("failed to find this program, which the session needs: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_session_has_a_directory_that_codex_can_be_told() {
        let here = tempfile::tempdir().unwrap();
        let check = |name: &[u8], problem: &str| {
            let failure = directory(here.path(), Some(Path::new(OsStr::from_bytes(name)))).unwrap_err();
            assert!(failure.message.contains(problem), "{failure}");
        };
        for name in [&b"work"[..], b"no\xff"] {
            std::fs::create_dir(here.path().join(OsStr::from_bytes(name))).unwrap();
        }
        std::fs::write(here.path().join("file"), "").unwrap();
        assert_eq!(directory(here.path(), Some(Path::new("work"))).unwrap(), here.path().join("work"));
        check(b"missing", "does not exist");
        check(b"file", "is no directory");
        check(b"no\xff", "not UTF-8");
    }
}
