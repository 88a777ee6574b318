//! How a domain's signing is shown.

use crate::dns::dnssec::{Age, Denial, Ds, DsRecord, Key, Phase, Role, ServerLook, Signing};
use crate::service::dnssec::{self, DnssecView};
use crate::storage::signing::SignedZone;

use super::bodies::{AlarmItem, DnssecState, DsItem, KeyItem, NextStep, ParentServer, SignedDomain};

pub(super) fn state(view: DnssecView) -> DnssecState {
    let keys = |role: Role| -> Vec<KeyItem> {
        let signing = view.signing.iter();
        signing
            .flat_map(|signing| signing.keys.iter().map(move |key| (signing, key)))
            .filter(|(_, key)| key.role == role)
            .map(|(signing, key)| key_item(&view, signing, key))
            .collect()
    };
    let signing = view.signing.as_ref();
    DnssecState {
        enabled: signing.is_some(),
        status: status(signing),
        algorithm: signing.and_then(Signing::algorithm).map(|algorithm| algorithm.number()),
        denial: signing.map(|signing| Denial::as_str(signing.denial).to_owned()),
        ksk: keys(Role::Ksk),
        zsk: keys(Role::Zsk),
        parent: signing.map(|signing| parent(&view, signing)).unwrap_or_default(),
        phase: signing.map(|signing| signing.phase.as_str().to_owned()),
        not_before: signing.and_then(|signing| signing.ends_at(&view.policy)),
        next: signing.map(|signing| next_step(&view, signing)),
        alarm: view.alarm.as_ref().map(|a| AlarmItem { code: a.code().to_owned(), message: a.to_string() }),
        ds_records: ds_items(view.ds_records),
    }
}

fn next_step(view: &DnssecView, signing: &Signing) -> NextStep {
    let waiting_for = match signing.phase {
        _ if signing.verified_at.is_none() => "servers",
        phase if phase.waits_for_parent() => "parent",
        Phase::Active => "schedule",
        _ => "caches",
    };
    NextStep {
        step: signing.phase.as_str().to_owned(),
        not_before: signing.ends_at(&view.policy),
        waiting_for: waiting_for.to_owned(),
    }
}

pub(super) fn status(signing: Option<&Signing>) -> String {
    signing.map_or("disabled", |signing| signing.status().as_str()).to_owned()
}

fn parent(view: &DnssecView, signing: &Signing) -> Vec<ParentServer> {
    let is_ours = |ds: &Ds| signing.secure_entry_points().any(|key| ds.is_of(&view.name, key));
    let server = |server: &ServerLook| ParentServer {
        server: server.server.clone(),
        ds: server.ds.as_ref().map(|found| found.iter().map(ToString::to_string).collect()),
        matches: server.ds.as_ref().is_some_and(|found| found.iter().any(is_ours)),
    };
    signing.parent.servers.iter().map(server).collect()
}

pub(super) fn key_of(view: &DnssecView, role: Role, age: Age) -> Option<KeyItem> {
    let signing = view.signing.as_ref()?;
    Some(key_item(view, signing, signing.key(role, age)?))
}

fn key_item(view: &DnssecView, signing: &Signing, key: &Key) -> KeyItem {
    let visible = dnssec::visible(signing, key);
    let state = match key.age {
        Age::Next => "next",
        Age::Current => "current",
        Age::Old => "old",
    };
    let (key_type, lifetime) = match key.role {
        Role::Ksk => ("KSK", view.policy.ksk_lifetime),
        Role::Zsk => ("ZSK", view.policy.zsk_lifetime),
    };
    let since = key.current_since.filter(|_| key.age == Age::Current);
    KeyItem {
        key_type: key_type.to_owned(),
        expires_at: since.zip(lifetime).map(|(since, lifetime)| since + lifetime),
        key_tag: key.key_tag(),
        algorithm: key.algorithm.number(),
        flags: if key.role == Role::Ksk { 257 } else { 256 },
        public_key: key.dnskey.as_ref().map(|dnskey| dnskey.public_key_text()),
        dnskey: key.dnskey.as_ref().map(ToString::to_string),
        state: state.to_owned(),
        active: visible.active,
        published: visible.published,
        created_at: key.created_at,
    }
}

pub(super) fn ds_items(records: Vec<DsRecord>) -> Vec<DsItem> {
    let item = |record: DsRecord| {
        let DsRecord { ds, action, not_before } = record;
        let text = ds.to_string();
        let Ds { key_tag, algorithm, digest_type, digest } = ds;
        DsItem { key_tag, algorithm, digest_type, digest, ds: text, action: action.as_str().to_owned(), not_before }
    };
    records.into_iter().map(item).collect()
}

pub(super) fn signed_domain(zone: SignedZone) -> SignedDomain {
    let SignedZone { name, tenant, row } = zone;
    SignedDomain {
        domain_id: row.zone.to_string(),
        domain_name: name,
        tenant_id: tenant.to_string(),
        status: row.state.status().as_str().to_owned(),
        phase: row.state.phase.as_str().to_owned(),
        algorithm: row.state.algorithm().map(|algorithm| algorithm.number()),
        alarm: row.alarm,
        due_at: row.due_at,
        not_before: row.state.not_before,
        since: row.state.begun_at,
    }
}
