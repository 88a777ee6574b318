//! The HTTP edge of the stack's own services: a loopback listener that ends with its owner, errors as `{"detail"}`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::DevError;

/// How long open requests may take once the service is to end.
const DRAIN: Duration = Duration::from_secs(2);

/// A running HTTP service.
#[derive(Debug)]
pub struct HttpService {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl HttpService {
    /// Serves `router` on `listener`.
    pub fn start(listener: TcpListener, router: Router) -> Result<Self, DevError> {
        let address =
            listener.local_addr().map_err(|source| DevError::Spawn { name: "HTTP service".into(), source })?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let server = axum::serve(listener, router).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            if let Err(error) = server.await {
                tracing::error!(%address, %error, "http service of the development stack ended");
            }
        });
        Ok(Self { address, stop: Some(stop), task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and closes those that are open.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = tokio::time::timeout(DRAIN, &mut self.task).await;
    }
}

impl Drop for HttpService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds, naming the port and its purpose when it is taken. Port 0 takes any free one.
pub async fn listen(address: SocketAddr, purpose: &str) -> Result<TcpListener, DevError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => DevError::PortInUse { port: address.port(), purpose: purpose.to_owned() },
        _ => DevError::Spawn { name: purpose.to_owned(), source },
    })
}

/// An answer that says no, with the reason in `detail`.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub String);

impl Refusal {
    pub fn not_found(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, detail.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, detail) = self;
        (status, Json(json!({ "detail": detail }))).into_response()
    }
}
