//! `conveyor install-skills`: the skills that this program brings, put where Codex finds them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::output::Output;
use crate::actors::Caller;
use crate::domain::Failure;
use crate::domain::digest::sha256;

/// Put the skills for managing workers and for reviews into the Codex home
///
/// A file that you changed is left as it is, and the exit code is 1; --force replaces it and keeps
/// yours beside it.
#[derive(Debug, Args)]
pub(super) struct InstallSkillsArgs {
    /// The Codex home [default: $CODEX_HOME or ~/.codex]
    #[arg(long, value_name = "DIR")]
    codex_home: Option<PathBuf>,
    /// Replace files that you changed, too; yours is kept with `.edited` behind its name
    #[arg(long)]
    force: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A skill that this program brings.
struct Skill {
    name: &'static str,
    files: &'static [File],
}

/// A file of a skill.
struct File {
    /// Below `skills` in the Codex home.
    path: &'static str,
    text: &'static str,
    mode: u32,
}

macro_rules! file {
    ($path:literal, $mode:literal) => {
        File {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/skills/", $path)),
            mode: $mode,
        }
    };
}

const SKILLS: [Skill; 2] = [
    Skill { name: "manage-codex-workers", files: &[file!("manage-codex-workers/SKILL.md", 0o644)] },
    Skill {
        name: "codex-review",
        files: &[file!("codex-review/SKILL.md", 0o644), file!("codex-review/scripts/codex-review", 0o755)],
    },
];

/// What was installed, by path: the digests tell a file that a person changed from an old one of ours.
const RECORD: &str = ".conveyor-skills.json";

/// What stands behind the name of a person's file that was replaced.
const EDITED_SUFFIX: &str = ".edited";

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// It was not there.
    Install,
    /// It was there as we once put it.
    Update,
    /// It is there as it should be.
    Unchanged,
    /// A person changed it, and it is left alone.
    KeepEdited,
    /// A person changed it, and it is replaced as they asked.
    ReplaceEdited,
}

/// What is done with a skill.
#[derive(Debug, Serialize)]
struct Outcome {
    name: &'static str,
    source: String,
    target: PathBuf,
    files: Vec<Placed>,
}

/// What is done with one of its files.
#[derive(Debug, Serialize)]
struct Placed {
    action: Action,
    path: PathBuf,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    codex_home: PathBuf,
    dry_run: bool,
    /// The skills that are there now, whole and as this program brings them.
    installed: Vec<&'static str>,
    ok: bool,
    skills: Vec<Outcome>,
}

/// Installs the skills and says what became of each.
pub(super) fn install(args: &InstallSkillsArgs, caller: &Caller, output: &mut Output) -> Result<u8, Failure> {
    let named = args.codex_home.as_ref().map(|given| caller.cwd.join(given));
    let codex_home = named.or_else(|| caller.codex_home.clone()).ok_or_else(|| {
        Failure::external("there is no Codex home: neither CODEX_HOME nor HOME is set")
            .hint(format!("name it: `{} install-skills --codex-home DIR`", caller.program))
    })?;
    let directory = codex_home.join("skills");
    let mut record = read_record(&directory);
    let mut skills = Vec::new();
    for skill in &SKILLS {
        skills.push(skill.look(&directory, &record, args.force)?);
    }
    if !args.dry_run {
        for (skill, outcome) in SKILLS.iter().zip(&skills) {
            skill.place(outcome, &mut record)?;
        }
        write_record(&directory, record).map_err(|error| failed(&directory.join(RECORD), &error))?;
    }
    let ok = skills.iter().all(Outcome::is_whole);
    let whole = skills.iter().filter(|outcome| !args.dry_run && outcome.is_whole());
    let installed = whole.map(|outcome| outcome.name).collect();
    let report = Report { codex_home, dry_run: args.dry_run, installed, ok, skills };
    output.answer(&report, || text(&report, &caller.program))?;
    Ok(u8::from(!ok))
}

impl Skill {
    /// Decides what to do with each file.
    fn look(&self, directory: &Path, record: &Map<String, Value>, force: bool) -> Result<Outcome, Failure> {
        let mut files = Vec::new();
        for file in self.files {
            let path = directory.join(file.path);
            let action = decide(file, &path, record, force).map_err(|error| failed(&path, &error))?;
            files.push(Placed { action, path });
        }
        let source = format!("conveyor-{}/skills/{}", env!("CARGO_PKG_VERSION"), self.name);
        Ok(Outcome { name: self.name, source, target: directory.join(self.name), files })
    }

    /// Does it, and puts on record what was installed.
    fn place(&self, outcome: &Outcome, record: &mut Map<String, Value>) -> Result<(), Failure> {
        for (file, placed) in self.files.iter().zip(&outcome.files) {
            put(file, placed).map_err(|error| failed(&placed.path, &error))?;
            if placed.action != Action::KeepEdited {
                record.insert(file.path.to_owned(), sha256(file.text).into());
            }
        }
        Ok(())
    }
}

impl Outcome {
    fn has(&self, actions: &[Action]) -> bool {
        self.files.iter().any(|file| actions.contains(&file.action))
    }

    fn is_whole(&self) -> bool {
        !self.has(&[Action::KeepEdited])
    }
}

fn decide(file: &File, path: &Path, record: &Map<String, Value>, force: bool) -> io::Result<Action> {
    let present = match fs::read(path) {
        Ok(present) => present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Action::Install),
        Err(error) => return Err(error),
    };
    let as_installed = || record.get(file.path).and_then(Value::as_str) == Some(&sha256(&present));
    Ok(if present == file.text.as_bytes() {
        Action::Unchanged
    } else if as_installed() {
        Action::Update
    } else if force {
        Action::ReplaceEdited
    } else {
        Action::KeepEdited
    })
}

fn put(file: &File, placed: &Placed) -> io::Result<()> {
    let path = &placed.path;
    match placed.action {
        Action::KeepEdited => return Ok(()),
        Action::Unchanged => return fs::set_permissions(path, fs::Permissions::from_mode(file.mode)),
        Action::ReplaceEdited => fs::rename(path, beside(path, EDITED_SUFFIX))?,
        Action::Install | Action::Update => {}
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    write_whole(path, file.text, file.mode)
}

/// Writes beside the file and moves it over, so that nobody ever reads a half.
fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = beside(path, ".new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
    fs::rename(&new, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Without a record, or with one that cannot be read, every file that differs counts as changed.
fn read_record(skills: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(skills.join(RECORD)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn write_record(skills: &Path, record: Map<String, Value>) -> io::Result<()> {
    fs::create_dir_all(skills)?;
    write_whole(&skills.join(RECORD), &format!("{:#}\n", Value::Object(record)), 0o644)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::external(format!("failed to install {}: {error}", path.display()))
        .hint("name a Codex home that can be written with --codex-home")
}

fn text(report: &Report, program: &str) -> String {
    let mut lines: Vec<String> = report.skills.iter().map(|skill| line(skill, report.dry_run)).collect();
    let edited = report.skills.iter().flat_map(|skill| &skill.files);
    let edited = edited.filter(|file| file.action == Action::KeepEdited);
    lines.extend(edited.map(|file| format!("  yours, left as it is: {}", file.path.display())));
    if !report.ok {
        lines.push(format!(
            "To replace what is yours, and keep a copy of it: {program} install-skills --force"
        ));
    }
    lines.join("\n")
}

fn line(skill: &Outcome, dry_run: bool) -> String {
    let done = if !skill.is_whole() {
        "did not replace"
    } else if skill.has(&[Action::Update, Action::ReplaceEdited]) {
        if dry_run { "would update" } else { "updated" }
    } else if skill.has(&[Action::Install]) {
        if dry_run { "would install" } else { "installed" }
    } else {
        "up to date:"
    };
    format!("{done} {} skill in {}", skill.name, skill.target.display())
}
