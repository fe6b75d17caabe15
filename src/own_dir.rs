//! Directories that only their owner may enter.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{geteuid, getuid};

/// This user's directory among everybody's temporary ones, for what needs a short path. Anybody may have
/// made it first.
pub fn own_temporary() -> PathBuf {
    PathBuf::from(format!("/tmp/conveyor-{}", getuid().as_raw()))
}

/// Makes a directory that only its owner may enter.
///
/// # Errors
/// When it cannot be made, when it exists with other rights that cannot be narrowed, and as
/// [`refuse_foreign`].
pub fn private_dir(directory: &Path) -> io::Result<()> {
    make(directory, &own_temporary())
}

/// Refuses a directory in [`own_temporary`] that somebody else has made, or could put another in the place
/// of. What is not there is not refused.
///
/// # Errors
/// When one of its parts is no directory, belongs to somebody else, or lets others in; says which.
pub fn refuse_foreign(directory: &Path) -> io::Result<()> {
    own_parts(directory, &own_temporary()).into_iter().try_for_each(refuse_foreign_part)
}

fn make(directory: &Path, own: &Path) -> io::Result<()> {
    for part in own_parts(directory, own) {
        match DirBuilder::new().mode(0o700).create(part) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => refuse_foreign_part(part)?,
        }
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// The parts of a path that must be ours, outermost first: `own` and what is below it.
fn own_parts<'a>(directory: &'a Path, own: &Path) -> Vec<&'a Path> {
    let mut parts: Vec<_> = directory.ancestors().take_while(|part| part.starts_with(own)).collect();
    parts.reverse();
    parts
}

fn refuse_foreign_part(part: &Path) -> io::Result<()> {
    let refused = |why: String| Err(io::Error::other(format!("{} {why}", part.display())));
    match part.symlink_metadata() {
        Ok(found) if !found.is_dir() => refused("is no directory".into()),
        Ok(found) if found.uid() != geteuid().as_raw() => refused(format!("belongs to user {}", found.uid())),
        Ok(found) if found.mode() & 0o077 != 0 => refused("lets others in".into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_is_private_all_the_way_from_everybodys() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own");
        make(&own.join("a/b"), &own).unwrap();
        assert_eq!([mode(&own), mode(&own.join("a")), mode(&own.join("a/b"))], [0o700; 3]);
        make(&own.join("a/b"), &own).unwrap();
    }

    #[test]
    fn one_that_is_elsewhere_is_narrowed_and_the_ones_around_it_are_not_asked_after() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        fs::create_dir_all(open.join("run")).unwrap();
        fs::set_permissions(open.join("run"), Permissions::from_mode(0o777)).unwrap();
        private_dir(&open.join("run")).unwrap();
        assert_eq!(mode(&open.join("run")), 0o700);
    }

    #[test]
    fn what_somebody_else_could_replace_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        let check = |name: &str, prepare: &dyn Fn(&Path), why: &str| {
            let own = root.path().join(name);
            prepare(&own);
            for directory in [own.clone(), own.join("leaf")] {
                let error = make(&directory, &own).unwrap_err().to_string();
                assert_eq!(error, format!("{} {why}", own.display()));
            }
            assert!(!own.join("leaf").exists(), "{name}");
        };
        check("link", &|own| symlink(&theirs, own).unwrap(), "is no directory");
        check("file", &|own| fs::write(own, "").unwrap(), "is no directory");
        let open = |own: &Path| {
            fs::create_dir(own).unwrap();
            fs::set_permissions(own, Permissions::from_mode(0o730)).unwrap();
        };
        check("open", &open, "lets others in");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let root = tempfile::tempdir().unwrap();
        // Only root may give a directory away; everybody else finds that of root.
        let foreign = if geteuid().is_root() {
            std::os::unix::fs::chown(root.path(), Some(65_534), None).unwrap();
            root.path()
        } else {
            Path::new("/")
        };
        let error = refuse_foreign_part(foreign).unwrap_err().to_string();
        assert!(error.contains(" belongs to user "), "{error}");
    }
}
