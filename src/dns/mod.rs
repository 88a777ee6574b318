//! DNS as this product sees it: names, types, contents, RRsets, and the rules of editing a zone.
//!
//! Pure: no I/O, no clock, no async, nothing of the rest of the crate. Whatever PowerDNS would accept and should not
//! is refused here, before it gets there. What never lives here: tenants, permissions, HTTP, storage.
//!
//! The way of a write: [`OwnerName::parse`] and [`RecordType::parse`] at the edge, [`ZoneContent::apply`] decides over
//! a group of operations, its [`RrsetChange`]s are what is written and recorded, [`rectify::needed`] tells how.

pub mod dnssec;
mod edit;
mod error;
mod key_name;
mod labels;
mod owner_name;
mod rdata;
mod record_type;
pub mod rectify;
pub mod reverse;
mod rrset;
pub mod serial;
pub mod template;
pub mod wire;
mod zone_content;
pub mod zone_file;
mod zone_name;

pub use edit::{
    CONFLICT_MESSAGE, EditContext, GroupOutcome, Operation, OperationError, OperationOutcome, PartialOutcome,
    RecordState, Refused, RrsetEdit, RrsetHow, RrsetValue, TTL_MAX,
};
pub use error::{FieldError, Warning};
pub use key_name::key_name;
pub use labels::searched as searched_name;
pub use owner_name::OwnerName;
pub use rdata::{
    CONTENT_CANONICAL_MAX, CONTENT_INPUT_MAX, Soa, SoaTimers, canonical, canonical_from_server, for_server,
};
pub use record_type::{RecordType, TypeInfo, catalogue};
pub use rrset::{Record, RecordRef, Rrset, RrsetChange, RrsetKey, is_same_rrset};
pub use zone_content::ZoneContent;
pub use zone_name::{NameError, ZoneName};
