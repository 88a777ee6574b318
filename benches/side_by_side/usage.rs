//! What calls cost the servers: transactions, statements and flushes of MariaDB, and processor time by process.
//!
//! Both databases, ScaiDNS's and PowerDNS's, are in the one MariaDB of the stack: what is counted is the sum.

use std::fs;
use std::ops::{AddAssign, Div, Sub};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sqlx::{MySqlConnection, Row};

use crate::stack::Stack;

/// Of `/proc/<pid>/stat` and `/proc/stat`: Linux shows times to programs in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// What one look of the meter itself adds.
const OWN_STATEMENTS: f64 = 1.0;

/// Counts of MariaDB, and processor seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Those that a client asked for; single statements commit by themselves and are not among them.
    pub commits: f64,
    pub statements: f64,
    /// Times that MariaDB waited for the disk to have it.
    pub flushes: f64,
    /// Of all replicas.
    pub api: f64,
    pub mariadb: f64,
    pub pdns: f64,
    /// Of this bench.
    pub client: f64,
    /// Of everything else on the machine.
    pub others: f64,
}

/// Reads the counters.
pub struct Meter {
    database: MySqlConnection,
    api: Vec<i32>,
    mariadb: Vec<i32>,
    pdns: Vec<i32>,
}

impl Meter {
    /// Of the processes that run now.
    pub async fn new(stack: &Stack) -> Result<Self> {
        let database = stack.database().await?;
        Ok(Self { database, api: stack.pids("api"), mariadb: stack.pids("mariadb"), pdns: stack.pids("pdns") })
    }

    /// The counters as they stand.
    pub async fn look(&mut self) -> Result<Usage> {
        let sql = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_commit', 'Questions', 'Innodb_data_fsyncs')";
        let rows = sqlx::query(sql).fetch_all(&mut self.database).await?;
        let mut usage = Usage::default();
        for row in rows {
            let (name, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let value = value.parse::<f64>().unwrap_or_default();
            match &*name {
                "Com_commit" => usage.commits = value,
                "Questions" => usage.statements = value,
                "Innodb_data_fsyncs" => usage.flushes = value,
                _ => {}
            }
        }
        usage.api = seconds_of(&self.api);
        usage.mariadb = seconds_of(&self.mariadb);
        usage.pdns = seconds_of(&self.pdns);
        usage.client = seconds_of(&[i32::try_from(std::process::id())?]);
        usage.others = busy_seconds()? - usage.api - usage.mariadb - usage.pdns - usage.client;
        Ok(usage)
    }
}

fn seconds_of(pids: &[i32]) -> f64 {
    pids.iter().filter_map(|pid| ticks_of(*pid)).sum::<f64>() / TICKS_PER_SECOND
}

/// User and system time of a process, with the threads that have ended.
fn ticks_of(pid: i32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the command's name, in parentheses, may hold spaces
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

/// Of the whole machine.
fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<f64> = line.split_ascii_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, and behind idle and iowait the interrupts
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|n| fields.get(*n)).sum::<f64>();
    Ok(busy / TICKS_PER_SECOND)
}

/// Megabytes a process holds in memory now.
pub fn resident_megabytes(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1_024.0)
}

impl Usage {
    /// Processor seconds of all that serves.
    pub fn servers(&self) -> f64 {
        self.api + self.mariadb + self.pdns
    }

    fn zip(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        let Self { commits, statements, flushes, api, mariadb, pdns, client, others } = self;
        Self {
            commits: with(commits, other.commits),
            statements: with(statements, other.statements),
            flushes: with(flushes, other.flushes),
            api: with(api, other.api),
            mariadb: with(mariadb, other.mariadb),
            pdns: with(pdns, other.pdns),
            client: with(client, other.client),
            others: with(others, other.others),
        }
    }
}

/// What was used between two looks.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let mut used = self.zip(before, |after, before| (after - before).max(0.0));
        used.statements = (used.statements - OWN_STATEMENTS).max(0.0);
        used
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        *self = self.zip(more, |one, other| one + other);
    }
}

impl Div<f64> for Usage {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        self.zip(self, |value, _| value / by)
    }
}
