//! SVCB: how a service is reached (RFC 9460). Priority 0 makes it another name for the service, without parameters.

use super::target::{self, ROOT, SERVICE};
use super::text::{number, words};
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, Target, TargetRole, svc_params};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// What an IPv6 address may take more on the wire than as text: 16 octets for `::`.
const HINT_OCTETS_MORE: usize = 14;

pub(in crate::dns) struct Svcb;

impl RecordDefinition for Svcb {
    fn description(&self) -> &'static str {
        "How a service is reached: protocols, port, addresses, or another name"
    }

    fn example(&self) -> &'static str {
        "1 svc.example.com. alpn=dot port=853"
    }

    fn name_fields(&self) -> &'static [usize] {
        &[1]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        parse(content, context)
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target_of(canonical)
    }

    fn wire_length(&self, canonical: &str) -> usize {
        wire_length(canonical)
    }

    fn warnings(&self, owner: &OwnerName, rrset: &Rrset, _around: &Neighbourhood<'_>) -> Vec<Warning> {
        warnings(owner, rrset)
    }
}

/// `<priority> <target> <parameters>`.
pub(super) fn parse(content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
    let words = words(content)?;
    let [priority, target, ref parameters @ ..] = words[..] else {
        return Err(FieldError::content("content must be of the form '<priority> <target> <parameters>'"));
    };
    let priority: u16 = number(priority, "priority", u32::from(u16::MAX))?;
    if priority == 0 && !parameters.is_empty() {
        return Err(FieldError::content("with priority 0 (alias mode) there are no parameters"));
    }
    let mut warnings = Vec::new();
    let target = match target {
        ROOT => ROOT.to_owned(),
        name => target::parse(name, SERVICE, context, &mut warnings)?,
    };
    let mut canonical = format!("{priority} {target}");
    svc_params::push(&mut canonical, parameters)?;
    Ok(Parsed { canonical, warnings })
}

pub(super) fn target_of(canonical: &str) -> Option<Target<'_>> {
    let target = canonical.split(' ').nth(1)?;
    target::name_of(target).map(|name| Target { name, role: TargetRole::Pointer })
}

pub(super) fn wire_length(canonical: &str) -> usize {
    canonical.len() + 2 + HINT_OCTETS_MORE * canonical.bytes().filter(|byte| matches!(byte, b',' | b'=')).count()
}

/// The owner's own name means `.` in service mode, and leads nowhere in alias mode.
pub(super) fn warnings(owner: &OwnerName, rrset: &Rrset) -> Vec<Warning> {
    rrset
        .enabled()
        .filter(|record| target_of(&record.content).is_some_and(|target| target.name == owner.as_str()))
        .map(|_| Warning::content("the target is the owner itself; '.' says that shorter, and an alias needs another"))
        .collect()
}
