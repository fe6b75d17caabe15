//! Notices writes of other processes: the write-ahead log changes, the writer looks.

use std::path::Path;

use notify::{RecursiveMode, Watcher};

use super::writer::Writer;

/// Keeps the watch alive.
pub(super) type LogWatch = notify::RecommendedWatcher;

/// Pokes the writer thread whenever the database's log is written.
///
/// The directory is watched, not the file: the log is deleted and made again when the last
/// connection goes. `None` when the system has no watches left; the periodic sweep then has to do.
pub(super) fn watch_log(database: &Path, writer: &Writer) -> Option<LogWatch> {
    let directory = database.parent()?;
    let mut log_name = database.file_name()?.to_owned();
    log_name.push("-wal");
    let writer = writer.clone();
    let watch = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.paths.iter().any(|path| path.file_name() == Some(&log_name))) {
            writer.poke();
        }
    })
    .and_then(|mut watcher| watcher.watch(directory, RecursiveMode::NonRecursive).map(|()| watcher));
    watch
        .inspect_err(
            |error| tracing::warn!(%error, "failed to watch the database log; falling back to the sweep"),
        )
        .ok()
}
