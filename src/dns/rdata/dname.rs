//! DNAME: another place for everything below the owner (RFC 6672).

use super::target::{self, OWNER};
use super::text::fields;
use super::{ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::FieldError;

pub(in crate::dns) struct Dname;

impl RecordDefinition for Dname {
    fn description(&self) -> &'static str {
        "Alias of everything below a name; nothing else may stand there"
    }

    fn example(&self) -> &'static str {
        "example.net."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[0]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [name] = fields(content, "<name>")?;
        let mut warnings = Vec::new();
        let canonical = target::parse(name, OWNER, context, &mut warnings)?;
        Ok(Parsed { canonical, warnings })
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        target::name_of(canonical).map(|name| Target { name, role: TargetRole::Subtree })
    }

    fn is_single_valued(&self) -> bool {
        true
    }
}
