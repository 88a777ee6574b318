//! Zones by the thousand, written straight into both databases: copies of one that the APIs made.
//!
//! A copy has what its original has, in every column; only ids and names are its own. So a seeded zone is like a real
//! one whatever columns there will be, and [`live`] proves it by writing through the API to some of them. PowerDNS
//! serves them once it knows their names: after [`crate::stack::Stack::restart_powerdns`].

use anyhow::{Context, Result};
use scaidns::dns::{OwnerName, RecordRef, RecordType, RrsetKey};
use scaidns::ids::{RecordId, ZoneId};
use sqlx::{AssertSqlSafe, MySql, MySqlConnection, QueryBuilder};

use crate::powerdns::Settings;
use crate::scaidns_api::Zone;
use crate::works::Bench;

/// Zones a statement.
const CHUNK: usize = 500;
/// How many of the copies are written to.
const PROOFS: usize = 3;

/// Zones of PowerDNS's own, with this many RRsets each.
pub async fn raw(
    bench: &mut Bench,
    label: &str,
    count: usize,
    rrsets: usize,
    settings: Settings,
) -> Result<Vec<String>> {
    let original = bench.fresh(label);
    bench.stack.powerdns_as(settings)?.create_zone(&original, rrsets, settings).await?;
    let mut names = vec![original];
    let copies: Vec<String> = (1..count).map(|_| bench.fresh(label)).collect();
    let mut database = bench.stack.powerdns_database().await?;
    for chunk in copies.chunks(CHUNK) {
        let chunk: Vec<(&str, String)> = chunk.iter().map(|name| (&**name, String::new())).collect();
        copy_in_powerdns(&mut database, &names[0], &chunk).await?;
    }
    names.extend(copies);
    Ok(names)
}

/// Live zones of Northwind with this many records each, some of them proven real.
pub async fn live(bench: &mut Bench, label: &str, count: usize, records: usize) -> Result<Vec<Zone>> {
    let original = bench.zone(label, records).await?;
    let copies: Vec<(ZoneId, String)> = (1..count).map(|_| (ZoneId::new(), bench.fresh(label))).collect();
    let mut pdns = bench.stack.powerdns_database().await?;
    let mut own = bench.stack.database().await?;
    for chunk in copies.chunks(CHUNK) {
        let accounts: Vec<(&str, String)> = chunk.iter().map(|(id, name)| (&**name, id.to_string())).collect();
        copy_in_powerdns(&mut pdns, &original.name, &accounts).await?;
        copy_in_scaidns(&mut own, &original, chunk).await?;
    }
    copy_record_ids(&mut own, &mut pdns, &original, &copies).await?;
    count_zones(&mut own).await?;
    for (database, tables) in [(&mut own, "zones, record_ids"), (&mut pdns, "domains, domainmetadata, records")] {
        sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE TABLE {tables}"))).execute(database).await?;
    }
    let copies = copies.into_iter().map(|(id, name)| Zone { id: id.to_string(), name });
    let zones: Vec<Zone> = std::iter::once(original).chain(copies).collect();
    prove(bench, &zones).await?;
    Ok(zones)
}

/// A write through the API to the first, the middle and the last of them is listed, and is in PowerDNS.
async fn prove(bench: &Bench, zones: &[Zone]) -> Result<()> {
    let (mut api, mut powerdns) = (bench.stack.api()?, bench.stack.powerdns()?);
    for zone in zones.iter().step_by((zones.len() / PROOFS).max(1)).chain(zones.last()) {
        let label = "proof";
        let status = api.put(zone, label).await;
        anyhow::ensure!(status == 200 || status == 409, "{} is no real zone: {status}", zone.name);
        let name = format!("{label}.{}", zone.name);
        anyhow::ensure!(api.names(zone).await?.contains(&name), "{name} is not listed");
        let there = powerdns.zone(&zone.name).await?.to_string().contains(&format!("\"{name}.\""));
        anyhow::ensure!(there, "{name} is not in PowerDNS");
    }
    Ok(())
}

/// Name and account of each copy.
async fn copy_in_powerdns(database: &mut MySqlConnection, original: &str, copies: &[(&str, String)]) -> Result<()> {
    let from: i32 =
        sqlx::query_scalar("SELECT id FROM domains WHERE name = ?").bind(original).fetch_one(&mut *database).await?;
    let mut domains = QueryBuilder::new("INSERT INTO domains (name, type, account) ");
    domains.push_values(copies, |mut row, (name, account)| {
        row.push_bind(*name).push_bind("NATIVE").push_bind(account);
    });
    let first = domains.build().execute(&mut *database).await?.last_insert_id();
    // one statement, nobody else inserts: the ids follow each other
    let last = first + copies.len() as u64 - 1;
    for sql in [
        "INSERT INTO domainmetadata (domain_id, kind, content) SELECT d.id, m.kind, m.content \
         FROM domains d JOIN domainmetadata m ON m.domain_id = ? WHERE d.id BETWEEN ? AND ?",
        "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, ordername, auth) \
         SELECT d.id, CONCAT(LEFT(r.name, LENGTH(r.name) - LENGTH(o.name)), d.name), r.type, \
         REPLACE(r.content, o.name, d.name), r.ttl, r.prio, r.disabled, r.ordername, r.auth \
         FROM records r JOIN domains o ON o.id = r.domain_id JOIN domains d \
         WHERE r.domain_id = ? AND d.id BETWEEN ? AND ?",
    ] {
        sqlx::query(sql).bind(from).bind(first).bind(last).execute(&mut *database).await?;
    }
    Ok(())
}

async fn copy_in_scaidns(database: &mut MySqlConnection, original: &Zone, copies: &[(ZoneId, String)]) -> Result<()> {
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'zones' \
         AND EXTRA NOT LIKE '%GENERATED%' AND COLUMN_NAME NOT IN ('id', 'name')",
    )
    .fetch_all(&mut *database)
    .await?;
    let copied = columns.iter().map(|column| format!(", z.`{column}`")).collect::<String>();
    let into = columns.iter().map(|column| format!(", `{column}`")).collect::<String>();
    let mut query =
        QueryBuilder::<MySql>::new(format!("INSERT INTO zones (id, name{into}) SELECT c.id, c.name{copied} FROM ("));
    for (n, (id, name)) in copies.iter().enumerate() {
        query.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " });
        query.push_bind(id.0).push(if n == 0 { " AS id, " } else { ", " });
        query.push_bind(name).push(if n == 0 { " AS name" } else { "" });
    }
    query.push(") c JOIN zones z ON z.id = ").push_bind(original.id.parse::<ZoneId>()?.0);
    query.build().execute(database).await?;
    Ok(())
}

/// The records of a copy have other names, hence other digests.
async fn copy_record_ids(
    own: &mut MySqlConnection,
    pdns: &mut MySqlConnection,
    original: &Zone,
    copies: &[(ZoneId, String)],
) -> Result<()> {
    let records: Vec<(String, String)> = sqlx::query_as(
        "SELECT r.name, r.content FROM records r JOIN domains d ON d.id = r.domain_id WHERE d.name = ? AND r.type = 'A'",
    )
    .bind(&original.name)
    .fetch_all(pdns)
    .await?;
    let mut rows = Vec::new();
    for (zone, copy) in copies {
        for (name, content) in &records {
            let label = name.strip_suffix(&original.name).context("a name in the zone")?;
            let key = RrsetKey { name: OwnerName::from_server(&format!("{label}{copy}")), record_type: RecordType::A };
            rows.push((zone.0, RecordId::new().0, RecordRef { key, content: content.clone() }.digest()));
        }
    }
    for chunk in rows.chunks(CHUNK * 4) {
        let mut query =
            QueryBuilder::<MySql>::new("INSERT INTO record_ids (zone_id, id, digest, created_at, updated_at) ");
        query.push_values(chunk, |mut row, (zone, id, digest)| {
            row.push_bind(*zone).push_bind(*id).push_bind(digest.to_vec()).push("NOW(6)").push("NOW(6)");
        });
        query.build().execute(&mut *own).await?;
    }
    Ok(())
}

/// Sets the counters by which lists know their totals.
pub async fn count_zones(database: &mut MySqlConnection) -> Result<()> {
    for sql in [
        "DELETE FROM zone_counters",
        "INSERT INTO zone_counters (tenant_id, status, domain_type, dnssec_enabled, zones) \
         SELECT tenant_id, status, domain_type, dnssec_enabled, COUNT(*) FROM zones \
         GROUP BY tenant_id, status, domain_type, dnssec_enabled",
    ] {
        sqlx::query(sql).execute(&mut *database).await?;
    }
    Ok(())
}
