//! Hearing that this process is to end.

use tokio::signal::unix::{SignalKind, signal};

/// Ends at the first signal by which a terminal or another process asks this one to end.
pub(super) async fn told_to_end() {
    let heard = |kind| async move {
        match signal(kind) {
            Ok(mut stream) => drop(stream.recv().await),
            // Without a handler the signal ends the process as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = heard(SignalKind::interrupt()) => {}
        () = heard(SignalKind::terminate()) => {}
        () = heard(SignalKind::hangup()) => {}
    }
}
