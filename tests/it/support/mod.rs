//! What the tests stand on.
//!
//! - [`World`]: servers, replicas of the api, a worker, callers. [`World::shared`] is started once for all tests that
//!   only use it; [`World::private`] has servers of its own, for tests that stop, pause or kill something.
//! - [`Api`]: a caller at one replica; [`Answer`] is what came back, with assertions that show the whole answer.
//! - [`dns`]: questions over UDP and TCP, as a resolver asks them.
//! - [`proxy`]: breaks a single exchange between two servers.
//! - [`eventually`]: waits for a condition; nothing here sleeps for a fixed time.

pub mod answer;
pub mod api;
pub mod dns;
pub mod executable;
pub mod login;
pub mod proxy;
pub mod reaper;
mod runner;
mod wait;
pub mod world;

pub use answer::Answer;
pub use api::{Api, Domain};
pub use executable::{Output, scaidns};
pub(crate) use runner::trials;
pub use runner::{Trial, Trials, run};
pub use wait::{eventually, eventually_within};
pub use world::World;
