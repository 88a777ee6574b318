//! Putting the parts together: the api and the worker as they run in production.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::service::{Services, StartError, timekeeping};
use crate::{http, shutdown, worker};

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{address} cannot be listened on ({source}); another program has it, or BIND_ADDRESS is wrong")]
    Bind { address: SocketAddr, source: std::io::Error },
}

/// Serves the API until a signal asks to stop, then drains.
pub async fn run_api(config: Config) -> Result<(), AppError> {
    let address = config.bind_address;
    let services = Arc::new(Services::new(Arc::new(config), Clock::led())?);
    let listener = TcpListener::bind(address).await.map_err(|source| AppError::Bind { address, source })?;
    tracing::info!(%address, "api listens");
    // nothing is decided by this machine's clock; without a database nothing is decided at all
    let _ = timekeeping::read(&services.db).await;
    let keeping = keep_time(&services);
    let following = tokio::spawn({
        let identity = services.identity.clone();
        async move { identity.follow_revocations().await }
    });
    let router = http::router(services.clone());
    tokio::select! {
        () = http::serve(listener, router, &services.config, shutdown::requested()) => {}
        () = shutdown::overdue() => tracing::warn!("requests were still running; stopping without them"),
    }
    following.abort();
    keeping.abort();
    services.identity.flush().await;
    services.denials.flush().await;
    services.db.close().await;
    tracing::info!("api stopped");
    Ok(())
}

/// Runs the jobs until a signal asks to stop.
pub async fn run_worker(config: Config) -> Result<(), AppError> {
    let services = Arc::new(Services::new(Arc::new(config), Clock::led())?);
    let _ = timekeeping::read(&services.db).await;
    let keeping = keep_time(&services);
    worker::run(services.clone(), shutdown::requested()).await;
    keeping.abort();
    services.db.close().await;
    tracing::info!("worker stopped");
    Ok(())
}

fn keep_time(services: &Services) -> JoinHandle<()> {
    let db = services.db.clone();
    tokio::spawn(async move { timekeeping::keep(&db).await })
}
