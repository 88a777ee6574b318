//! ALIAS: PowerDNS's own type, a name whose addresses are answered as the owner's. Unlike a CNAME it may stand at the
//! apex. A server that does not expand it serves nothing (the writer asks).

use super::target::{self, SERVICE};
use super::text::fields;
use super::{ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Alias;

impl RecordDefinition for Alias {
    fn description(&self) -> &'static str {
        "Name whose addresses are answered for the owner, which may be the apex"
    }

    fn example(&self) -> &'static str {
        "www.example.net."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [name] = fields(content, "<name>")?;
        let mut warnings = Vec::new();
        let canonical = target::parse(name, SERVICE, context, &mut warnings)?;
        Ok(Parsed { canonical, warnings })
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target::name_of(canonical).map(|name| Target { name, role: TargetRole::Expanded })
    }

    /// PowerDNS expands the first one only.
    fn is_single_valued(&self) -> bool {
        true
    }
}
