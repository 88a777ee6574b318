//! `scaidns doctor`: looks at every dependency and says what to do.

use crate::service::readiness::{Check, Report};
use crate::storage::{health, intents};

use super::{Failure, services};

pub async fn run() -> anyhow::Result<()> {
    let services = services()?;
    let report = services.readiness.check().await;
    let Report { database, redis, pdns, scaikey_jwks } = &report;
    line("database", database);
    if database.is_ok() {
        let version = health::version(&services.db).await?;
        println!("          MariaDB {version}");
        let (count, oldest) = intents::summary(&services.db).await?;
        match oldest {
            Some(age) => {
                println!("          {count} changes under way, the oldest for {age} s; the worker settles them")
            }
            None => println!("          no change is under way"),
        }
    }
    line("pdns", pdns);
    if pdns.is_ok() {
        println!(
            "          if its database is another one than ours, check innodb_flush_log_at_trx_commit=1 there too"
        );
    }
    line("redis", redis);
    line("scaikey", scaikey_jwks);
    let named = !services.config.nameservers.is_empty();
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
