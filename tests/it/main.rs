//! The integration tests: one binary, real MariaDB, Redis and PowerDNS, a small ScaiKey and a registrar on loopback,
//! and the real executable as child processes.
//!
//! `cargo test --test it -- [FILTER…] [--test-threads N] [--list]`. Each file is about one thing; its `tests()` lists
//! what it has, and the compiler's word about dead code finds what was left out.
//!
//! No process stays, however this one ends; see [`support::reaper`].

mod support;

mod audit;
mod bulk;
mod bulk_delete;
mod chaos;
mod client;
mod containers;
mod crash;
mod dnssec;
mod domains;
mod errors;
mod files;
mod grants;
mod history;
mod idempotency;
mod isolation;
mod jobs;
mod keys;
mod large_imports;
mod layers;
mod life;
mod login;
mod me;
mod nameservers;
mod openapi;
mod operations;
mod overload;
mod people;
mod platform;
mod policy;
mod preconditions;
mod quotas;
mod races;
mod rate_limits;
mod records;
mod reverse;
mod revocations;
mod roles;
mod rrsets;
mod sequences;
mod smoke;
mod sync;
mod templates;
mod tour;
mod transfer_races;
mod transfers;
mod types;
mod validation;
mod webhooks;

use std::process::ExitCode;

use support::Trials;

fn main() -> ExitCode {
    if let Some(code) = support::reaper::run_if_asked() {
        return code;
    }
    let trials: Trials = [
        ("audit", audit::tests()),
        ("bulk", bulk::tests()),
        ("bulk_delete", bulk_delete::tests()),
        ("chaos", chaos::tests()),
        ("client", client::tests()),
        ("containers", containers::tests()),
        ("crash", crash::tests()),
        ("dnssec", dnssec::tests()),
        ("domains", domains::tests()),
        ("errors", errors::tests()),
        ("grants", grants::tests()),
        ("files", files::tests()),
        ("idempotency", idempotency::tests()),
        ("history", history::tests()),
        ("isolation", isolation::tests()),
        ("jobs", jobs::tests()),
        ("keys", keys::tests()),
        ("large_imports", large_imports::tests()),
        ("layers", layers::tests()),
        ("login", login::tests()),
        ("life", life::tests()),
        ("me", me::tests()),
        ("nameservers", nameservers::tests()),
        ("openapi", openapi::tests()),
        ("operations", operations::tests()),
        ("overload", overload::tests()),
        ("people", people::tests()),
        ("platform", platform::tests()),
        ("policy", policy::tests()),
        ("preconditions", preconditions::tests()),
        ("quotas", quotas::tests()),
        ("races", races::tests()),
        ("rate_limits", rate_limits::tests()),
        ("records", records::tests()),
        ("reverse", reverse::tests()),
        ("revocations", revocations::tests()),
        ("rrsets", rrsets::tests()),
        ("sequences", sequences::tests()),
        ("roles", roles::tests()),
        ("smoke", smoke::tests()),
        ("sync", sync::tests()),
        ("templates", templates::tests()),
        ("tour", tour::tests()),
        ("transfer_races", transfer_races::tests()),
        ("transfers", transfers::tests()),
        ("types", types::tests()),
        ("validation", validation::tests()),
        ("webhooks", webhooks::tests()),
    ]
    .into_iter()
    .flat_map(|(module, trials)| trials.into_iter().map(move |trial| trial.within(module)))
    .collect();
    support::run(trials)
}
