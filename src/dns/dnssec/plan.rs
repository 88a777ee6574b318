//! Wanted against actual: which keys a phase wants, and the calls that lead there.
//!
//! PowerDNS signs with what is *active* and lists what is *published*. Its rules make some states dangerous: a ZSK
//! signs the DNSKEY RRset where no KSK of its algorithm is active, and a KSK signs the data where no ZSK is. So a KSK
//! comes before its ZSK and goes after it, and what is new signs before what is old stops.

use super::state::{Key, Signing};
use super::words::{Age, Phase, Role, Trouble};

/// What of a key resolvers notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible {
    pub active: bool,
    pub published: bool,
}

impl Visible {
    pub const NOT_AT_ALL: Self = Self { active: false, published: false };
    const SIGNS: Self = Self { active: true, published: true };
    const LISTED: Self = Self { active: false, published: true };
    const SIGNS_UNLISTED: Self = Self { active: true, published: false };
}

/// A key as PowerDNS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    pub id: u64,
    pub flags: u16,
    pub key_tag: u16,
    pub visible: Visible,
}

/// One call to PowerDNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Makes the key at this place of [`Signing::keys`], invisible. What PowerDNS answers is to be kept before anything
    /// else is done, and the plan made anew.
    Create {
        index: usize,
    },
    Set {
        id: u64,
        visible: Visible,
    },
    Delete {
        id: u64,
    },
    /// Sets the mode of denial, which needs an active key, and brings names into order.
    SetDenial,
    ClearDenial,
}

/// What the CDS and CDNSKEY RRsets are to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cds {
    Absent,
    /// The DS that the parent should have is that of this key, and no other.
    Of(Age),
    /// The parent should have none (RFC 8078, 4).
    Delete,
}

/// How a key is to be in this phase; None where it is to be gone.
pub fn wanted(phase: Phase, key: &Key) -> Option<Visible> {
    let visible = match (phase, key.role, key.age) {
        (Phase::Unsigning, _, _) => return None,
        (_, _, Age::Current) => Visible::SIGNS,
        // removing the DS may stop a rollover anywhere: its keys stay as they were, see below
        (Phase::ZskPublished, Role::Zsk, Age::Next) => Visible::LISTED,
        (Phase::ZskRetiring, Role::Zsk, Age::Old) => Visible::LISTED,
        (Phase::KskPublished | Phase::KskWaitDs, Role::Ksk, Age::Next) => Visible::SIGNS,
        (Phase::KskRetiring, Role::Ksk, Age::Old) => Visible::SIGNS,
        (Phase::AlgPresign, Role::Zsk, Age::Next) => Visible::SIGNS_UNLISTED,
        (Phase::AlgPresign, Role::Ksk, Age::Next) => Visible::NOT_AT_ALL,
        (Phase::AlgPublished | Phase::AlgWaitDs, _, Age::Next) => Visible::SIGNS,
        (Phase::AlgDsTtl, _, Age::Old) => Visible::SIGNS,
        (Phase::AlgUnpublished, Role::Zsk, Age::Old) => Visible::SIGNS_UNLISTED,
        (_, _, Age::Next | Age::Old) => return None,
    };
    Some(visible)
}

/// What the parent is asked for in this phase.
pub fn cds(phase: Phase) -> Cds {
    match phase {
        Phase::Signing | Phase::Unsigning => Cds::Absent,
        Phase::KskWaitDs | Phase::AlgWaitDs => Cds::Of(Age::Next),
        Phase::WaitDsGone | Phase::DsGone => Cds::Delete,
        Phase::PendingDs
        | Phase::Active
        | Phase::ZskPublished
        | Phase::ZskRetiring
        | Phase::KskPublished
        | Phase::KskRetiring
        | Phase::AlgPresign
        | Phase::AlgPublished
        | Phase::AlgDsTtl
        | Phase::AlgUnpublished => Cds::Of(Age::Current),
    }
}

/// The calls that lead from what PowerDNS has to what the state wants; none where nothing is missing.
pub fn calls(signing: &Signing, actual: &[ServerKey]) -> Result<Vec<Call>, Trouble> {
    let keeps = |key: &&ServerKey| kept(signing, key.id).is_some();
    let mut removed: Vec<&ServerKey> = Vec::new();
    for key in actual.iter().filter(|key| !keeps(key)) {
        let is_ours = signing.keys.iter().any(|ours| ours.id == Some(key.id));
        // an invisible one was made by a step that did not come to keep its id; a visible one by somebody else
        let may_go = is_ours || key.visible == Visible::NOT_AT_ALL || is_leftover(signing);
        if !may_go {
            return Err(Trouble::KeyForeign { id: key.id, key_tag: key.key_tag });
        }
        removed.push(key);
    }
    let mut calls = Vec::new();
    for (index, key) in signing.keys.iter().enumerate() {
        if wanted(signing.phase, key).is_some() && key.id.is_none() {
            calls.push(Call::Create { index });
        }
    }
    if !calls.is_empty() {
        // an orphan goes first, so that a step that fails again and again leaves no heap of them
        let orphans = removed.iter().filter(|key| key.visible == Visible::NOT_AT_ALL);
        let mut first: Vec<Call> = orphans.map(|key| Call::Delete { id: key.id }).collect();
        first.append(&mut calls);
        return Ok(first);
    }
    let (mut raised, mut lowered) = (Vec::new(), Vec::new());
    for key in &signing.keys {
        let (Some(visible), Some(id)) = (wanted(signing.phase, key), key.id) else { continue };
        let Some(found) = actual.iter().find(|found| found.id == id) else {
            return Err(Trouble::KeyMissing { key_tag: key.key_tag().unwrap_or_default() });
        };
        if found.visible != visible {
            let lowers = (found.visible.active && !visible.active) || (found.visible.published && !visible.published);
            let step = (key.role, Call::Set { id, visible });
            if lowers { lowered.push(step) } else { raised.push(step) }
        }
    }
    raised.sort_by_key(|(role, _)| *role);
    lowered.sort_by_key(|(role, _)| std::cmp::Reverse(*role));
    removed.sort_by_key(|key| key.flags);
    calls.extend(raised.into_iter().map(|(_, call)| call));
    if signing.phase == Phase::Signing {
        calls.push(Call::SetDenial);
    }
    calls.extend(lowered.into_iter().map(|(_, call)| call));
    calls.extend(removed.into_iter().map(|key| Call::Delete { id: key.id }));
    if signing.phase == Phase::Unsigning {
        calls.push(Call::ClearDenial);
    }
    Ok(calls)
}

/// Key tags by which a server shows that it serves the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Exactly those in the DNSKEY RRset.
    pub listed: Vec<u16>,
    /// Those that must sign it.
    pub sign_keys: Vec<u16>,
    /// Those that must sign the data.
    pub sign_data: Vec<u16>,
}

/// What the own servers must show before the wait of this phase begins.
pub fn served(signing: &Signing) -> Served {
    let tags = |matches: &dyn Fn(Role, Visible) -> bool| -> Vec<u16> {
        let visible = |key: &&Key| wanted(signing.phase, key).is_some_and(|visible| matches(key.role, visible));
        let mut tags: Vec<u16> = signing.keys.iter().filter(visible).filter_map(Key::key_tag).collect();
        tags.sort_unstable();
        tags
    };
    let has_zsk = signing
        .keys
        .iter()
        .any(|key| key.role == Role::Zsk && wanted(signing.phase, key).is_some_and(|visible| visible.active));
    let data_role = if has_zsk { Role::Zsk } else { Role::Ksk };
    Served {
        listed: tags(&|_, visible| visible.published),
        sign_keys: tags(&|role, visible| role == Role::Ksk && visible.active),
        sign_data: tags(&|role, visible| role == data_role && visible.active),
    }
}

/// The key with this id, if the phase wants it.
fn kept(signing: &Signing, id: u64) -> Option<&Key> {
    signing.keys.iter().find(|key| key.id == Some(id) && wanted(signing.phase, key).is_some())
}

/// What an unsigned zone's keys are: whoever made them, they go with all the others.
fn is_leftover(signing: &Signing) -> bool {
    signing.phase == Phase::Unsigning
}
