//! Stopping: the first signal drains, the second, or a time-out, drops.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Longer than any write takes; what is cut off then, recovery settles.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// The first SIGTERM or SIGINT.
pub async fn requested() {
    next_signal().await;
    tracing::info!("stopping: no new requests, those under way are finished");
}

/// A second signal after the first, or [`DRAIN_TIMEOUT`] after it.
pub async fn overdue() {
    next_signal().await;
    tokio::select! {
        () = next_signal() => {}
        () = tokio::time::sleep(DRAIN_TIMEOUT) => {}
    }
}

async fn next_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened for; stop this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
