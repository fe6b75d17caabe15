//! Which directories are watched for which files.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::{CatchUp, Target};

pub(super) type WatchId = u64;

/// The watched files, and the directories watched for them.
pub(super) struct Places {
    watcher: Option<RecommendedWatcher>,
    files: HashMap<WatchId, File>,
    /// Every watched directory, by its real path, with the files it is watched for.
    directories: HashMap<PathBuf, BTreeSet<WatchId>>,
}

struct File {
    target: Target,
    /// The directory watched for it: its own, or the nearest one that exists.
    directory: Option<Directory>,
}

#[derive(Clone, PartialEq, Eq)]
struct Directory {
    real_path: PathBuf,
    /// The file's own.
    own: bool,
}

impl Directory {
    /// The nearest existing directory for the file at `path`.
    fn nearest(path: &Path) -> Option<Self> {
        let own = path.parent()?;
        own.ancestors().find_map(|directory| {
            let real_path = directory.canonicalize().ok().filter(|real| real.is_dir())?;
            Some(Self { real_path, own: directory == own })
        })
    }
}

impl Places {
    pub(super) fn new(watcher: Option<RecommendedWatcher>) -> Self {
        Self { watcher, files: HashMap::new(), directories: HashMap::new() }
    }

    pub(super) fn add(&mut self, id: WatchId, target: Target) {
        self.files.insert(id, File { target, directory: None });
        self.settle(id);
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.release(id);
        self.files.remove(&id);
    }

    /// Tells the watcher of a file to look again.
    pub(super) fn tell(&self, id: WatchId) {
        let recipient = self.files.get(&id).and_then(|file| file.target.recipient.upgrade());
        if let Some(recipient) = recipient {
            recipient.do_send(CatchUp);
        }
    }

    /// The files that an event may be about.
    pub(super) fn changed(&mut self, event: &Event) -> BTreeSet<WatchId> {
        if event.need_rescan() {
            return self.files.keys().copied().collect();
        }
        event.paths.iter().flat_map(|path| self.changed_at(path)).collect()
    }

    fn changed_at(&mut self, path: &Path) -> BTreeSet<WatchId> {
        let mut changed = BTreeSet::new();
        let in_directory = path.parent().and_then(|parent| self.directories.get(parent));
        for id in in_directory.cloned().unwrap_or_default() {
            let Some(file) = self.files.get(&id) else { continue };
            if file.directory.as_ref().is_some_and(|directory| directory.own) {
                if file.name() == path.file_name() {
                    changed.insert(id);
                }
            } else if self.settle(id) {
                changed.insert(id);
            }
        }
        // The watched directory itself went, and another may have come to its place. Its watch is
        // given up by all before it is made anew.
        let orphans = self.directories.get(path).cloned().unwrap_or_default();
        for id in &orphans {
            self.release(*id);
        }
        for id in orphans {
            self.settle(id);
            changed.insert(id);
        }
        changed
    }

    /// Watches the nearest directory of a file that exists; true when it is another than before.
    fn settle(&mut self, id: WatchId) -> bool {
        let mut moved = false;
        // A directory may be made between the look and the watch, so look again after it.
        while let Some(file) = self.files.get(&id) {
            let nearest = Directory::nearest(&file.target.path);
            if nearest == file.directory {
                break;
            }
            self.release(id);
            let Some(directory) = nearest else { break };
            if !self.hold(id, directory) {
                break;
            }
            moved = true;
        }
        moved
    }

    fn hold(&mut self, id: WatchId, directory: Directory) -> bool {
        let real_path = &directory.real_path;
        if !self.directories.contains_key(real_path) {
            let Some(watcher) = &mut self.watcher else { return false };
            if let Err(error) = watcher.watch(real_path, RecursiveMode::NonRecursive) {
                tracing::warn!(directory = %real_path.display(), %error, "failed to watch; falling back to the sweep");
                return false;
            }
        }
        self.directories.entry(real_path.clone()).or_default().insert(id);
        if let Some(file) = self.files.get_mut(&id) {
            file.directory = Some(directory);
        }
        true
    }

    fn release(&mut self, id: WatchId) {
        let Some(directory) = self.files.get_mut(&id).and_then(|file| file.directory.take()) else { return };
        let Some(files) = self.directories.get_mut(&directory.real_path) else { return };
        files.remove(&id);
        if files.is_empty() {
            self.directories.remove(&directory.real_path);
            if let Some(watcher) = &mut self.watcher {
                // A directory that is gone took its watch with it.
                let _ = watcher.unwatch(&directory.real_path);
            }
        }
    }
}

impl File {
    fn name(&self) -> Option<&OsStr> {
        self.target.path.file_name()
    }
}
