//! The use cases, transport-free: authorize, load, decide, write, record.

pub mod audit;
mod context;
mod error;
pub mod identity;
mod page;
mod services;
pub mod zone_writer;

pub use context::{ActorRecord, Context, RequestInfo};
pub use error::{Error, SchemaProblem};
pub use page::PageRequest;
pub use services::Services;

pub type Result<T> = std::result::Result<T, Error>;
