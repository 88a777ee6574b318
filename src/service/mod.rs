//! The use cases, transport-free: authorize, load, decide, write, record.

pub mod api_keys;
pub mod audit;
pub mod audit_log;
pub mod audit_seal;
pub mod backlog;
pub mod bulk;
mod context;
pub mod denials;
pub mod dnssec;
pub mod entity_tag;
mod error;
pub mod escalation;
pub mod grants;
pub mod history;
pub mod idempotency;
pub mod identity;
pub mod jobs;
pub mod login;
pub mod me;
mod mirror;
mod page;
pub mod people;
pub mod quotas;
pub mod rate_limits;
pub mod readiness;
pub mod records;
pub mod reverse_zones;
pub mod roles;
pub mod rrsets;
mod services;
pub mod sync;
pub mod transfers;
pub mod tsig_keys;
pub mod validation;
pub mod webhooks;
pub mod zone_files;
pub mod zone_life;
pub mod zone_names;
pub mod zone_writer;
pub mod zones;

pub use context::{ActorRecord, Context, RequestInfo};
pub use error::{Error, Refusal, SchemaProblem};
pub use page::PageRequest;
pub use services::{Services, StartError};

pub type Result<T> = std::result::Result<T, Error>;
