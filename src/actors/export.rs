//! Writing the export of a task: all of it, or nothing.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::domain::Failure;
use crate::domain::digest::sha256;
use crate::domain::ids::new_id;
use crate::reports::export::{Bundle, Texts, manifest};

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The archive, when one was asked for.
    pub archive: Option<PathBuf>,
    /// What is in it.
    pub manifest: Value,
}

/// Writes a bundle into a directory that is not there yet, or is empty, and beside it the archive
/// `DIRECTORY.zip`. Both are made under other names first, so that nobody sees half of them.
///
/// # Errors
/// When there is something already, or it cannot be written; then nothing is left.
pub fn write(
    bundle: &Bundle,
    texts: Texts,
    directory: &Path,
    with_archive: bool,
) -> Result<Written, Failure> {
    let place = Place::of(directory)?;
    place.refuse_taken(with_archive)?;
    let files = Files::of(bundle, texts)?;
    place.fill(&files, with_archive).map_err(|error| {
        Failure::external(format!(
            "failed to export task {} to {}: {error}",
            bundle.task.name,
            directory.display()
        ))
        .hint("nothing was left there; make room, or name another directory with --output")
    })?;
    Ok(Written { archive: with_archive.then_some(place.archive), manifest: files.manifest })
}

/// The files with the manifest.
struct Files<'a> {
    manifest: Value,
    texts: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Files<'a> {
    fn of(bundle: &'a Bundle, texts: Texts) -> Result<Self, Failure> {
        let hashes: Vec<String> = bundle.members.iter().map(|member| sha256(&member.text)).collect();
        let manifest = manifest(bundle, texts, &hashes);
        let contents = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| Failure::internal(format!("failed to write the manifest: {error}")))?;
        let members = bundle.members.iter().map(|member| (member.name, member.text.clone().into_bytes()));
        Ok(Self { texts: members.chain([("manifest.json", contents)]).collect(), manifest })
    }
}

/// Where an export goes.
struct Place {
    directory: PathBuf,
    archive: PathBuf,
    /// The name that both begin with until they are whole.
    partial: PathBuf,
}

impl Place {
    fn of(directory: &Path) -> Result<Self, Failure> {
        let Some(name) = directory.file_name() else {
            return Err(Failure::usage(format!("{} cannot be made a directory", directory.display()))
                .hint("name one that is not there yet: --output DIR"));
        };
        let mut archive = name.to_owned();
        archive.push(".zip");
        let partial = format!(".{}", new_id("export"));
        Ok(Self {
            archive: directory.with_file_name(archive),
            partial: directory.with_file_name(partial),
            directory: directory.to_owned(),
        })
    }

    fn refuse_taken(&self, with_archive: bool) -> Result<(), Failure> {
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let taken = if is_there(&self.directory) && !is_empty(&self.directory) {
            &self.directory
        } else if with_archive && is_there(&self.archive) {
            &self.archive
        } else {
            return Ok(());
        };
        Err(Failure::refused(format!("nothing was exported: {} is there already", taken.display()))
            .hint("name a directory that is not there yet: --output DIR")
            .hint(format!("or move that one away: `mv {0} {0}.old`", taken.display())))
    }

    fn fill(&self, files: &Files<'_>, with_archive: bool) -> io::Result<()> {
        let private = |directory: &Path| DirBuilder::new().recursive(true).mode(0o700).create(directory);
        private(self.directory.parent().unwrap_or(Path::new("/")))?;
        let partial =
            Partial { directory: self.partial.clone(), archive: self.partial.with_extension("zip") };
        for (name, contents) in &files.texts {
            let path = partial.directory.join(name);
            private(path.parent().unwrap_or(&partial.directory))?;
            let mut file = create(&path)?;
            file.write_all(contents)?;
            file.sync_all()?;
        }
        if with_archive {
            pack(&partial.archive, files)?;
            // Fails where a rename would replace what came there meanwhile.
            fs::hard_link(&partial.archive, &self.archive)?;
        }
        fs::rename(&partial.directory, &self.directory).inspect_err(|_| {
            if with_archive {
                // Made above; if it cannot be removed, the error that is told comes first.
                let _ = fs::remove_file(&self.archive);
            }
        })
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn pack(path: &Path, files: &Files<'_>) -> io::Result<()> {
    let mut archive = ZipWriter::new(create(path)?);
    for (name, contents) in &files.texts {
        let is_large = contents.len() > u32::MAX as usize;
        archive
            .start_file(*name, SimpleFileOptions::default().unix_permissions(0o600).large_file(is_large))?;
        archive.write_all(contents)?;
    }
    archive.finish()?.sync_all()
}

/// What is not whole yet; gone when it is dropped.
struct Partial {
    directory: PathBuf,
    archive: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Neither need be there, and there is nobody to tell.
        let _ = (fs::remove_dir_all(&self.directory), fs::remove_file(&self.archive));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::reports::export::Member;
    use crate::store::tasks::Task;

    fn bundle() -> Bundle {
        let text = |text: &str| text.to_owned();
        let task = Task {
            id: text("task-1"),
            name: text("t1"),
            goal: text("Ship it"),
            summary: None,
            state: text("done"),
            created_at: text("now"),
            updated_at: text("now"),
        };
        let member = |name, text: &str| Member { name, text: text.to_owned() };
        let members = vec![member("audit.json", "{}"), member("transcripts/worker.txt", "shown\n")];
        Bundle { task, created_at: text("now"), members }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn everything_is_there_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("deep/out");
        let written = write(&bundle(), Texts::default(), &directory, true).unwrap();
        assert_eq!(names(directory.parent().unwrap()), ["out", "out.zip"]);
        assert_eq!(names(&directory), ["audit.json", "manifest.json", "transcripts"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let archive = written.archive.unwrap();
        assert_eq!(
            (mode(&directory), mode(&directory.join("audit.json")), mode(&archive)),
            (0o700, 0o600, 0o600)
        );
        let manifest: Value =
            serde_json::from_slice(&fs::read(directory.join("manifest.json")).unwrap()).unwrap();
        assert_eq!((&manifest, &manifest["files"][1]), (&written.manifest, &"transcripts/worker.txt".into()));

        let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
        let packed = io::read_to_string(archive.by_name("transcripts/worker.txt").unwrap()).unwrap();
        assert_eq!((archive.len(), packed.as_str()), (3, "shown\n"));
    }

    #[test]
    fn what_is_there_already_stays_and_nothing_is_left_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let check = |taken: &str, with_archive, refused: bool| {
            let directory = root.path().join("out");
            let path = root.path().join(taken);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "mine").unwrap();
            let outcome = write(&bundle(), Texts::default(), &directory, with_archive);
            assert_eq!(outcome.is_err(), refused, "{taken}: {outcome:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "mine", "{taken}");
            if let Err(failure) = outcome {
                assert!(failure.message.contains("there already") && failure.hints.len() == 2, "{failure:?}");
                assert_eq!(names(root.path()).len(), 1, "{taken}");
            }
            fs::remove_dir_all(root.path()).unwrap();
            fs::create_dir(root.path()).unwrap();
        };
        check("out", false, true);
        check("out/notes", false, true);
        check("out.zip", true, true);
        check("out.zip", false, false);
        let directory = root.path().join("empty");
        fs::create_dir(&directory).unwrap();
        write(&bundle(), Texts::default(), &directory, false).unwrap();
        assert!(write(&bundle(), Texts::default(), Path::new("/"), false).is_err());
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let failure = write(&bundle(), Texts::default(), &root.path().join("file/out"), true).unwrap_err();
        assert!(failure.message.contains("failed to export task t1"), "{failure:?}");
        assert_eq!(names(root.path()), ["file"]);
    }
}
