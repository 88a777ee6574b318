//! Record contents: presentation form in, one canonical presentation form out. One file a type.
//!
//! Content is compared, stored and sent only in canonical form, so that texts that differ in form alone are the same
//! record. What never lives here: rules between RRsets of different types (that is [`super::edit`]).

pub(super) mod a;
pub(super) mod aaaa;
pub(super) mod alias;
pub(super) mod caa;
pub(super) mod cdnskey;
pub(super) mod cds;
pub(super) mod cert;
pub(super) mod cname;
pub(super) mod csync;
mod data;
pub(super) mod dname;
pub(super) mod ds;
pub(super) mod hinfo;
pub(super) mod https;
pub(super) mod loc;
mod mail_policy;
pub(super) mod mx;
pub(super) mod naptr;
pub(super) mod ns;
pub(super) mod openpgpkey;
pub(super) mod ptr;
pub(super) mod rp;
pub(super) mod smimea;
pub(super) mod soa;
pub(super) mod srv;
pub(super) mod sshfp;
mod svc_params;
pub(super) mod svcb;
mod target;
mod text;
pub(super) mod tlsa;
pub(super) mod txt;
pub(super) mod uri;

use std::borrow::Cow;

use super::error::{FieldError, Warning};
use super::owner_name::OwnerName;
use super::record_type::RecordType;
use super::rrset::Rrset;
use super::zone_content::ZoneContent;
use super::zone_name::ZoneName;

pub use soa::{Soa, SoaTimers};

/// Longest content that is looked at, in octets. No content that fits into a database column comes near it.
pub const CONTENT_INPUT_MAX: usize = 100_000;

/// Longest canonical content, in characters: the width of the content column of PowerDNS's gmysql schema.
pub const CONTENT_CANONICAL_MAX: usize = 64_000;

/// The canonical form of a caller's content, with what is odd about it. A target without trailing dot is absolute.
///
/// # Errors
/// Names the field `content`, or `type` for a type that is not of this product.
pub fn canonical(
    record_type: &RecordType,
    content: &str,
    zone: &ZoneName,
) -> Result<(String, Vec<Warning>), FieldError> {
    let definition = record_type
        .definition()
        .ok_or_else(|| FieldError::record_type(format!("records of type {record_type} cannot be written here")))?;
    if content.len() > CONTENT_INPUT_MAX {
        return Err(FieldError::content(format!("content is longer than {CONTENT_INPUT_MAX} octets")));
    }
    if let Some(control) = content.chars().find(|character| character.is_control()) {
        let shown = control.escape_debug();
        return Err(FieldError::content(format!("content holds the control character '{shown}'")));
    }
    let content = content.trim_matches(' ');
    if content.is_empty() {
        return Err(FieldError::content("content is missing"));
    }
    let Parsed { canonical, warnings } = definition.parse(content, &ParseContext { zone: Some(zone) })?;
    if canonical.len() > CONTENT_CANONICAL_MAX {
        return Err(FieldError::content(format!(
            "content is longer than {CONTENT_CANONICAL_MAX} characters in presentation form"
        )));
    }
    Ok((canonical, warnings))
}

/// Our canonical form of what stands on the server, where it parses, else the text as it is: what others put there
/// must stay visible and deletable.
pub fn canonical_from_server(record_type: &RecordType, content: &str) -> String {
    record_type
        .definition()
        .and_then(|definition| definition.parse(content.trim_matches(' '), &ParseContext { zone: None }).ok())
        .map_or_else(|| content.to_owned(), |parsed| parsed.canonical)
}

/// A canonical content in the form that the server takes; [`canonical_from_server`] is the way back.
pub fn for_server<'a>(record_type: &RecordType, canonical: &'a str) -> Cow<'a, str> {
    record_type.definition().map_or(Cow::Borrowed(canonical), |definition| definition.for_server(canonical))
}

/// Everything that is particular about a type.
pub(super) trait RecordDefinition: Sync {
    /// One line on what the type is for.
    fn description(&self) -> &'static str;

    /// A content that is accepted, in canonical form.
    fn example(&self) -> &'static str;

    /// Parses a content without surrounding blanks.
    fn parse(&self, content: &str, context: &ParseContext<'_>) -> Result<Parsed, FieldError>;

    /// Which words of a content are names: those that a zone file writes relative to its origin.
    fn name_fields(&self) -> &'static [usize] {
        &[]
    }

    /// A canonical content as PowerDNS wants it, which refuses every form but its own.
    fn for_server<'a>(&self, canonical: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(canonical)
    }

    /// Whether a record of this type may stand at the name at all.
    fn check_owner(&self, _owner: &Owner<'_>) -> Result<(), FieldError> {
        Ok(())
    }

    /// The name that a canonical content points at.
    fn target<'a>(&self, _canonical: &'a str) -> Option<Target<'a>> {
        None
    }

    /// Whether the RRset may hold one value only.
    fn is_single_valued(&self) -> bool {
        false
    }

    /// Whether this value must be the only one of its RRset.
    fn stands_alone(&self, _canonical: &str) -> bool {
        self.is_single_valued()
    }

    /// Octets of the RDATA; an upper bound where the exact number is not worth its price. Numbers and names take at
    /// most two octets more on the wire than as text.
    fn wire_length(&self, canonical: &str) -> usize {
        canonical.len() + 2
    }

    /// What is odd about the RRset among its neighbours.
    fn warnings(&self, _owner: &OwnerName, _rrset: &Rrset, _around: &Neighbourhood<'_>) -> Vec<Warning> {
        Vec::new()
    }
}

/// What stands around an RRset that is looked at as a whole.
pub(super) struct Neighbourhood<'a> {
    pub zone: &'a ZoneContent,
    /// Whether the zone is signed.
    pub signed: bool,
}

/// What a parser knows about where the content will stand.
pub(super) struct ParseContext<'a> {
    /// The zone of a caller's record; nothing when the content comes from the server, where parsing is lenient.
    pub zone: Option<&'a ZoneName>,
}

/// A parsed content.
pub(super) struct Parsed {
    /// The canonical presentation form.
    pub canonical: String,
    /// What is odd about it by itself.
    pub warnings: Vec<Warning>,
}

impl Parsed {
    fn plain(canonical: String) -> Self {
        Self { canonical, warnings: Vec::new() }
    }
}

/// Where a record is to stand.
pub(super) struct Owner<'a> {
    pub name: &'a OwnerName,
    pub zone: &'a ZoneName,
    /// Whether the zone is signed.
    pub signed: bool,
}

/// The name that a content points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Without trailing dot.
    pub name: &'a str,
    pub role: TargetRole,
}

/// What the pointing asks of the name pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetRole {
    /// A host: must not be a CNAME (RFC 2181 section 10.3, RFC 2782).
    Host,
    /// Another name for the owner.
    Alias,
    /// Another place for what lies below the owner.
    Subtree,
    /// A name whose addresses are the owner's.
    Expanded,
    /// Nothing.
    Pointer,
}

#[cfg(test)]
mod corpus_tests;
