//! NS: a name server of the zone, or of a zone delegated below it (RFC 1035 section 3.3.11, RFC 1034 section 4.2).

use super::target::{self, HOST};
use super::text::fields;
use super::{Neighbourhood, Owner, ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::{FieldError, Warning};
use crate::dns::labels;
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

/// RFC 2182 section 5.
const SERVERS_MIN: usize = 2;

pub(in crate::dns) struct Ns;

impl RecordDefinition for Ns {
    fn description(&self) -> &'static str {
        "Name server of the zone, or of a zone delegated below it"
    }

    fn example(&self) -> &'static str {
        "ns1.example.com."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [server] = fields(content, "<name server>")?;
        let mut warnings = Vec::new();
        let canonical = target::parse(server, HOST, context, &mut warnings)?;
        Ok(Parsed { canonical, warnings })
    }

    /// RFC 4592 section 4.2 leaves a wildcard NS undefined, and signed it cannot be answered.
    fn check_owner(&self, owner: &Owner<'_>) -> Result<(), FieldError> {
        if owner.signed && owner.name.is_wildcard() {
            return Err(FieldError::name("a wildcard cannot be delegated in a signed zone"));
        }
        Ok(())
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target::name_of(canonical).map(|name| Target { name, role: TargetRole::Host })
    }

    fn warnings(&self, owner: &OwnerName, rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if rrset.enabled().count() < SERVERS_MIN {
            warnings.push(Warning::content(format!("'{owner}' has fewer than {SERVERS_MIN} name servers")));
        }
        for target in rrset.enabled().filter_map(|record| self.target(&record.content)) {
            // Below the cut only glue tells the address; elsewhere in the zone any address record does.
            let missing = if !owner.is_apex(around.zone.zone()) && labels::is_at_or_below(target.name, owner.as_str()) {
                !around.zone.has_own_address(target.name)
            } else {
                around.zone.lacks_address(target.name)
            };
            if missing {
                let name = target.name;
                warnings.push(Warning::content(format!("name server '{name}' has no address (glue) in this zone")));
            }
        }
        warnings
    }
}
