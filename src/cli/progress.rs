//! What somebody who waits for a command is shown on standard error.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::actors::launch::PROGRESS;

/// Shows from now on what is being waited for. For commands that keep no log.
pub fn show() {
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let only_progress = Targets::new().with_target(PROGRESS, LevelFilter::INFO);
    // Only a second initialisation fails, and a process runs one command.
    let _ = tracing_subscriber::registry().with(only_progress).with(lines).try_init();
}
