//! The templates that every installation has. Their ids are the same everywhere, and none that is ever made.

use uuid::Uuid;

use crate::dns::template::{Template, TemplateRecord, TemplateVariable};
use crate::ids::TemplateId;

/// A template of the product's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemTemplate {
    Mail,
    ParkedDomain,
}

impl SystemTemplate {
    pub const ALL: [Self; 2] = [Self::Mail, Self::ParkedDomain];

    pub fn id(self) -> TemplateId {
        TemplateId(Uuid::from_u128(match self {
            Self::Mail => 1,
            Self::ParkedDomain => 2,
        }))
    }

    pub fn by_id(id: TemplateId) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.id() == id)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::ParkedDomain => "parked-domain",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Mail => "Mail through one mail server: MX, SPF, DKIM and DMARC",
            Self::ParkedDomain => {
                "A domain that neither takes nor sends mail: null MX, SPF, DKIM and DMARC that say so"
            }
        }
    }

    pub fn template(self) -> Template {
        match self {
            Self::Mail => Template {
                records: vec![
                    record("@", "MX", "10 ${mail_server}"),
                    record("@", "TXT", "v=spf1 ${spf_sources} ${spf_others}"),
                    record("${dkim_selector}._domainkey", "TXT", "v=DKIM1; k=${dkim_key_type}; p=${dkim_public_key}"),
                    record("_dmarc", "TXT", "v=DMARC1; p=${dmarc_policy}; rua=mailto:${dmarc_reports}"),
                ],
                variables: vec![
                    required("dkim_public_key", "The public key of the mail server's DKIM signatures, in base64"),
                    optional("mail_server", "The name of the mail server", "mail.${domain}"),
                    optional("spf_sources", "Who may send mail from the domain, as SPF has it", "mx"),
                    optional("spf_others", "What SPF says of all others: -all, ~all or ?all", "~all"),
                    optional("dkim_selector", "The selector of the DKIM key", "default"),
                    optional("dkim_key_type", "The type of the DKIM key: rsa or ed25519", "rsa"),
                    optional("dmarc_policy", "What becomes of mail that fails: none, quarantine or reject", "none"),
                    optional("dmarc_reports", "Where reports go; must lie in the domain", "postmaster@${domain}"),
                ],
            },
            // RFC 7505; RFC 7489; and an empty key for every selector, which revokes it (RFC 6376 section 3.6.1)
            Self::ParkedDomain => Template {
                records: vec![
                    record("@", "MX", "0 ."),
                    record("@", "TXT", "v=spf1 -all"),
                    record("*._domainkey", "TXT", "v=DKIM1; p="),
                    record("_dmarc", "TXT", "v=DMARC1; p=reject; sp=reject; adkim=s; aspf=s"),
                ],
                variables: Vec::new(),
            },
        }
    }
}

fn record(name: &str, record_type: &str, content: &str) -> TemplateRecord {
    TemplateRecord { name: name.into(), record_type: record_type.into(), content: content.into(), ttl: None }
}

fn required(name: &str, description: &str) -> TemplateVariable {
    TemplateVariable { name: name.into(), description: description.into(), required: true, default: None }
}

fn optional(name: &str, description: &str, default: &str) -> TemplateVariable {
    let default = Some(default.into());
    TemplateVariable { name: name.into(), description: description.into(), required: false, default }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_template_can_be_filled_in_and_has_an_id_of_its_own() {
        for template in SystemTemplate::ALL {
            assert_eq!(template.template().check(0), Ok(()), "{template:?}");
            assert_eq!(SystemTemplate::by_id(template.id()), Some(template));
        }
    }
}
