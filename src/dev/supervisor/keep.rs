//! Keeps a child running: says when it died, starts it again, waits longer each time it dies soon.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::dev::process::describe;
use crate::dev::servers::Server;

const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// One that has run this long may fail again without being made to wait.
const STEADY: Duration = Duration::from_secs(30);

/// A child under watch.
pub(super) struct Kept {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Watches a server that is ready.
    pub(super) fn running(server: Server) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(watch(server, stopped)) }
    }

    /// Ends it and waits until it is gone.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn watch(mut server: Server, mut stopped: oneshot::Receiver<()>) {
    let mut pause = PAUSE_FIRST;
    loop {
        let since = Instant::now();
        let status = tokio::select! {
            _ = &mut stopped => return server.stop().await,
            status = server.wait() => status.map_or_else(|error| error.to_string(), describe),
        };
        if since.elapsed() > STEADY {
            pause = PAUSE_FIRST;
        }
        let name = server.name().to_owned();
        eprintln!(
            "{name} died ({status}) and is started again in {pause:?}; its log ends with:\n{}",
            server.log_tail()
        );
        loop {
            let again = async {
                sleep(pause).await;
                server.restart().await
            };
            let outcome = tokio::select! {
                _ = &mut stopped => return server.stop().await,
                outcome = again => outcome,
            };
            pause = PAUSE_MAX.min(pause * 2);
            match outcome {
                Ok(()) => break eprintln!("{name} is back, pid {}", server.pid()),
                Err(error) => eprintln!("{error}\n{name} is tried again in {pause:?}"),
            }
        }
    }
}
