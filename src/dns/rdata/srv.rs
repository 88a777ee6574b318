//! SRV: where a service is (RFC 2782).

use super::target::{self, HOST, ROOT};
use super::text::{fields, number};
use super::{Owner, ParseContext, Parsed, RecordDefinition, Target, TargetRole};
use crate::dns::error::FieldError;

const NO_SERVICE: &str = "0 0 0 .";

pub(in crate::dns) struct Srv;

impl RecordDefinition for Srv {
    fn description(&self) -> &'static str {
        "Host and port of a service; the name begins with _service._proto"
    }

    fn example(&self) -> &'static str {
        "10 60 5060 sip.example.com."
    }

    fn name_fields(&self) -> &'static [usize] {
        &[3]
    }

    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError> {
        let [priority, weight, port, host] = fields(content, "<priority> <weight> <port> <host>")?;
        let max = u32::from(u16::MAX);
        let priority: u16 = number(priority, "priority", max)?;
        let weight: u16 = number(weight, "weight", max)?;
        let port: u16 = number(port, "port", max)?;
        if host == ROOT {
            if (priority, weight, port) != (0, 0, 0) {
                return Err(FieldError::content("the target '.' says that there is no such service, as '0 0 0 .'"));
            }
            return Ok(Parsed::plain(NO_SERVICE.to_owned()));
        }
        let mut warnings = Vec::new();
        let host = target::parse(host, HOST, context, &mut warnings)?;
        Ok(Parsed { canonical: format!("{priority} {weight} {port} {host}"), warnings })
    }

    fn check_owner(&self, owner: &Owner<'_>) -> Result<(), FieldError> {
        let labels: Vec<&str> = owner.name.labels().collect();
        let is_underscored = |label: &&str| label.len() > 1 && label.starts_with('_');
        // an instance of DNS-SD has its name before them (RFC 6763, 4.1)
        if labels.windows(2).any(|pair| pair.iter().all(is_underscored)) {
            return Ok(());
        }
        Err(FieldError::name("the name of an SRV has _service._proto in it, for example _sip._tcp"))
    }

    fn target<'a>(&self, canonical: &'a str) -> Option<Target<'a>> {
        let (_, host) = canonical.rsplit_once(' ')?;
        target::name_of(host).map(|name| Target { name, role: TargetRole::Host })
    }
}
