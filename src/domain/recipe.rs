//! How a session's thread and files became known.

use super::words::words;

words! {
    /// How a session was started or found.
    Recipe {
        /// We created the thread on an app-server of its own.
        PrivateServer = "private_server",
        /// Its process holds the lock of the thread.
        Embedded = "embedded",
        /// Its process holds the rollout open.
        OpenFiles = "open_files",
        /// Somebody named the rollout.
        Given = "given",
    }
}
