//! MX: a mail server and its preference (RFC 5321 section 5.1), or the statement that there is none (RFC 7505).

use super::target::{self, HOST, ROOT};
use super::text::{fields, number};
use super::{Neighbourhood, ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::{FieldError, Warning};
use crate::dns::owner_name::OwnerName;
use crate::dns::rrset::Rrset;

const NULL_MX: &str = "0 .";

pub(in crate::dns) struct Mx;

impl RecordDefinition for Mx {
    fn description(&self) -> &'static str {
        "Mail server of a name, with its preference"
    }

    fn example(&self) -> &'static str {
        "10 mail.example.com."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[1]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [preference, exchange] = fields(content, "<preference> <mail server>")?;
        let preference: u16 = number(preference, "preference", u32::from(u16::MAX))?;
        if exchange == ROOT {
            if preference != 0 {
                return Err(FieldError::content("the target '.' says that there is no mail, as '0 .' alone"));
            }
            return Ok(Parsed::plain(NULL_MX.to_owned()));
        }
        let mut warnings = Vec::new();
        let exchange = target::parse(exchange, HOST, context, &mut warnings)?;
        Ok(Parsed { canonical: format!("{preference} {exchange}"), warnings })
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        let (_, exchange) = canonical.split_once(' ')?;
        target::name_of(exchange).map(|name| Target { name, role: TargetRole::Host })
    }

    fn stands_alone(&self, canonical: &str) -> bool {
        canonical == NULL_MX
    }

    fn warnings(&self, _owner: &OwnerName, rrset: &Rrset, around: &Neighbourhood<'_>) -> Vec<Warning> {
        rrset
            .enabled()
            .filter_map(|record| self.target(&record.content))
            .filter(|target| around.zone.lacks_address(target.name))
            .map(|target| Warning::content(format!("mail server '{}' has no address in this zone", target.name)))
            .collect()
    }
}
