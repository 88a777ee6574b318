//! The registrar: the rest of the world's DNS for `.test`, over real UDP and TCP, changed through a small HTTP API.
//!
//! Three kinds of servers, all on loopback:
//!
//! - *nameservers*, each at an address of its own (127.0.0.2 for the parent `a.nic.test`, 127.0.0.3 and up for the
//!   nameservers of registered names) and all at one port, as `VALIDATION_AUTHORITATIVE_PORT` is one number. PowerDNS
//!   has 127.0.0.1 at that port, which is where everything in `scaidns-dev.test` (the platform's nameservers) is.
//! - a *recursive resolver* for `VALIDATION_RESOLVERS`: follows delegations and CNAMEs through those nameservers,
//!   PowerDNS included, and answers NXDOMAIN with SOA for what nobody registered. Asked without RD it answers as the
//!   parent does.
//! - the *HTTP API*, JSON, errors as `{"detail"}`:
//!
//! | | |
//! |---|---|
//! | `PUT /names/{name}` `{"nameservers"?: […]}` | registers it, or changes its delegation; without a list `ns1.provider.test`, `ns2.provider.test`. Records stay |
//! | `GET /names`, `GET /names/{name}` | `{name, nameservers, records, states}` |
//! | `DELETE /names/{name}` | NXDOMAIN from now on |
//! | `PUT /names/{name}/records` `[{name, type, value}]` | exactly these records at the current provider |
//! | `POST /names/{name}/records` `{name, type, value}` | one more |
//! | `DELETE /names/{name}/records?name=&type=` | those of this name and type; each may be left out |
//! | `PUT /names/{name}/nameservers/{ns}/state` `{"mode"}` | how this nameserver answers for this name, see [`Mode`] |
//! | `GET /trust-anchor` | `{"dnskey"}`: the root's key, for validators; the parent signs its zones for those who ask for it |
//! | `GET /nameservers`, `PUT /nameservers/{ns}` `{"addresses": […]}` | where a nameserver's name leads; one given addresses is not served here |
//!
//! A record's `name` is absolute (or `@`) and within the registered name; names inside its value are absolute. A TXT
//! value is the text itself, or quoted strings. `DS` at the registered name is answered by its parent. A name below
//! a registered one may be registered too: that makes a zone cut. SOA and the NS at the top are made up unless given
//! as records. Registrable are names under `.test`, `in-addr.arpa` and `ip6.arpa`. TTLs are one second, so that a
//! change is seen at once; a DS's is three, so that caches have something to keep. Everything is kept in the data
//! folder.

mod answer;
mod api;
mod parent_key;
mod record;
mod resolver;
mod signed;
mod wire;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

pub use self::world::{Entry, Mode, World};

use self::parent_key::ParentKey;
use self::wire::Listeners;
use self::world::PARENT_ADDRESS;
use super::http::{self, HttpService, Refusal};
use super::{DevError, files};
use crate::clock::Clock;

/// How to start one.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder its state is kept in.
    pub folder: PathBuf,
    /// The one port of all nameservers; 0 takes a free one.
    pub dns_port: u16,
    /// Where the resolver listens; port 0 takes a free one.
    pub resolver: SocketAddr,
    /// Where the HTTP API listens; port 0 takes a free one.
    pub api: SocketAddr,
}

impl Settings {
    /// Free ports on loopback.
    pub fn anywhere(folder: impl Into<PathBuf>) -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        Self { folder: folder.into(), dns_port: 0, resolver: any, api: any }
    }
}

/// A running registrar; it ends when dropped.
#[derive(Debug)]
pub struct Registrar {
    state: Arc<State>,
    service: HttpService,
    resolver: SocketAddr,
}

impl Registrar {
    /// Finds its state again, or begins with an empty world.
    pub async fn start(settings: Settings) -> Result<Self, DevError> {
        let Settings { folder, dns_port, resolver, api } = settings;
        files::make_folder(&folder)?;
        let path = folder.join("world.json");
        let world = World::load(&path)?;
        let key = ParentKey::load_or_create(&folder)?;
        let listener = http::listen(api, "registrar API").await?;
        let state = Arc::new(State {
            world: RwLock::new(Arc::new(world)),
            path,
            key,
            clock: Clock::system(),
            listeners: Mutex::default(),
        });
        let resolver = {
            let mut listeners = state.listeners.lock().await;
            listeners.open_authority(&state, PARENT_ADDRESS.into(), dns_port).await?;
            for address in state.world().served_addresses() {
                listeners.open_authority(&state, address, dns_port).await?;
            }
            listeners.open_resolver(&state, resolver).await?
        };
        let service = HttpService::start(listener, api::router(state.clone()))?;
        Ok(Self { state, service, resolver })
    }

    /// `REGISTRAR_API_URL`, without a slash at its end.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.service.address())
    }

    /// For `VALIDATION_RESOLVERS`.
    pub fn resolver_address(&self) -> SocketAddr {
        self.resolver
    }

    /// The root's key as a trust anchor for validators: `. DNSKEY …`.
    pub fn trust_anchor(&self) -> String {
        self.state.key.trust_anchor()
    }

    /// For `VALIDATION_AUTHORITATIVE_PORT`.
    pub async fn dns_port(&self) -> u16 {
        self.state.listeners.lock().await.port()
    }

    /// Registers a name, or changes its delegation; no nameservers means the usual two.
    pub async fn register(&self, name: &str, nameservers: &[&str]) -> Result<(), DevError> {
        let nameservers = nameservers.iter().map(|ns| (*ns).to_owned()).collect();
        self.state.change(|world| world.register(name, Some(nameservers))).await.map_err(invalid)
    }

    /// Adds a record at the name's current provider.
    pub async fn add_record(&self, name: &str, entry: Entry) -> Result<(), DevError> {
        self.state.change(|world| world.add_record(name, entry)).await.map_err(invalid)
    }

    /// Sets how one nameserver answers for one name.
    pub async fn set_mode(&self, name: &str, nameserver: &str, mode: Mode) -> Result<(), DevError> {
        self.state.change(|world| world.set_mode(name, nameserver, mode)).await.map_err(invalid)
    }

    /// Closes every socket.
    pub async fn stop(self) {
        self.service.stop().await;
        self.state.listeners.lock().await.close();
    }
}

fn invalid(Refusal(_, detail): Refusal) -> DevError {
    DevError::Invalid(detail)
}

#[derive(Debug)]
struct State {
    world: RwLock<Arc<World>>,
    path: PathBuf,
    /// Signs the parent's zones.
    key: ParentKey,
    clock: Clock,
    /// Also the lock under which changes line up.
    listeners: Mutex<Listeners>,
}

impl State {
    fn world(&self) -> Arc<World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the world, keeps it, and opens what a new nameserver needs, before it can be seen.
    async fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut World) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut listeners = self.listeners.lock().await;
        let mut world = World::clone(&self.world());
        let outcome = change(&mut world)?;
        let port = listeners.port();
        for address in world.served_addresses() {
            listeners.open_authority(self, address, port).await.map_err(internal)?;
        }
        world.save(&self.path).map_err(internal)?;
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
        Ok(outcome)
    }
}

fn internal(error: DevError) -> Refusal {
    Refusal(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

#[cfg(test)]
mod tests;
