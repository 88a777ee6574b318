//! `scaidns doctor`: looks at every dependency and says what to do.

use crate::service::readiness::{Check, Report};
use crate::service::timekeeping;
use crate::storage::backlog::{self, Backlog};
use crate::storage::health;

use super::{Failure, services};

pub async fn run() -> anyhow::Result<()> {
    let services = services()?;
    let report = services.readiness.check().await;
    let Report { database, redis, pdns, scaikey_jwks } = &report;
    line("database", database);
    if database.is_ok() {
        let version = health::version(&services.db).await?;
        println!("          MariaDB {version}");
        let ahead = timekeeping::read(&services.db).await?.whole_seconds();
        if ahead != 0 {
            println!(
                "          this machine's clock is {ahead} s ahead of MariaDB's, which counts: is one of them wrong?"
            );
        }
        let found = backlog::read(&services.db).await?;
        lines(&found).into_iter().for_each(|line| println!("          {line}"));
    }
    line("pdns", pdns);
    if pdns.is_ok() {
        println!(
            "          if its database is another one than ours, check innodb_flush_log_at_trx_commit=1 there too"
        );
    }
    line("redis", redis);
    line("scaikey", scaikey_jwks);
    let named = !services.platform.settings().await?.nameservers.names.is_empty();
    let nameservers =
        if named { Ok(()) } else { Err("none: domains cannot go live; set NAMESERVERS, comma separated".to_owned()) };
    line("nameservers", &nameservers);
    if report.is_ready() && named { Ok(()) } else { Err(Failure::Upstream("not ready; see above".into()).into()) }
}

fn line(name: &str, check: &Check) {
    match check {
        Ok(()) => println!("ok        {name}"),
        Err(problem) => println!("PROBLEM   {name}: {problem}"),
    }
}

/// What waits and what was out of the ordinary, each with what to do about it; what is nought is left out.
fn lines(found: &Backlog) -> Vec<String> {
    let Backlog {
        intents,
        intents_overdue,
        oldest_intent_seconds,
        fences,
        recovered_applied,
        recovered_dropped,
        refused,
        suspects,
        jobs_waiting,
        oldest_job_seconds,
        events_waiting,
        events_given_up,
        failing,
        late,
    } = found;
    let mut lines = vec![match oldest_intent_seconds {
        Some(age) => format!("{intents} changes under way, the oldest for {age} s; the worker settles them"),
        None => "no change is under way".to_owned(),
    }];
    let oldest_job = oldest_job_seconds.unwrap_or(0);
    let recovered = recovered_applied + recovered_dropped;
    for (count, text) in [
        (intents_overdue, format!("{intents_overdue} of them past their deadline: see the worker's log for why")),
        (
            &recovered,
            format!("{recovered} settled by recovery within a day: {recovered_applied} done, {recovered_dropped} not"),
        ),
        (fences, format!("{fences} fences stand; they go after an hour, or a restart of PowerDNS")),
        (refused, format!("{refused} changes refused by PowerDNS within a day: see \"PowerDNS refused\" in the log")),
        (suspects, format!("{suspects} zones written to by somebody else within a day: let nobody but ScaiDNS write")),
        (jobs_waiting, format!("{jobs_waiting} jobs wait for a worker, the first for {oldest_job} s")),
        (events_waiting, format!("{events_waiting} events of ScaiKey could not be taken in so far")),
        (
            events_given_up,
            format!("{events_given_up} events of ScaiKey were given up; `scaidns sync` brings what they said"),
        ),
    ] {
        if *count > 0 {
            lines.push(text);
        }
    }
    lines.extend(failing.as_ref().map(|names| format!("failed the last time: {names}; see the worker's log")));
    lines.extend(late.as_ref().map(|names| format!("overdue: {names}; does a worker run?")));
    lines
}
