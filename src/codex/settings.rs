//! How sessions are started, as the user wants it: flags over `conveyor.toml` of the project over
//! that of the user.

use super::policy::{ApprovalPolicy, SandboxMode};
use crate::domain::Failure;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The name of a settings file.
pub const FILE_NAME: &str = "conveyor.toml";

/// The `[codex]` section of a settings file, or the flags that say the same. What is `None` is left
/// to the next layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The Codex program. In a file, a path with a slash is relative to the file.
    pub program: Option<PathBuf>,
    /// The model's name.
    pub model: Option<String>,
    /// A key of `model_providers` in Codex's own configuration.
    pub model_provider: Option<String>,
    /// What the commands of a session may touch.
    pub sandbox: Option<SandboxMode>,
    /// When a session asks a person.
    pub approval_policy: Option<ApprovalPolicy>,
    /// A name for a sandbox and an approval policy together; either given beside it wins.
    pub profile: Option<Profile>,
    /// More arguments for the terminal, before the prompt.
    pub args: Option<Vec<String>>,
}

/// A named choice of sandbox and approval policy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// No sandbox, no questions.
    Yolo,
}

impl Profile {
    fn sandbox(self) -> SandboxMode {
        match self {
            Self::Yolo => SandboxMode::DangerFullAccess,
        }
    }

    fn approval_policy(self) -> ApprovalPolicy {
        match self {
            Self::Yolo => ApprovalPolicy::Never,
        }
    }
}

impl Settings {
    /// These settings, with `lower` for what they leave open.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            sandbox: self.sandbox.or(self.profile.map(Profile::sandbox)).or(lower.sandbox),
            approval_policy: self
                .approval_policy
                .or(self.profile.map(Profile::approval_policy))
                .or(lower.approval_policy),
            program: self.program.or(lower.program),
            model: self.model.or(lower.model),
            model_provider: self.model_provider.or(lower.model_provider),
            profile: self.profile.or(lower.profile),
            args: self.args.or(lower.args),
        }
    }

    /// What the commands of a session may touch; everything, if nobody said otherwise.
    pub fn effective_sandbox(&self) -> SandboxMode {
        self.sandbox.or(self.profile.map(Profile::sandbox)).unwrap_or(SandboxMode::DangerFullAccess)
    }

    /// When a session asks a person; never, if nobody said otherwise.
    pub fn effective_approval_policy(&self) -> ApprovalPolicy {
        self.approval_policy.or(self.profile.map(Profile::approval_policy)).unwrap_or(ApprovalPolicy::Never)
    }

    /// Reads `conveyor.toml` from `cwd` or its nearest parent that has one, over the user's in
    /// `$XDG_CONFIG_HOME/conveyor`, else `~/.config/conveyor`. Blocks on the file system.
    ///
    /// # Errors
    /// [`SettingsError`], naming the file; a file that is not there is none.
    pub fn load(cwd: &Path) -> Result<Self, SettingsError> {
        Self::load_from(cwd, users_file().as_deref())
    }

    fn load_from(cwd: &Path, user_file: Option<&Path>) -> Result<Self, SettingsError> {
        let user = user_file.map(read).transpose()?.flatten().unwrap_or_default();
        let project = project_file(cwd).as_deref().map(read).transpose()?.flatten().unwrap_or_default();
        Ok(project.over(user))
    }
}

/// The project's settings file: the one in `cwd`, or in its nearest parent that has one. Blocks on
/// the file system.
pub fn project_file(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().map(|directory| directory.join(FILE_NAME)).find(|file| file.exists())
}

/// Where the user's own settings file is to be, for every project.
pub fn users_file() -> Option<PathBuf> {
    user_file(env::var_os("XDG_CONFIG_HOME"), env::home_dir())
}

/// Why a settings file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is there and cannot be read.
    #[error("could not read the settings file {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that is not understood.
    #[error("the settings file {} is wrong: {problem}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, and what is wrong there, with the keys or values that are known.
        problem: String,
    },
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match &error {
            SettingsError::Unreadable { .. } => Self::external(error.to_string()),
            SettingsError::Wrong { .. } => Self::usage(error.to_string()),
        }
    }
}

fn user_file(config_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let configured = config_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = configured.or_else(|| Some(home?.join(".config")))?;
    Some(directory.join("conveyor").join(FILE_NAME))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    codex: Settings,
    /// Read by whoever makes a loop, see [`crate::domain::loop_templates`].
    #[serde(default, rename = "loop_templates")]
    _loop_templates: IgnoredAny,
}

fn read(file: &Path) -> Result<Option<Settings>, SettingsError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(source) => return Err(SettingsError::Unreadable { file: file.to_owned(), source }),
    };
    let parsed: File = toml::from_str(&text)
        .map_err(|error| SettingsError::Wrong { file: file.to_owned(), problem: problem(&text, &error) })?;
    Ok(Some(relative_to(file, parsed.codex)))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn problem(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    match error.span() {
        Some(span) => format!("line {}: {message}", text[..span.start].matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

fn relative_to(file: &Path, mut settings: Settings) -> Settings {
    if let (Some(program), Some(directory)) = (&mut settings.program, file.parent())
        && program.components().count() > 1
    {
        *program = directory.join(&program);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_higher_layer_wins_key_by_key() {
        fn check(high: &str, low: &str, expected: &str) {
            let merged = layer(high).over(layer(low));
            let expected = layer(expected);
            assert_eq!(merged, expected);
        }
        check("model = 'a'", "model = 'b'\nmodel_provider = 'p'", "model = 'a'\nmodel_provider = 'p'");
        check("args = []", "args = ['-x']", "args = []");
        check("", "args = ['-x']", "args = ['-x']");
        check("sandbox = 'read-only'", "sandbox = 'workspace-write'", "sandbox = 'read-only'");
    }

    #[test]
    fn a_profile_stands_for_a_sandbox_and_a_policy() {
        fn check(high: &str, low: &str, sandbox: SandboxMode, policy: ApprovalPolicy) {
            let merged = layer(high).over(layer(low));
            assert_eq!((merged.effective_sandbox(), merged.effective_approval_policy()), (sandbox, policy));
        }
        use {ApprovalPolicy::*, SandboxMode::*};
        check("", "", DangerFullAccess, Never);
        let careful = "sandbox = 'read-only'\napproval_policy = 'on-request'";
        check("", careful, ReadOnly, OnRequest);
        check("profile = 'yolo'", careful, DangerFullAccess, Never);
        check("profile = 'yolo'\nsandbox = 'workspace-write'", careful, WorkspaceWrite, Never);
        check(careful, "profile = 'yolo'", ReadOnly, OnRequest);
    }

    #[test]
    fn the_nearest_project_file_stands_over_the_users() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project/deep/er");
        fs::create_dir_all(&project).unwrap();
        let user = root.path().join("user.toml");
        let load = |cwd: &Path| Settings::load_from(cwd, Some(&user)).unwrap();
        assert_eq!(load(&project), Settings::default());

        fs::write(&user, "[codex]\nmodel = 'users'\nmodel_provider = 'p'\n").unwrap();
        fs::write(root.path().join(FILE_NAME), "[codex]\nmodel = 'too far'\n").unwrap();
        let near = root.path().join("project").join(FILE_NAME);
        fs::write(&near, "[codex]\nmodel = 'projects'\nprogram = 'bin/codex'\n").unwrap();
        let expected = Settings {
            model: Some("projects".into()),
            model_provider: Some("p".into()),
            program: Some(root.path().join("project/bin/codex")),
            ..Settings::default()
        };
        assert_eq!(load(&project), expected);
        assert_eq!(load(near.parent().unwrap()), expected);

        fs::write(&near, "[codex]\nprogram = 'codex-next'\n").unwrap();
        assert_eq!(load(&project).program, Some("codex-next".into()));
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line_and_key() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(FILE_NAME);
        let check = |text: &str, expected: &[&str]| {
            fs::write(&file, text).unwrap();
            let error = Settings::load_from(root.path(), None).unwrap_err().to_string();
            for words in [&[file.to_str().unwrap()], expected].concat() {
                assert!(error.contains(words), "{error}");
            }
        };
        check("[codex]\nmodl = 'x'\n", &["line 2", "`modl`", "`model`"]);
        check("[tmux]\nx = 1\n", &["line 1", "`tmux`"]);
        check("[codex]\n\nsandbox = 'none'\n", &["line 3", "`none`", "`read-only`"]);
        check("[codex]\nargs = '-x'\n", &["line 2", "sequence"]);
        check("[codex\n", &["line 1"]);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let error = Settings::load_from(root.path(), None).unwrap_err();
        assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn user_files() {
        fn check(config_home: Option<&str>, home: Option<&str>, expected: Option<&str>) {
            let found = user_file(config_home.map(Into::into), home.map(Into::into));
            assert_eq!(found, expected.map(PathBuf::from));
        }
        check(Some("/x"), Some("/h"), Some("/x/conveyor/conveyor.toml"));
        check(Some("relative"), Some("/h"), Some("/h/.config/conveyor/conveyor.toml"));
        check(None, Some("/h"), Some("/h/.config/conveyor/conveyor.toml"));
        check(None, None, None);
    }
}
