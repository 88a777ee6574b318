//! A TCP proxy on loopback that breaks one exchange at a chosen point: before the server hears of it, or after it has
//! done what it was asked and before the client hears of that.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const HIT_LIMIT: Duration = Duration::from_secs(20);
const CHUNK: usize = 65_536;

/// Whether what a client sends is what the fault waits for.
pub type Wanted = fn(&[u8]) -> bool;

/// What is done to an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// How many of the wanted ones go through before.
    pub after: usize,
    /// How many are broken.
    pub times: usize,
    /// The server gets it (and its answer is swallowed); else it is held back, see [`Proxy::deliver_held`].
    pub reaches_server: bool,
    /// The client sees its connection close; else it waits, until it is killed or gives up.
    pub closes: bool,
}

impl Fault {
    /// The answer to the next one is swallowed, the connection closed.
    pub const SWALLOW: Self = Self { after: 0, times: 1, reaches_server: true, closes: true };
    /// The next one does not arrive, the connection is closed.
    pub const CUT: Self = Self { after: 0, times: 1, reaches_server: false, closes: true };
}

/// `COMMIT` as a MariaDB client sends it, whatever its case.
pub fn is_commit(bytes: &[u8]) -> bool {
    const COM_QUERY: [u8; 2] = [0, 3]; // first packet of an exchange; a query in text
    let query = bytes.get(5..).unwrap_or_default().trim_ascii();
    bytes.get(3..5) == Some(&COM_QUERY) && query.strip_suffix(b";").unwrap_or(query).eq_ignore_ascii_case(b"commit")
}

/// What a replica commits for a live zone: its intent, then its settle. Each is one prepared statement, and both name
/// who asked for the change.
pub fn is_intent_or_settle(bytes: &[u8]) -> bool {
    const COM_STMT_EXECUTE: [u8; 2] = [0, 0x17]; // first packet of an exchange
    const ACTOR: &[u8] = b"\"actor_type\":";
    bytes.get(3..5) == Some(&COM_STMT_EXECUTE) && bytes.windows(ACTOR.len()).any(|window| window == ACTOR)
}

/// The beginning of an HTTP PATCH.
pub fn is_patch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PATCH ")
}

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    armed: Mutex<Option<(Wanted, Fault)>>,
    hits: watch::Sender<usize>,
    held: Mutex<Vec<u8>>,
}

impl Proxy {
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = (Ipv4Addr::LOCALHOST, server_port).into();
        let state =
            Arc::new(State { server, armed: Mutex::default(), hits: watch::Sender::new(0), held: Mutex::default() });
        let served = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = served.clone();
                // Either side's end is the end of both; there is nobody to tell.
                tokio::spawn(async move { state.serve(client).await.ok() });
            }
        });
        Self { address, state, task }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks what comes from now on as the fault says.
    pub fn arm(&self, wanted: Wanted, fault: Fault) {
        *lock(&self.state.armed) = Some((wanted, fault));
    }

    /// Breaks nothing more.
    pub fn disarm(&self) {
        *lock(&self.state.armed) = None;
    }

    /// How many exchanges were broken so far.
    pub fn hits(&self) -> usize {
        *self.state.hits.borrow()
    }

    /// Waits until this many exchanges were broken.
    pub async fn until_hits(&self, wanted: usize) {
        let mut hits = self.state.hits.subscribe();
        let waited = tokio::time::timeout(HIT_LIMIT, hits.wait_for(|hits| *hits >= wanted)).await;
        assert!(waited.is_ok(), "not {wanted} but {} exchanges broken within {HIT_LIMIT:?}", self.hits());
    }

    /// Sends what was held back on to the server, late; its whole answer, for servers that close after one.
    pub async fn deliver_held(&self) -> String {
        let held = std::mem::take(&mut *lock(&self.state.held));
        assert!(!held.is_empty(), "nothing was held back");
        let mut server = TcpStream::connect(self.state.server).await.expect("the server");
        server.write_all(&held).await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(HIT_LIMIT, server.read_to_end(&mut answer)).await;
        assert!(matches!(read, Ok(Ok(_))), "{read:?}");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.server).await?;
        let (mut up, mut down) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut swallows: Option<Fault> = None;
        loop {
            tokio::select! {
                read = client.read(&mut up) => match read? {
                    0 => return Ok(()),
                    length => match self.verdict(&up[..length]) {
                        Some(fault) if !fault.reaches_server => return self.hold(&mut client, &up[..length], fault).await,
                        verdict => {
                            swallows = verdict.or(swallows);
                            server.write_all(&up[..length]).await?;
                        }
                    },
                },
                read = server.read(&mut down) => match (read?, swallows) {
                    (0, _) => return Ok(()),
                    (length, None) => client.write_all(&down[..length]).await?,
                    (_, Some(fault)) => {
                        self.hit();
                        return if fault.closes { Ok(()) } else { until_end(&mut client).await.map(drop) };
                    }
                },
            }
        }
    }

    fn verdict(&self, bytes: &[u8]) -> Option<Fault> {
        let mut armed = lock(&self.armed);
        let (wanted, fault) = armed.as_mut()?;
        if !wanted(bytes) {
            return None;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let found = *fault;
        fault.times -= 1;
        if fault.times == 0 {
            *armed = None;
        }
        Some(found)
    }

    async fn hold(&self, client: &mut TcpStream, first: &[u8], fault: Fault) -> io::Result<()> {
        *lock(&self.held) = first.to_vec();
        self.hit();
        if !fault.closes {
            let rest = until_end(client).await?;
            lock(&self.held).extend(rest);
        }
        Ok(())
    }

    fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }
}

/// What else a client sends before it goes.
async fn until_end(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    match client.read_to_end(&mut rest).await {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        Ok(_) | Err(_) => Ok(rest),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
