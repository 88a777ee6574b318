//! CNAME: another name for the owner (RFC 1035 section 3.3.1, RFC 2181 section 10.1).

use super::target::{self, OWNER};
use super::text::fields;
use super::{Neighbourhood, Owner, ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;
use crate::dns::zone_content::Lookup;

pub(in crate::dns) struct Cname;

impl RecordDefinition for Cname {
    fn description(&self) -> &'static str {
        "Alias of a name; stands alone and never at the apex"
    }

    fn example(&self) -> &'static str {
        "www.example.com."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [alias] = fields(content, "<name>")?;
        let mut warnings = Vec::new();
        let canonical = target::parse(alias, OWNER, context, &mut warnings)?;
        Ok(Parsed { canonical, warnings })
    }

    fn check_owner(&self, owner: &Owner<'_>) -> Result<(), FieldError> {
        if owner.name.is_apex(owner.zone) {
            return Err(FieldError::name("a CNAME is not allowed at the zone apex"));
        }
        Ok(())
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target::name_of(canonical).map(|name| Target { name, role: TargetRole::Alias })
    }

    fn is_single_valued(&self) -> bool {
        true
    }

    fn warnings(&self, _owner: &OwnerName, rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        rrset
            .enabled()
            .filter_map(|record| self.target(&record.content))
            .filter_map(|target| {
                let name = target.name;
                match around.zone.look_up(name) {
                    // not where it leads: the caller may not be allowed to read that
                    Lookup::Alias(_) => Some(Warning::content(format!("target '{name}' is itself a CNAME"))),
                    Lookup::Missing => Some(Warning::content(format!("target '{name}' does not exist in this zone"))),
                    Lookup::Exists | Lookup::Elsewhere => None,
                }
            })
            .collect()
    }
}
