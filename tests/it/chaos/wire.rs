//! A wire between two servers that can be slow, or cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const CHUNK: usize = 65_536;

/// It lies until it is dropped.
pub struct Wire {
    port: u16,
    delay: Arc<AtomicU64>,
    /// Whether it is cut.
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Wire {
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let server = (Ipv4Addr::LOCALHOST, server_port).into();
        let delay = Arc::new(AtomicU64::new(0));
        let cut = watch::Sender::new(false);
        let (pause, watched) = (delay.clone(), cut.subscribe());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*watched.borrow() {
                    tokio::spawn(serve(client, server, pause.clone(), watched.clone()));
                }
            }
        });
        Self { port, delay, cut, task }
    }

    /// The address with this wire's port in place of the server's.
    pub fn through(&self, url: &str, server_port: u16) -> String {
        url.replace(&format!("127.0.0.1:{server_port}"), &format!("127.0.0.1:{}", self.port))
    }

    /// Each packet takes so much longer.
    pub fn slow(&self, delay: Duration) {
        self.delay.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// Ends all connections and lets none through.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.delay.store(0, Ordering::Relaxed);
        self.cut.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, delay: Arc<AtomicU64>, mut cut: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut up, mut down) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let (length, upwards) = tokio::select! {
            read = client.read(&mut up) => (read, true),
            read = server.read(&mut down) => (read, false),
            _ = cut.wait_for(|cut| *cut) => return,
        };
        let Ok(length @ 1..) = length else { return };
        let pause = Duration::from_millis(delay.load(Ordering::Relaxed));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let passed =
            if upwards { server.write_all(&up[..length]).await } else { client.write_all(&down[..length]).await };
        if passed.is_err() {
            return;
        }
    }
}
