//! Which Codex is installed, where, and what it can do.

use super::{
    blocking::off_thread,
    process::{RunError, complaint, output_within},
    version::{Recipe, Version},
};
use crate::domain::Failure;
use rustix::fs::{Access, access};
use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Names the Codex program when neither a flag nor a settings file does.
const PROGRAM_VARIABLE: &str = "CONVEYOR_CODEX";

/// An installed Codex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codex {
    /// The program to run.
    pub program: PathBuf,
    /// What it calls itself.
    pub version: Version,
    /// How sessions are started with it.
    pub recipe: Recipe,
}

/// Why there is no Codex to work with.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No such program.
    #[error("there is no Codex: {name} {problem}")]
    NotFound {
        /// What was looked for.
        name: String,
        /// What is wrong with it, e.g. that it is not on the `PATH`.
        problem: &'static str,
    },
    /// The program does not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The program runs and does not say which version it is.
    #[error("{} is no Codex that this program knows: `--version` says {said:?}", program.display())]
    Strange {
        /// The program.
        program: PathBuf,
        /// What it said instead.
        said: String,
    },
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        let failure = Failure::external(error.to_string());
        match error {
            InstallError::NotFound { .. } => failure
                .hint("install it: npm install -g @openai/codex")
                .hint(format!("name it: ${PROGRAM_VARIABLE}, or `program` under [codex] in conveyor.toml")),
            InstallError::Run(_) | InstallError::Strange { .. } => {
                failure.hint("install it again: npm install -g @openai/codex")
            }
        }
    }
}

/// Finds the Codex program: `configured`, else `$CONVEYOR_CODEX`, else `codex` on the `PATH`. A
/// name without a slash is looked for on the `PATH`.
///
/// npm's wrapper script is replaced by the program it would start, where that can be found: it
/// starts faster and is one process less to watch.
///
/// # Errors
/// [`InstallError::NotFound`].
pub fn locate(configured: Option<&Path>) -> Result<PathBuf, InstallError> {
    let variable = env::var_os(PROGRAM_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let wanted = configured.map(Path::to_owned).or(variable).unwrap_or_else(|| "codex".into());
    let path = env::var_os("PATH").unwrap_or_default();
    find_program(&wanted, &path).map(|program| native_program(&program).unwrap_or(program))
}

/// A program by its path, or by its name on the `PATH`.
pub fn on_path(program: &Path) -> Option<PathBuf> {
    find_program(program, &env::var_os("PATH").unwrap_or_default()).ok()
}

fn find_program(wanted: &Path, path: &OsStr) -> Result<PathBuf, InstallError> {
    let missing = |problem| InstallError::NotFound { name: wanted.display().to_string(), problem };
    let runs = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    if wanted.components().count() == 1 && !wanted.is_absolute() {
        let mut candidates = env::split_paths(path).map(|dir| dir.join(wanted));
        return candidates.find(|file| runs(file)).ok_or_else(|| missing("is not on the PATH"));
    }
    if !wanted.exists() {
        return Err(missing("does not exist"));
    }
    runs(wanted).then(|| wanted.to_owned()).ok_or_else(|| missing("is no program that may be run"))
}

/// The program that npm's `@openai/codex/bin/codex.js` would start; `None` for anything else.
fn native_program(program: &Path) -> Option<PathBuf> {
    let script = program.canonicalize().ok()?;
    if script.file_name() != Some(OsStr::new("codex.js")) {
        return None;
    }
    let package = script.parent()?.parent()?;
    let (name, target) = platform()?;
    let places =
        [package.parent()?.join(name), package.join("node_modules/@openai").join(name), package.to_owned()];
    places.into_iter().map(|place| place.join("vendor").join(target).join("bin/codex")).find(|f| f.is_file())
}

/// npm's platform package below `@openai`, and the directory of the program in it.
fn platform() -> Option<(&'static str, &'static str)> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Some(("codex-linux-x64", "x86_64-unknown-linux-musl")),
        ("linux", "aarch64") => Some(("codex-linux-arm64", "aarch64-unknown-linux-musl")),
        ("macos", "x86_64") => Some(("codex-darwin-x64", "x86_64-apple-darwin")),
        ("macos", "aarch64") => Some(("codex-darwin-arm64", "aarch64-apple-darwin")),
        _ => None,
    }
}

/// Asks `program` which version it is and, if that does not tell, what it can do. One process for
/// a version that is known, two for others.
///
/// # Errors
/// [`InstallError::Run`] and [`InstallError::Strange`].
pub async fn inspect(program: &Path, deadline: Duration) -> Result<Codex, InstallError> {
    let program = program.to_owned();
    off_thread(move || inspect_blocking(program, deadline)).await
}

fn inspect_blocking(program: PathBuf, deadline: Duration) -> Result<Codex, InstallError> {
    let ask = |flag: &str| {
        let mut command = Command::new(&program);
        command.arg(flag);
        output_within(command, deadline)
    };
    let output = ask("--version")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let Some(version) = Version::parse(&said) else {
        let said = if said.is_empty() { complaint(&output) } else { said };
        return Err(InstallError::Strange { program, said });
    };
    let recipe = match Recipe::of(&version) {
        Some(recipe) => recipe,
        None => Recipe::from_help(&String::from_utf8_lossy(&ask("--help")?.stdout)),
    };
    Ok(Codex { program, version, recipe })
}

/// Where Codex keeps its sessions: `$CODEX_HOME`, else `~/.codex`. `None` without a home directory.
pub fn codex_home() -> Option<PathBuf> {
    codex_home_of(env::var_os("CODEX_HOME"), env::home_dir())
}

fn codex_home_of(variable: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    match variable.filter(|value| !value.is_empty()) {
        Some(codex_home) => Some(codex_home.into()),
        None => Some(home?.join(".codex")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn program(path: &Path, script: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: a program that this one has open for writing, or a child
        // that another test is just starting, cannot be run.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let written = Command::new("/bin/sh").args(["-c", write]).arg(path).arg(script).status().unwrap();
        assert!(written.success());
        path.to_owned()
    }

    #[test]
    fn programs_are_found_by_path_or_name() {
        let root = tempfile::tempdir().unwrap();
        let first = program(&root.path().join("a/codex"), "");
        let other = program(&root.path().join("b/other"), "");
        fs::write(root.path().join("b/codex"), "not executable").unwrap();
        let path = env::join_paths([root.path().join("b"), root.path().join("a")]).unwrap();
        let check =
            |wanted: &Path, expected: Result<&Path, &str>| match (find_program(wanted, &path), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            };
        check(Path::new("codex"), Ok(&first));
        check(Path::new("other"), Ok(&other));
        check(&other, Ok(&other));
        check(Path::new("third"), Err("third is not on the PATH"));
        check(&root.path().join("c"), Err("does not exist"));
        check(&root.path().join("b/codex"), Err("may be run"));
        check(root.path(), Err("may be run"));
    }

    #[test]
    fn npms_wrapper_leads_to_the_native_program() {
        let (name, target) = platform().unwrap();
        let check = |native: &str| {
            let root = tempfile::tempdir().unwrap();
            let modules = root.path().join("lib/node_modules/@openai");
            program(&modules.join("codex/bin/codex.js"), "");
            let link = root.path().join("bin/codex");
            fs::create_dir(root.path().join("bin")).unwrap();
            symlink("../lib/node_modules/@openai/codex/bin/codex.js", &link).unwrap();
            assert_eq!(native_program(&link), None);
            let native = native.replace("NAME", name).replace("TARGET", target);
            let native = program(&modules.canonicalize().unwrap().join(native), "");
            assert_eq!(native_program(&link), Some(native));
        };
        check("NAME/vendor/TARGET/bin/codex");
        check("codex/node_modules/@openai/NAME/vendor/TARGET/bin/codex");
        check("codex/vendor/TARGET/bin/codex");
        let root = tempfile::tempdir().unwrap();
        assert_eq!(native_program(&program(&root.path().join("codex"), "")), None);
    }

    #[test]
    fn an_installed_codex_is_asked() {
        let root = tempfile::tempdir().unwrap();
        let check = |script: &str, expected: Result<(&str, Recipe), &str>| {
            let program = program(&root.path().join("codex"), script);
            match (inspect_blocking(program, Duration::from_secs(20)), expected) {
                (Ok(codex), Ok(expected)) => {
                    assert_eq!((codex.version.to_string().as_str(), codex.recipe), expected);
                }
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        };
        let never_asked = "[ $1 = --version ] || exit 1; echo codex-cli 0.169.0";
        check(never_asked, Ok(("0.169.0", Recipe::PrivateServer)));
        let old = "[ $1 = --version ] && echo codex-cli 0.90.1 || echo '  --no-daemon'";
        check(old, Ok(("0.90.1", Recipe::EmbeddedLock)));
        check("echo codex-cli 0.0.0-fake", Ok(("0.0.0-fake", Recipe::OpenFiles)));
        check("echo hello", Err("\"hello\""));
        check("echo 'Error: broken' >&2; exit 1", Err("\"broken\""));
    }

    #[test]
    fn codex_homes() {
        let check = |variable: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = codex_home_of(variable.map(Into::into), home.map(Into::into));
            assert_eq!(found, expected.map(PathBuf::from));
        };
        check(Some("/c"), Some("/h"), Some("/c"));
        check(Some(""), Some("/h"), Some("/h/.codex"));
        check(None, Some("/h"), Some("/h/.codex"));
        check(None, None, None);
    }
}
