//! PTR: the name of an address in a reverse zone (RFC 1035 section 3.5), elsewhere a pointer to any name (RFC 6763).

use std::borrow::Cow;

use super::target::{self, HOST};
use super::text::fields;
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;
use crate::dns::zone_content::Lookup;
use crate::dns::zone_name::ZoneName;

pub(in crate::dns) struct Ptr;

impl RecordDefinition for Ptr {
    fn description(&self) -> &'static str {
        "Name that belongs to an address, in a reverse zone; elsewhere a pointer to a name"
    }

    fn example(&self) -> &'static str {
        "host.example.com."
    }

    fn for_server<'a>(&self, canonical: &'a str) -> Cow<'a, str> {
        target::for_server(canonical)
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [name] = fields(content, "<name>")?;
        let mut warnings = Vec::new();
        let canonical = if context.zone.is_some_and(ZoneName::is_reverse) {
            target::parse(name, HOST, context, &mut warnings)?
        } else {
            target::parse_any(name, context)?
        };
        Ok(Parsed { canonical, warnings })
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target::name_of(canonical).map(|name| Target { name, role: TargetRole::Pointer })
    }

    fn warnings(&self, _owner: &OwnerName, rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        rrset
            .enabled()
            .filter_map(|record| self.target(&record.content))
            .filter(|target| around.zone.look_up(target.name) == Lookup::Missing)
            .map(|target| Warning::content(format!("'{}' does not exist in this zone", target.name)))
            .collect()
    }
}
