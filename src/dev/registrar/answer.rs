//! What an authoritative server answers (RFC 1034, 4.3.2): pure, from a [`World`] and a question.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::record::{self, TTL, record};
use super::world::{Entry, Mode, PARENT, PARENT_ADDRESS, TOPS, World};

/// CNAMEs followed within one zone.
const CNAME_CHAIN_MAX: usize = 8;

/// The sections of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Answer {
    pub(super) fn refuse(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// The zone cut this answer points to, if it is a referral.
    pub(super) fn referral(&self) -> Option<&Name> {
        let cut = self.authorities.first().filter(|record| record.record_type() == RecordType::NS)?;
        (!self.authoritative && self.answers.is_empty()).then_some(&cut.name)
    }
}

/// What the server at `server` answers; nothing when it keeps silent.
pub(super) fn authoritative(world: &World, server: IpAddr, name: &Name, kind: RecordType) -> Option<Answer> {
    let served = if server == PARENT_ADDRESS { Served::parent(name) } else { Served::at(world, server, name, kind) };
    let Some(Served { zone, mode, frozen }) = served else {
        return Some(Answer::refuse(ResponseCode::Refused));
    };
    match mode {
        Mode::Silent => None,
        Mode::Servfail => Some(Answer::refuse(ResponseCode::ServFail)),
        Mode::Normal | Mode::Stale => Some(Zone::of(world, &zone, frozen).lookup(name, kind)),
    }
}

/// What the parent would answer: where every resolution begins.
pub(super) fn parent(world: &World, name: &Name, kind: RecordType) -> Answer {
    let silent = || Answer::refuse(ResponseCode::ServFail);
    authoritative(world, PARENT_ADDRESS.into(), name, kind).unwrap_or_else(silent)
}

/// The zone a server answers from, and in which mood.
struct Served<'a> {
    zone: Name,
    mode: Mode,
    frozen: Option<&'a [Entry]>,
}

impl<'a> Served<'a> {
    fn parent(name: &Name) -> Option<Self> {
        let tops = TOPS.iter().filter_map(|top| record::name(&format!("{top}.")).ok());
        let zone = tops.filter(|top| top.zone_of(name)).max_by_key(Name::num_labels)?;
        Some(Self { zone, mode: Mode::Normal, frozen: None })
    }

    fn at(world: &'a World, server: IpAddr, name: &Name, kind: RecordType) -> Option<Self> {
        let hosts: Vec<&String> = world
            .hosts
            .iter()
            .filter(|(_, host)| host.served && host.addresses.contains(&server))
            .map(|(name, _)| name)
            .collect();
        let served: Vec<(Name, &String)> = world
            .names
            .iter()
            .filter_map(|(key, registered)| {
                let host = hosts.iter().find(|host| registered.nameservers.contains(host))?;
                Some((record::name(key).ok()?, *host))
            })
            .filter(|(zone, _)| zone.zone_of(name))
            .collect();
        // A DS belongs to the zone above the cut, where this server has that too.
        let above = served.iter().filter(|(zone, _)| kind != RecordType::DS || zone != name);
        let deepest = above.max_by_key(|(zone, _)| zone.num_labels()).or(served.first())?;
        let (zone, host) = deepest;
        let state = world.names.get(&record::text(zone))?.states.get(*host);
        Some(Self {
            zone: zone.clone(),
            mode: state.map(|state| state.mode).unwrap_or_default(),
            frozen: state.and_then(|state| state.frozen.as_deref()),
        })
    }
}

/// One zone's data, ready to be looked up.
struct Zone {
    apex: Name,
    soa: Record,
    records: BTreeMap<Name, Vec<Record>>,
    /// Delegations, with the DS beside the NS.
    cuts: BTreeMap<Name, Vec<Record>>,
    glue: BTreeMap<Name, Vec<Record>>,
}

impl Zone {
    fn of(world: &World, apex: &Name, frozen: Option<&[Entry]>) -> Self {
        let key = record::text(apex);
        let registered = world.names.get(&key);
        let nameservers = registered.map_or_else(|| vec![PARENT.to_owned()], |r| r.nameservers.clone());
        let mut zone = Self {
            apex: apex.clone(),
            soa: soa(apex, &nameservers[0], world.serial),
            records: BTreeMap::new(),
            cuts: BTreeMap::new(),
            glue: BTreeMap::new(),
        };
        let entries = frozen.or(registered.map(|r| r.records.as_slice())).unwrap_or_default();
        entries.iter().for_each(|entry| zone.add_entry(entry));
        zone.add_delegations(world, frozen);
        zone.add_hosts(world);
        zone.add_apex(&nameservers);
        zone
    }

    fn add_entry(&mut self, entry: &Entry) {
        let (Ok(owner), Ok(data)) = (record::name(&entry.name), record::data(&entry.record_type, &entry.value)) else {
            return; // checked when it came in
        };
        match data.record_type() {
            RecordType::DS => {} // the parent's
            RecordType::NS if owner != self.apex => {
                self.cuts.entry(owner.clone()).or_default().push(record(&owner, data))
            }
            _ => self.records.entry(owner.clone()).or_default().push(record(&owner, data)),
        }
    }

    /// Registered names right below this zone.
    fn add_delegations(&mut self, world: &World, frozen: Option<&[Entry]>) {
        for (key, registered) in &world.names {
            let Ok(child) = record::name(key) else { continue };
            let above = world.closest_registered(&child.base_name());
            let hangs_here = match above {
                Some(above) => above == self.apex,
                None => TOPS.contains(&record::text(&self.apex).as_str()) && self.is_closest_top(&child),
            };
            if !hangs_here || child == self.apex {
                continue;
            }
            let mut cut: Vec<Record> = registered.nameservers.iter().filter_map(|ns| ns_record(&child, ns)).collect();
            let known = frozen.unwrap_or(&registered.records).iter();
            let ds = known.filter(|entry| entry.record_type == "DS" && entry.name == *key);
            cut.extend(ds.filter_map(|entry| Some(record(&child, record::data("DS", &entry.value).ok()?))));
            self.cuts.insert(child, cut);
        }
    }

    fn is_closest_top(&self, child: &Name) -> bool {
        Served::parent(&child.base_name()).is_some_and(|served| served.zone == self.apex)
    }

    /// Addresses of nameservers: data where this zone holds their names, glue for the rest.
    fn add_hosts(&mut self, world: &World) {
        let mut hosts: BTreeSet<String> = world.hosts.keys().cloned().collect();
        hosts.insert(PARENT.to_owned());
        hosts.extend(["ns1", "ns2"].map(|ns| format!("{ns}.{}", super::world::PLATFORM)));
        hosts.extend(world.names.values().flat_map(|registered| registered.nameservers.iter().cloned()));
        for host in hosts {
            let Ok(owner) = record::name(&host) else { continue };
            let addresses: Vec<Record> = world
                .addresses_of(&host)
                .into_iter()
                .map(|address| match address {
                    IpAddr::V4(v4) => record(&owner, RData::A(A(v4))),
                    IpAddr::V6(v6) => record(&owner, RData::AAAA(AAAA(v6))),
                })
                .collect();
            let has_own = self.records.get(&owner).is_some_and(|own| own.iter().any(|r| r.data.ip_addr().is_some()));
            if self.holds(&owner) && !has_own && !addresses.is_empty() {
                self.records.entry(owner.clone()).or_default().extend(addresses.iter().cloned());
            }
            self.glue.insert(owner, addresses);
        }
    }

    /// Whether a name's data would be in this zone, and not in one of the registrar's zones below it.
    fn holds(&self, name: &Name) -> bool {
        let is_top = TOPS.contains(&record::text(&self.apex).as_str());
        self.apex.zone_of(name) && self.cut_of(name).is_none() && (!is_top || self.is_closest_top_of_host(name))
    }

    fn is_closest_top_of_host(&self, host: &Name) -> bool {
        Served::parent(host).is_some_and(|served| served.zone == self.apex)
    }

    fn add_apex(&mut self, nameservers: &[String]) {
        let apex = self.apex.clone();
        let at_apex = self.records.entry(apex.clone()).or_default();
        match at_apex.iter().find(|record| record.record_type() == RecordType::SOA) {
            Some(own) => self.soa = own.clone(),
            None => at_apex.push(self.soa.clone()),
        }
        if !at_apex.iter().any(|record| record.record_type() == RecordType::NS) {
            at_apex.extend(nameservers.iter().filter_map(|ns| ns_record(&apex, ns)));
        }
    }

    /// The delegation at or above a name, the one nearest to the apex.
    fn cut_of(&self, name: &Name) -> Option<(&Name, &Vec<Record>)> {
        self.cuts.iter().filter(|(cut, _)| cut.zone_of(name)).min_by_key(|(cut, _)| cut.num_labels())
    }

    fn lookup(&self, name: &Name, kind: RecordType) -> Answer {
        let mut answer = Answer { authoritative: true, ..Answer::default() };
        let mut name = name.clone();
        for _ in 0..CNAME_CHAIN_MAX {
            if let Some((cut, delegation)) = self.cut_of(&name) {
                if kind != RecordType::DS || *cut != name {
                    return self.refer(answer, delegation);
                }
                answer.answers.extend(delegation.iter().filter(|r| r.record_type() == RecordType::DS).cloned());
                return self.or_no_data(answer);
            }
            let Some(found) = self.find(&name) else {
                answer.code = ResponseCode::NXDomain;
                answer.authorities.push(self.soa.clone());
                return answer;
            };
            let wanted = |record: &&Record| kind == RecordType::ANY || record.record_type() == kind;
            let matching: Vec<Record> = found.iter().filter(wanted).cloned().collect();
            let alias = found.iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((record.clone(), target.0.clone())),
                _ => None,
            });
            match alias {
                Some((record, target)) if matching.is_empty() => {
                    answer.answers.push(record);
                    if !self.apex.zone_of(&target) {
                        return answer;
                    }
                    name = target.to_lowercase();
                }
                _ => {
                    answer.answers.extend(matching);
                    return self.or_no_data(answer);
                }
            }
        }
        answer
    }

    /// The records at a name, by itself or by a wildcard; empty for a name that only has others below it.
    fn find(&self, name: &Name) -> Option<Vec<Record>> {
        if let Some(records) = self.records.get(name) {
            return Some(records.clone());
        }
        if self.exists(name) {
            return Some(Vec::new());
        }
        let mut encloser = name.base_name();
        while !self.exists(&encloser) && !encloser.is_root() {
            encloser = encloser.base_name();
        }
        let wildcard = encloser.prepend_label("*").ok()?;
        let records = self.records.get(&wildcard)?;
        Some(records.iter().map(|found| record(name, found.data.clone())).collect())
    }

    fn exists(&self, name: &Name) -> bool {
        self.records.keys().chain(self.cuts.keys()).any(|known| name.zone_of(known))
    }

    fn refer(&self, mut answer: Answer, delegation: &[Record]) -> Answer {
        if !answer.answers.is_empty() {
            return answer; // the alias stands; whoever asked goes on from its target
        }
        answer.authoritative = false;
        answer.authorities.extend(delegation.iter().filter(|r| r.record_type() == RecordType::NS).cloned());
        for record in &answer.authorities {
            if let RData::NS(target) = &record.data {
                answer.additionals.extend(self.glue.get(&target.0).into_iter().flatten().cloned());
            }
        }
        answer
    }

    fn or_no_data(&self, mut answer: Answer) -> Answer {
        if answer.answers.last().is_none_or(|last| last.record_type() == RecordType::CNAME) {
            answer.authorities.push(self.soa.clone());
        }
        answer
    }
}

fn ns_record(owner: &Name, nameserver: &str) -> Option<Record> {
    Some(record(owner, RData::NS(NS(record::name(nameserver).ok()?))))
}

fn soa(apex: &Name, primary: &str, serial: u32) -> Record {
    let primary = record::name(primary).unwrap_or_else(|_| apex.clone());
    let contact = apex.prepend_label("hostmaster").unwrap_or_else(|_| apex.clone());
    record(apex, RData::SOA(SOA::new(primary, contact, serial, 3600, 600, 86_400, TTL)))
}
