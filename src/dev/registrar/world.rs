//! What the world looks like: registered names, their providers' records, and where nameservers are. No sockets here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use hickory_proto::rr::Name;
use serde::{Deserialize, Serialize};

use super::record;
use crate::dev::http::Refusal;
use crate::dev::{DevError, files};

/// The parent's nameserver: `a.nic.test`.
pub(super) const PARENT: &str = "a.nic.test";
pub(super) const PARENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Everything in here is the platform itself, at [`PLATFORM_ADDRESS`]: `ns1.`, `ns2.` and what is below them.
pub(super) const PLATFORM: &str = "scaidns-dev.test";
pub(super) const PLATFORM_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The zones that the parent serves; registered names hang below the last three.
pub(super) const TOPS: [&str; 4] = ["", "test", "in-addr.arpa", "ip6.arpa"];
/// Who serves a name that came without nameservers.
const USUAL_NAMESERVERS: [&str; 2] = ["ns1.provider.test", "ns2.provider.test"];

/// All of it; keys are names in lower case without the dot at their end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    pub(super) names: BTreeMap<String, Registered>,
    pub(super) hosts: BTreeMap<String, Host>,
    /// Every SOA's serial; rises with each change.
    pub(super) serial: u32,
}

/// A registered name: its delegation, and its zone at the current provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Registered {
    pub nameservers: Vec<String>,
    pub records: Vec<Entry>,
    pub states: BTreeMap<String, ServerState>,
}

/// A record as the API speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub value: String,
}

impl Entry {
    pub fn new(name: &str, record_type: &str, value: &str) -> Self {
        Self { name: name.to_owned(), record_type: record_type.to_owned(), value: value.to_owned() }
    }
}

/// How a nameserver answers for a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Normal,
    /// Never answers.
    Silent,
    /// Answers SERVFAIL.
    Servfail,
    /// Answers from the records as they were when it became stale, the DS of registered names below among them.
    Stale,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServerState {
    pub mode: Mode,
    /// The records it still knows, when stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Vec<Entry>>,
}

/// Where a nameserver's name leads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Host {
    pub addresses: Vec<IpAddr>,
    /// Whether the registrar itself listens there.
    pub served: bool,
}

impl World {
    pub(super) fn load(path: &Path) -> Result<Self, DevError> {
        match files::read_if_there(path)? {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(&text).map_err(|e| DevError::HalfInitialised {
                path: path.display().to_string(),
                what: format!("not readable as the registrar's state: {e}"),
            }),
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), DevError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| DevError::Invalid(e.to_string()))?;
        files::write_private(path, text)
    }

    /// Registers a name, or changes its delegation; its records stay.
    pub(super) fn register(&mut self, name: &str, nameservers: Option<Vec<String>>) -> Result<(), Refusal> {
        let key = registrable(name)?;
        let nameservers = match nameservers.filter(|list| !list.is_empty()) {
            Some(list) => list.iter().map(|ns| parse(ns).map(|ns| record::text(&ns))).collect::<Result<_, _>>()?,
            None => match self.names.get(&key) {
                Some(known) => known.nameservers.clone(),
                None => USUAL_NAMESERVERS.map(str::to_owned).to_vec(),
            },
        };
        for nameserver in &nameservers {
            self.give_address(nameserver);
        }
        let registered = self.names.entry(key).or_default();
        registered.states.retain(|ns, _| nameservers.contains(ns));
        registered.nameservers = nameservers;
        self.touch();
        Ok(())
    }

    pub(super) fn unregister(&mut self, name: &str) -> Result<(), Refusal> {
        let key = registrable(name)?;
        self.names.remove(&key).ok_or_else(|| Refusal::not_found(&key))?;
        self.touch();
        Ok(())
    }

    /// Exactly these records.
    pub(super) fn set_records(&mut self, name: &str, entries: Vec<Entry>) -> Result<(), Refusal> {
        let key = registrable(name)?;
        let entries = entries.into_iter().map(|entry| checked(&key, entry)).collect::<Result<_, _>>()?;
        self.registered(&key)?.records = entries;
        self.touch();
        Ok(())
    }

    /// One more; one that is there already stays one.
    pub(super) fn add_record(&mut self, name: &str, entry: Entry) -> Result<(), Refusal> {
        let key = registrable(name)?;
        let entry = checked(&key, entry)?;
        let records = &mut self.registered(&key)?.records;
        if !records.contains(&entry) {
            records.push(entry);
        }
        self.touch();
        Ok(())
    }

    /// Removes those of this name and type; what is not given matches all. Returns how many there were.
    pub(super) fn remove_records(
        &mut self,
        name: &str,
        owner: Option<&str>,
        record_type: Option<&str>,
    ) -> Result<usize, Refusal> {
        let key = registrable(name)?;
        let owner = owner.map(|owner| owner_within(&key, owner)).transpose()?;
        let records = &mut self.registered(&key)?.records;
        let before = records.len();
        records.retain(|entry| {
            owner.as_ref().is_some_and(|owner| *owner != entry.name)
                || record_type.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&entry.record_type))
        });
        let removed = before - records.len();
        self.touch();
        Ok(removed)
    }

    pub(super) fn set_mode(&mut self, name: &str, nameserver: &str, mode: Mode) -> Result<(), Refusal> {
        let key = registrable(name)?;
        let nameserver = record::text(&parse(nameserver)?);
        let below: Vec<Entry> = self.ds_below(&key).cloned().collect();
        let registered = self.registered(&key)?;
        if !registered.nameservers.contains(&nameserver) {
            return Err(Refusal::not_found(&format!("nameserver {nameserver} of {key}")));
        }
        match mode {
            Mode::Normal => {
                registered.states.remove(&nameserver);
            }
            // Stale twice stays as old as it was.
            Mode::Stale if registered.states.get(&nameserver).is_some_and(|state| state.mode == Mode::Stale) => {}
            Mode::Stale => {
                let frozen = Some(registered.records.iter().cloned().chain(below).collect());
                registered.states.insert(nameserver, ServerState { mode, frozen });
            }
            Mode::Silent | Mode::Servfail => {
                registered.states.insert(nameserver, ServerState { mode, frozen: None });
            }
        }
        Ok(())
    }

    /// Lets a nameserver's name lead somewhere that is not ours.
    pub(super) fn set_addresses(&mut self, nameserver: &str, addresses: Vec<IpAddr>) -> Result<(), Refusal> {
        let nameserver = record::text(&parse(nameserver)?);
        self.hosts.insert(nameserver, Host { addresses, served: false });
        self.touch();
        Ok(())
    }

    /// The addresses that the registrar listens at, the parent's not among them.
    pub(super) fn served_addresses(&self) -> BTreeSet<IpAddr> {
        self.hosts.values().filter(|host| host.served).flat_map(|host| host.addresses.iter().copied()).collect()
    }

    /// Where a host's name leads; nothing for a name that is no host.
    pub(super) fn addresses_of(&self, host: &str) -> Vec<IpAddr> {
        match self.hosts.get(host) {
            Some(host) => host.addresses.clone(),
            None if host == PARENT => vec![PARENT_ADDRESS.into()],
            None if is_platform(host) => vec![PLATFORM_ADDRESS.into()],
            None => Vec::new(),
        }
    }

    /// The closest registered name at or above this one.
    pub(super) fn closest_registered(&self, name: &Name) -> Option<Name> {
        let mut name = name.clone();
        while !name.is_root() {
            if self.names.contains_key(&record::text(&name)) {
                return Some(name);
            }
            name = name.base_name();
        }
        None
    }

    /// The DS of registered names below this one.
    fn ds_below(&self, key: &str) -> impl Iterator<Item = &Entry> {
        let is_below = move |name: &str| name.strip_suffix(key).is_some_and(|rest| rest.ends_with('.'));
        let below = self.names.iter().filter(move |(name, _)| is_below(name));
        below.flat_map(|(_, registered)| &registered.records).filter(|entry| entry.record_type == "DS")
    }

    fn registered(&mut self, key: &str) -> Result<&mut Registered, Refusal> {
        self.names.get_mut(key).ok_or_else(|| Refusal::not_found(key))
    }

    /// A new nameserver gets the next free loopback address.
    fn give_address(&mut self, host: &str) {
        if !self.addresses_of(host).is_empty() {
            return;
        }
        let taken = self.served_addresses();
        let first = u32::from(PARENT_ADDRESS) + 1;
        let free = (first..).map(|n| IpAddr::from(Ipv4Addr::from(n))).find(|address| !taken.contains(address));
        self.hosts.insert(host.to_owned(), Host { addresses: free.into_iter().collect(), served: true });
    }

    fn touch(&mut self) {
        self.serial = self.serial.wrapping_add(1);
    }
}

/// Whether a host is the platform's: PowerDNS answers there.
pub(super) fn is_platform(host: &str) -> bool {
    host == PLATFORM || host.strip_suffix(PLATFORM).is_some_and(|rest| rest.ends_with('.'))
}

fn parse(name: &str) -> Result<Name, Refusal> {
    record::name(name).map_err(Refusal::invalid)
}

/// The key of a name that may be registered.
fn registrable(name: &str) -> Result<String, Refusal> {
    let key = record::text(&parse(name)?);
    let below = |top: &&str| !top.is_empty() && key.strip_suffix(*top).is_some_and(|rest| rest.ends_with('.'));
    match TOPS.iter().any(below) {
        true => Ok(key),
        false => Err(Refusal::invalid(format!("{key:?} is not below .test, in-addr.arpa or ip6.arpa"))),
    }
}

fn owner_within(key: &str, owner: &str) -> Result<String, Refusal> {
    if owner == "@" {
        return Ok(key.to_owned());
    }
    let owner = parse(owner)?;
    match parse(key)?.zone_of(&owner) {
        true => Ok(record::text(&owner)),
        false => Err(Refusal::invalid(format!("{} is not within {key}", record::text(&owner)))),
    }
}

/// The entry with its name and type in their usual form, once its value has been read.
fn checked(key: &str, entry: Entry) -> Result<Entry, Refusal> {
    let Entry { name, record_type, value } = entry;
    record::data(&record_type, &value).map_err(Refusal::invalid)?;
    let name = owner_within(key, &name)?;
    let record_type = record_type.to_ascii_uppercase();
    if record_type == "DS" && name != key {
        return Err(Refusal::invalid("a DS belongs at the registered name itself; register the name below too"));
    }
    Ok(Entry { name, record_type, value })
}
