//! Which directories are watched for which files.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::Target;

pub(super) type WatchId = u64;

/// The watched files, and the directories watched for them.
pub(super) struct Places {
    watcher: Option<RecommendedWatcher>,
    files: HashMap<WatchId, File>,
    /// Every watched directory, by its real path, with the files it is watched for.
    directories: HashMap<PathBuf, Residents>,
    found: Found,
}

/// The files that a directory is watched for. One of Codex's holds those of a whole day.
#[derive(Default)]
struct Residents {
    /// Those whose own directory it is.
    own: BTreeSet<WatchId>,
    /// Those that wait for a directory below it.
    below: BTreeSet<WatchId>,
}

impl Residents {
    fn of(&mut self, directory: &Directory) -> &mut BTreeSet<WatchId> {
        if directory.own { &mut self.own } else { &mut self.below }
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.below.is_empty()
    }

    fn all(&self) -> BTreeSet<WatchId> {
        self.own.union(&self.below).copied().collect()
    }
}

/// The files whose own directory is watched, by their real paths.
#[derive(Clone, Default)]
pub(super) struct Found(Arc<RwLock<HashMap<PathBuf, Targets>>>);

type Targets = HashMap<WatchId, Arc<Target>>;

impl Found {
    /// Tells whoever watches the file at `path`. `false` when nobody is known to.
    pub(super) fn tell(&self, path: &Path) -> bool {
        let files = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(targets) = files.get(path) else { return false };
        targets.values().for_each(|target| target.tell());
        true
    }

    fn at(&self, path: &Path) -> Vec<WatchId> {
        let files = self.0.read().unwrap_or_else(PoisonError::into_inner);
        files.get(path).into_iter().flat_map(HashMap::keys).copied().collect()
    }

    fn insert(&self, path: PathBuf, id: WatchId, target: Arc<Target>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().insert(id, target);
    }

    fn remove(&self, path: &Path, id: WatchId) {
        let mut files = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(targets) = files.get_mut(path) else { return };
        targets.remove(&id);
        if targets.is_empty() {
            files.remove(path);
        }
    }
}

struct File {
    target: Arc<Target>,
    /// The directory watched for it: its own, or the nearest one that exists.
    directory: Option<Directory>,
}

impl File {
    /// Its path as events name it, while this is its own directory.
    fn path_in(&self, directory: &Directory) -> Option<PathBuf> {
        let name = self.target.path.file_name().filter(|_| directory.own)?;
        Some(directory.real_path.join(name))
    }
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
    /// Without a file. What of them is found will be in `found`.
    pub(super) fn new(watcher: Option<RecommendedWatcher>, found: Found) -> Self {
        Self { watcher, files: HashMap::new(), directories: HashMap::new(), found }
    }

    pub(super) fn add(&mut self, id: WatchId, target: Arc<Target>) {
        self.files.insert(id, File { target, directory: None });
        self.settle(id);
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.release(id);
        self.files.remove(&id);
    }

    /// Tells the watcher of a file to look again.
    pub(super) fn tell(&self, id: WatchId) {
        if let Some(file) = self.files.get(&id) {
            file.target.tell();
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
        if let Some(residents) = path.parent().and_then(|parent| self.directories.get(parent)) {
            changed.extend(self.found.at(path));
            for id in residents.below.clone() {
                if self.settle(id) {
                    changed.insert(id);
                }
            }
        }
        // The watched directory itself went, and another may have come to its place. Its watch is
        // given up by all before it is made anew.
        let orphans = self.directories.get(path).map(Residents::all).unwrap_or_default();
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
        if let Some(file) = self.files.get_mut(&id) {
            self.directories.entry(real_path.clone()).or_default().of(&directory).insert(id);
            if let Some(path) = file.path_in(&directory) {
                self.found.insert(path, id, file.target.clone());
            }
            file.directory = Some(directory);
        }
        true
    }

    fn release(&mut self, id: WatchId) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let Some(directory) = file.directory.take() else { return };
        let Some(residents) = self.directories.get_mut(&directory.real_path) else { return };
        residents.of(&directory).remove(&id);
        if let Some(path) = file.path_in(&directory) {
            self.found.remove(&path, id);
        }
        if residents.is_empty() {
            self.directories.remove(&directory.real_path);
            if let Some(watcher) = &mut self.watcher {
                // A directory that is gone took its watch with it.
                let _ = watcher.unwatch(&directory.real_path);
            }
        }
    }
}
