//! The machine against a simulated world, and the worst that caches may do with what that world has served.

mod forms;
mod oracle;
mod properties;
mod runs;
mod world;
