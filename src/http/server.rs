//! Connections: how many, and how long a slow client may take with each part of a request. What comes beyond is told to
//! come back rather than left to wait.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;
use tower_http::timeout::TimeoutBody;

use crate::config::Config;
use crate::ids::RequestId;

use super::addresses::{Addresses, OfAddress};
use super::unread::GivesUp;

/// Between two parts of a body that is sent, and between two looks of a client at what it is sent: on the worst of
/// networks a packet comes through in this time.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How many that come beyond the bound are told so at a time; the rest is closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long one who is turned away may take to read why.
const TURN_AWAY_TIME: Duration = Duration::from_secs(1);
/// What waits to be sent on a connection before the answer behind it is asked for more.
const SEND_BUFFER: usize = 256 * 1024;
/// After an error of `accept`, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets what is under way end.
pub async fn serve(listener: TcpListener, router: Router, config: &Config, stop: impl Future<Output = ()>) {
    let server = Server {
        router,
        header_timeout: config.http.header_timeout,
        places: Arc::new(Semaphore::new(config.http.max_connections)),
        addresses: Addresses::new(config.http.max_connections_per_address, config.trusted_proxies.clone()),
        turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
        graceful: GracefulShutdown::new(),
    };
    tokio::select! {
        () = server.accept(&listener) => {}
        () = stop => {}
    }
    // nobody new is let in while the others end
    drop(listener);
    server.graceful.shutdown().await;
}

struct Server {
    router: Router,
    header_timeout: Duration,
    places: Arc<Semaphore>,
    addresses: Addresses,
    turned_away: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Server {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        let of_address = self.addresses.take(peer.ip());
        let why = match (of_address, self.places.clone().try_acquire_owned()) {
            (Some(of_address), Ok(place)) => return self.start(stream, peer, (place, of_address)),
            (None, _) => "Your address has as many connections as this replica takes from one; use those, or try again",
            (Some(_), Err(_)) => "This replica has as many connections as it takes; try again",
        };
        metrics::counter!("scaidns_connections_refused_total").increment(1);
        let Ok(place) = self.turned_away.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            // it may have gone; there is nobody else to tell
            let _ = tokio::time::timeout(TURN_AWAY_TIME, turn_away(stream, why)).await;
            drop(place);
        });
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, place: (OwnedSemaphorePermit, OfAddress)) {
        // small answers leave at once
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(|body| Body::new(TimeoutBody::new(STALL_TIMEOUT, body)));
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = router.clone();
            async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(SEND_BUFFER);
        let connection = builder.serve_connection(TokioIo::new(GivesUp::new(stream, STALL_TIMEOUT)), service);
        let watched = self.graceful.watch(connection);
        metrics::gauge!("scaidns_connections").increment(1);
        tokio::spawn(async move {
            // a client that is gone, or too slow: it hears of it by the end of the connection
            if let Err(error) = watched.await {
                tracing::debug!(%peer, %error, "a connection broke");
            }
            metrics::gauge!("scaidns_connections").decrement(1);
            drop(place);
        });
    }
}

/// The answer to one connection too many, without a look at what it asks.
async fn turn_away(mut stream: TcpStream, why: &str) -> io::Result<()> {
    let id = RequestId::new();
    let body = format!(r#"{{"detail":"{why}","code":"overloaded","request_id":"{id}"}}"#);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nx-request-id: {id}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // closed with something unread, the connection would be reset, and the answer lost
    let mut unread = [0; 4_096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// The client has gone between its call and our answer to it.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
