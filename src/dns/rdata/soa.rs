//! SOA: the start of a zone's authority (RFC 1035 section 3.3.13). One in each zone, at its apex, made by the platform.

use std::borrow::Cow;
use std::fmt;

use super::target::{self, HOST};
use super::text::{fields, number};
use super::{Owner, ParseContext, Parsed, RecordDefinition};
use crate::dns::error::{FieldError, Warning};
use crate::dns::zone_name::ZoneName;

const REFRESH: u32 = 10_800;
const RETRY: u32 = 3_600;
const EXPIRE: u32 = 604_800;
const MINIMUM: u32 = 3_600;

/// Timers are times to live, and those end at 2^31 - 1 (RFC 2181 section 8).
const TIMER_MAX: u32 = i32::MAX as u32;
/// The longest negative caching that is sensible (RFC 2308 section 5).
const MINIMUM_SENSIBLE_MAX: u32 = 86_400;

/// The fields of an SOA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The primary name server, with trailing dot.
    pub mname: String,
    /// The mailbox of the person responsible, as a name with trailing dot.
    pub rname: String,
    /// The version of the zone.
    pub serial: u32,
    /// Seconds between a secondary's questions.
    pub refresh: u32,
    /// Seconds until a failed question is asked again.
    pub retry: u32,
    /// Seconds until a secondary that hears nothing stops answering.
    pub expire: u32,
    /// Seconds for which the absence of a record is remembered (RFC 2308).
    pub minimum: u32,
}

/// The timers of an SOA, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoaTimers {
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
}

impl Default for SoaTimers {
    fn default() -> Self {
        Self { refresh: REFRESH, retry: RETRY, expire: EXPIRE, minimum: MINIMUM }
    }
}

impl Soa {
    /// The SOA that a zone begins with; `ns1` is the first of the platform's name servers, with or without dot.
    pub fn initial(ns1: &str, zone: &ZoneName, serial: u32, timers: SoaTimers) -> Self {
        let SoaTimers { refresh, retry, expire, minimum } = timers;
        Self {
            mname: format!("{}.", ns1.strip_suffix('.').unwrap_or(ns1).to_ascii_lowercase()),
            rname: format!("hostmaster.{zone}."),
            serial,
            refresh,
            retry,
            expire,
            minimum,
        }
    }

    /// Parses the presentation form.
    ///
    /// # Errors
    /// Names the field `content`.
    pub fn parse(content: &str) -> Result<Self, FieldError> {
        parse(content, &ParseContext { zone: None }, &mut Vec::new())
    }
}

/// The canonical presentation form.
impl fmt::Display for Soa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mname, rname, serial, refresh, retry, expire, minimum } = self;
        write!(f, "{mname} {rname} {serial} {refresh} {retry} {expire} {minimum}")
    }
}

pub(in crate::dns) struct SoaDefinition;

impl RecordDefinition for SoaDefinition {
    fn description(&self) -> &'static str {
        "Start of authority: timers of the zone; made and numbered by the platform"
    }

    fn example(&self) -> &'static str {
        "ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 3600"
    }

    fn for_server<'a>(&self, canonical: &'a str) -> Cow<'a, str> {
        target::for_server(canonical)
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0, 1]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let mut warnings = Vec::new();
        let soa = parse(content, context, &mut warnings)?;
        warnings.extend(odd_timers(&soa));
        Ok(Parsed { canonical: soa.to_string(), warnings })
    }

    fn check_owner(&self, owner: &Owner<'_>) -> Result<(), FieldError> {
        if owner.name.is_apex(owner.zone) {
            return Ok(());
        }
        Err(FieldError::name("an SOA stands only at the zone apex"))
    }

    fn is_single_valued(&self) -> bool {
        true
    }

    fn wire_length(&self, canonical: &str) -> usize {
        // Five numbers of four octets, whose text may be as short as one digit.
        canonical.len() + 20
    }
}

fn parse(content: &str, context: &ParseContext<'_>, warnings: &mut Vec<Warning>) -> Result<Soa, FieldError> {
    let [mname, rname, serial, refresh, retry, expire, minimum] =
        fields(content, "<primary> <mailbox> <serial> <refresh> <retry> <expire> <minimum>")?;
    Ok(Soa {
        mname: target::parse(mname, HOST, context, warnings)?,
        rname: parse_mailbox(rname, context)?,
        serial: number(serial, "serial", u32::MAX)?,
        refresh: number(refresh, "refresh", TIMER_MAX)?,
        retry: number(retry, "retry", TIMER_MAX)?,
        expire: number(expire, "expire", TIMER_MAX)?,
        minimum: number(minimum, "minimum", TIMER_MAX)?,
    })
}

/// A mailbox as a name; `a.b@example.com` is `a\.b.example.com.` (RFC 1035 section 8). Only people write it so: on the
/// server it is a name, in which an `@` is a character of its label.
pub(super) fn parse_mailbox(text: &str, context: &ParseContext<'_>) -> Result<String, FieldError> {
    match text.split_once('@') {
        Some((local, domain))
            if context.zone.is_some() && !local.is_empty() && !domain.is_empty() && !text.contains('\\') =>
        {
            target::parse_any(&format!("{}.{domain}", local.replace('.', "\\.")), context)
        }
        _ => target::parse_any(text, context),
    }
}

fn odd_timers(soa: &Soa) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if soa.retry >= soa.refresh {
        warnings.push(Warning::content("retry is not shorter than refresh"));
    }
    if soa.expire <= soa.refresh.saturating_add(soa.retry) {
        warnings.push(Warning::content("expire is not longer than refresh and retry together"));
    }
    if soa.minimum > MINIMUM_SENSIBLE_MAX {
        warnings.push(Warning::content("minimum is over a day; a missing record stays missing that long"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{RecordType, canonical, canonical_from_server, for_server};

    #[test]
    fn the_first_soa_of_a_zone_reads_back() {
        let zone = ZoneName::parse("example.com").expect("valid");
        let soa = Soa::initial("ns1.platform.test", &zone, 7, SoaTimers::default());
        let text = "ns1.platform.test. hostmaster.example.com. 7 10800 3600 604800 3600";
        assert_eq!(soa.to_string(), text);
        assert_eq!(Soa::parse(text), Ok(soa));
    }

    #[test]
    fn a_mailbox_with_an_at_sign_in_its_name_comes_back_from_the_server() {
        let zone = ZoneName::parse("example.com").expect("valid");
        for (record_type, content, wanted) in [
            (RecordType::Soa, "ns1 host@b.e@a. 1 3 2 4 5", r"ns1. host.b.e\064a. 1 3 2 4 5"),
            (RecordType::Rp, "b@ i.example.", r"b\064. i.example."),
        ] {
            let (form, _) = canonical(&record_type, content, &zone).expect("accepted");
            assert_eq!(form, wanted);
            assert_eq!(canonical_from_server(&record_type, &for_server(&record_type, &form)), form);
        }
    }
}
