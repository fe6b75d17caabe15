//! Landlock: the kernel denies what a ruleset handles but does not grant.
//!
//! It knows only what is granted, below a directory with all there is in it. To leave out one
//! directory, everything beside it and beside its parents is granted one by one. What appears beside
//! them later is not.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags, open};
use serde_json::{Value, json};

use super::Sandbox;
use crate::domain::Failure;

/// Confines this process, says on standard output what is enforced, and becomes the command.
pub(super) fn become_command(sandbox: &Sandbox, argv: &[String]) -> Failure {
    let Some((program, arguments)) = argv.split_first() else {
        return Failure::usage("there is no command to run");
    };
    let report = match confine(sandbox) {
        Ok(report) => report,
        Err(error) => return Failure::external(format!("the sandbox could not be set up: {error}")),
    };
    if let Err(error) = writeln!(io::stdout(), "{report}") {
        return Failure::external(format!("nobody reads what the sandbox reports: {error}"));
    }
    let error = Command::new(program).args(arguments).exec();
    Failure::external(format!("could not run {program}: {error}"))
}

fn confine(sandbox: &Sandbox) -> Result<Value, Box<dyn std::error::Error>> {
    let granted = beside(&sandbox.denied)?;
    let status = restrict(&granted, &sandbox.scratch)?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err("the kernel does not enforce it".into());
    }
    Ok(report(sandbox, &status))
}

/// What may be done below a granted path, and is denied anywhere else.
fn sight() -> BitFlags<AccessFs> {
    AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir
}

fn restrict(granted: &[PathBuf], scratch: &Path) -> Result<RestrictionStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(sight())?
        // What follows depends on how new the kernel is; the report tells.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::ResolveUnix)?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let mut ruleset = ruleset;
    for path in granted.iter().map(PathBuf::as_path).chain([scratch]) {
        // What has gone away meanwhile, or may not be opened, needs no grant.
        let Ok(place) = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
            continue;
        };
        let everything = sight() | AccessFs::ResolveUnix;
        let access = if path.is_dir() { everything } else { everything & AccessFs::from_file(ABI::V10) };
        ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
    }
    ruleset.restrict_self()
}

/// Everything that is neither denied nor above something denied: the entries of every directory above
/// a denied path. Links are left out; what they point at is granted where it is, or not at all.
fn beside(denied: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let denied: BTreeSet<PathBuf> = denied.iter().map(|path| resolved(path)).collect();
    let above: BTreeSet<&Path> = denied.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    if denied.contains(Path::new("/")) {
        return Err(io::Error::other("the root directory cannot be denied"));
    }
    let mut granted = Vec::new();
    for directory in above.iter().filter(|directory| !denied.iter().any(|path| directory.starts_with(path))) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            // What cannot be listed is not granted; what is not there hides nothing.
            Err(error) if is_closed(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let is_kept_out = denied.contains(&path) || above.contains(path.as_path());
            if !is_kept_out && !entry.file_type()?.is_symlink() {
                granted.push(path);
            }
        }
    }
    Ok(granted)
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    }
}

fn report(sandbox: &Sandbox, status: &RestrictionStatus) -> Value {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        _ => ABI::Unsupported,
    };
    let since = |first: ABI| if abi >= first { "denied" } else { "not denied by this kernel" };
    json!({
        "denied_path_count": sandbox.denied.len(),
        "kind": "landlock",
        "landlock_abi": abi as i32,
        "listening": since(ABI::V4),
        "no_new_privs": status.no_new_privs,
        "reads": "denied",
        "signals": since(ABI::V6),
        "unix_sockets": since(ABI::V9),
        "writes": "not denied",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_beside_what_is_denied_is_granted() {
        let world = tempfile::tempdir().unwrap();
        let root = world.path().canonicalize().unwrap();
        for directory in ["state/run", "project/src", "rollouts"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("rollouts/bound.jsonl"), "").unwrap();
        std::fs::write(root.join("rollouts/other.jsonl"), "").unwrap();
        std::os::unix::fs::symlink(root.join("state"), root.join("shortcut")).unwrap();
        let denied = [root.join("shortcut"), root.join("rollouts/bound.jsonl"), root.join("none/db-wal")];
        let granted: BTreeSet<PathBuf> = beside(&denied).unwrap().into_iter().collect();
        let is_granted = |path: &str| granted.contains(&root.join(path));
        assert!(is_granted("project") && is_granted("rollouts/other.jsonl"), "{granted:?}");
        for path in ["", "state", "shortcut", "rollouts", "rollouts/bound.jsonl", "state/run"] {
            assert!(!is_granted(path), "{path}: {granted:?}");
        }
        assert!(granted.contains(Path::new("/usr")) && !granted.contains(Path::new("/")));
        assert!(beside(&["/".into()]).is_err());
    }
}
