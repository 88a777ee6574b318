//! Lists of zones that stay fast with a hundred thousand of them. One zone is in [`super::zones`].
//!
//! A list is found in an index alone, and only the rows of its page are read. There are two ways through it. **Walk**:
//! by name through all zones, passing over those that the filter leaves out. **Merge**: a zone's kind is its status,
//! type and whether it is signed; an index has the zones of each kind by name, and the page is merged from the kinds
//! that are wanted. The first is good where most zones are wanted, the second where few are; the counters say which.
//! They also give the total, so that a page behind the middle is read from the end. Only a search reads every name,
//! once, for its total and its page together.

use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder, Row};
use uuid::Uuid;

use crate::authz::Visibility;
use crate::ids::{TenantId, ZoneId};
use crate::tenancy::{ZoneStatus, ZoneType};

use super::zones::{COLUMNS, ZoneRow};
use super::{Db, Result};

/// Reading an entry of one kind against walking past one: what is merged is copied and sorted.
const MERGE_COST: u64 = 3;
/// Opening the index for one kind, in entries walked past.
const KIND_COST: u64 = 50;
/// A search reads the wanted kinds twice when merged, everything once when walked, and compares each name.
const SEARCH_MERGE_COST: u64 = 4;

/// What a list of zones is narrowed by.
#[derive(Clone, Debug, Default)]
pub struct ZoneFilter {
    pub status: Option<ZoneStatus>,
    pub zone_type: Option<ZoneType>,
    /// Of the types only those of reverse zones.
    pub reverse_only: bool,
    pub dnssec_enabled: Option<bool>,
    pub search: Option<Search>,
    pub include_deleted: bool,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// A part of the name.
    Name(String),
    /// A part of the name, or of the network that a reverse zone is of.
    NameOrNetwork(String),
    /// One of these names.
    Names(Vec<String>),
}

impl Search {
    /// Names and networks are ASCII: anything else is in none of them, and would not compare with the columns.
    fn is_never_found(&self) -> bool {
        match self {
            Self::Name(text) | Self::NameOrNetwork(text) => !text.is_ascii(),
            Self::Names(names) => names.is_empty(),
        }
    }
}

/// Where a list goes on.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ZoneCursor {
    pub name: String,
    pub id: ZoneId,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    Offset(u64),
    After(&'a ZoneCursor),
}

/// A page by name, and of how many zones.
#[derive(Debug)]
pub struct Found {
    pub rows: Vec<ZoneRow>,
    pub total: u64,
    /// Whether there is more behind it.
    pub more: bool,
}

/// One page of what is visible.
pub async fn page(
    db: &Db,
    visibility: &Visibility,
    filter: &ZoneFilter,
    start: Start<'_>,
    limit: u32,
) -> Result<Found> {
    let list = List { visibility, filter, kinds: Kinds::of(filter) };
    if list.is_empty() {
        return Ok(Found { rows: Vec::new(), total: 0, more: false });
    }
    // one connection throughout: a total is asked of the session that found the page
    let mut connection = db.pool().acquire().await?;
    let (slice, total) = if visibility.zones().is_some() {
        list.walk_and_count(&mut connection, start, limit).await?
    } else {
        list.by_counters(&mut connection, start, limit).await?
    };
    let rows = rows(&mut connection, &slice.ids).await?;
    Ok(Found { rows, total, more: slice.more })
}

/// Which way through a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Walk,
    Merge,
}

/// The part of a list to be read, from whichever end is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    skip: u64,
    take: u64,
    backwards: bool,
}

/// The zones of a page.
#[derive(Debug, Default)]
struct Slice {
    ids: Vec<Uuid>,
    more: bool,
}

/// Every status, type and signedness that a filter lets through.
#[derive(Debug)]
struct Kinds {
    statuses: Vec<ZoneStatus>,
    types: Vec<ZoneType>,
    signed: Vec<bool>,
}

/// How many zones of each wanted kind are visible, and how many of any kind.
#[derive(Debug, Default)]
struct Counted {
    wanted: Vec<u64>,
    all: u64,
}

/// What is wanted of whom.
struct List<'a> {
    visibility: &'a Visibility,
    filter: &'a ZoneFilter,
    kinds: Kinds,
}

impl Kinds {
    fn of(filter: &ZoneFilter) -> Self {
        let ZoneFilter { status, zone_type, reverse_only, dnssec_enabled, search: _, include_deleted } = filter;
        let mut statuses = status.map_or(ZoneStatus::ALL.to_vec(), |status| vec![status]);
        statuses.retain(|status| *include_deleted || *status != ZoneStatus::Deleted);
        let mut types = zone_type.map_or(ZoneType::ALL.to_vec(), |zone_type| vec![zone_type]);
        types.retain(|kind| !reverse_only || matches!(kind, ZoneType::ReverseIpv4 | ZoneType::ReverseIpv6));
        Self { statuses, types, signed: dnssec_enabled.map_or(vec![false, true], |enabled| vec![enabled]) }
    }

    fn iter(&self) -> impl Iterator<Item = (ZoneStatus, ZoneType, bool)> {
        self.statuses.iter().flat_map(move |status| {
            let types = self.types.iter();
            types.flat_map(move |zone_type| self.signed.iter().map(move |signed| (*status, *zone_type, *signed)))
        })
    }
}

impl Counted {
    fn total(&self) -> u64 {
        self.wanted.iter().sum()
    }

    /// The cheaper way to so many entries from one end; of walking, the worst case: all that is not wanted comes first.
    fn way(&self, kinds: usize, reach: u64, searched: bool) -> Way {
        let passed_over = self.all.saturating_sub(self.total());
        let is_merged = if searched {
            self.total() * SEARCH_MERGE_COST < self.all
        } else {
            let read: u64 = self.wanted.iter().map(|zones| reach.min(*zones)).sum();
            read * MERGE_COST + kinds as u64 * KIND_COST < reach + passed_over
        };
        if is_merged { Way::Merge } else { Way::Walk }
    }
}

impl Reach {
    /// One more than the page has is taken forwards, to see that there is more.
    fn forwards(skip: u64, limit: u32) -> Self {
        Self { skip, take: u64::from(limit) + 1, backwards: false }
    }

    fn of(offset: u64, limit: u32, total: u64) -> Self {
        let take = total.saturating_sub(offset).min(u64::from(limit));
        let behind = total.saturating_sub(offset + take);
        // the first page is read as it is, whatever the counters say
        if offset == 0 || offset < behind {
            return Self::forwards(offset, limit);
        }
        Self { skip: behind, take, backwards: true }
    }

    /// The page out of what was read.
    fn slice(self, mut ids: Vec<Uuid>, limit: u32) -> Slice {
        if self.backwards {
            ids.reverse();
            return Slice { ids, more: self.skip > 0 };
        }
        let more = ids.len() > limit as usize;
        ids.truncate(limit as usize);
        Slice { ids, more }
    }
}

impl List<'_> {
    /// Whether nothing can be in it, whatever the database holds.
    fn is_empty(&self) -> bool {
        let never_found = self.filter.search.as_ref().is_some_and(Search::is_never_found);
        never_found || self.kinds.iter().next().is_none()
    }

    async fn by_counters(
        &self,
        connection: &mut MySqlConnection,
        start: Start<'_>,
        limit: u32,
    ) -> Result<(Slice, u64)> {
        let counted = self.counters(connection).await?;
        let searched = self.filter.search.is_some();
        let (after, reach) = match start {
            Start::After(cursor) => (Some(cursor), Reach::forwards(0, limit)),
            Start::Offset(offset) if searched => (None, Reach::forwards(offset, limit)),
            Start::Offset(offset) => (None, Reach::of(offset, limit, counted.total())),
        };
        let way = counted.way(self.kinds.iter().count(), reach.skip + reach.take, searched);
        if searched && way == Way::Walk {
            return self.walk_and_count(connection, start, limit).await;
        }
        let total = if searched { self.count_of_kinds(connection).await? } else { counted.total() };
        if reach.take == 0 {
            return Ok((Slice::default(), total));
        }
        let mut query = match way {
            Way::Walk => self.walk(after, reach, ""),
            Way::Merge => self.merge(after, reach),
        };
        let ids = query.build_query_scalar().fetch_all(connection).await?;
        Ok((reach.slice(ids, limit), total))
    }

    /// How many zones of each kind there are.
    async fn counters(&self, connection: &mut MySqlConnection) -> Result<Counted> {
        let mut query = QueryBuilder::<MySql>::new(
            "SELECT status, domain_type, dnssec_enabled, CAST(SUM(zones) AS SIGNED) AS zones FROM zone_counters",
        );
        if let Some(tenant) = self.visibility.tenant() {
            query.push(" WHERE tenant_id = ").push_bind(tenant.0);
        }
        query.push(" GROUP BY status, domain_type, dnssec_enabled");
        let mut counted = Counted::default();
        for row in query.build().fetch_all(connection).await? {
            let (status, zone_type): (String, String) = (row.try_get("status")?, row.try_get("domain_type")?);
            let signed: bool = row.try_get("dnssec_enabled")?;
            let zones = u64::try_from(row.try_get::<i64, _>("zones")?).unwrap_or_default();
            let is_it = |kind: (ZoneStatus, ZoneType, bool)| {
                (kind.0.as_str(), kind.1.as_str(), kind.2) == (status.as_str(), zone_type.as_str(), signed)
            };
            counted.all += zones;
            if self.kinds.iter().any(is_it) {
                counted.wanted.push(zones);
            }
        }
        Ok(counted)
    }

    /// The page and the total in one pass: what is before a cursor is counted, the rest is counted as it is read.
    async fn walk_and_count(
        &self,
        connection: &mut MySqlConnection,
        start: Start<'_>,
        limit: u32,
    ) -> Result<(Slice, u64)> {
        let (after, reach, before) = match start {
            Start::Offset(offset) => (None, Reach::forwards(offset, limit), 0),
            Start::After(cursor) => {
                let before = self.count_until(connection, cursor).await?;
                (Some(cursor), Reach::forwards(0, limit), before)
            }
        };
        let mut query = self.walk(after, reach, "SQL_CALC_FOUND_ROWS ");
        let ids = query.build_query_scalar().fetch_all(&mut *connection).await?;
        let found: i64 = sqlx::query_scalar("SELECT FOUND_ROWS()").fetch_one(connection).await?;
        Ok((reach.slice(ids, limit), before + u64::try_from(found).unwrap_or_default()))
    }

    async fn count_until(&self, connection: &mut MySqlConnection, cursor: &ZoneCursor) -> Result<u64> {
        let ZoneCursor { name, id } = cursor;
        let mut query = QueryBuilder::new("SELECT COUNT(*) FROM zones z");
        self.push_walked(&mut query);
        query.push(" AND z.name <= ").push_bind(name).push(" AND (z.name < ").push_bind(name);
        query.push(" OR z.id <= ").push_bind(id.0).push(")");
        let count: i64 = query.build_query_scalar().fetch_one(connection).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn count_of_kinds(&self, connection: &mut MySqlConnection) -> Result<u64> {
        let mut query = QueryBuilder::new("SELECT COUNT(*) FROM zones z");
        query.push(self.index("zones_tenant_kind", "zones_kind"));
        query.push(" WHERE ");
        push_tenant(&mut query, self.visibility.tenant());
        self.push_kinds(&mut query);
        self.push_search(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(connection).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn walk(&self, after: Option<&ZoneCursor>, reach: Reach, modifier: &str) -> QueryBuilder<MySql> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(modifier).push("z.id FROM zones z");
        self.push_walked(&mut query);
        push_after(&mut query, after);
        push_order(&mut query, reach.backwards);
        query.push(" LIMIT ").push_bind(reach.take).push(" OFFSET ").push_bind(reach.skip);
        query
    }

    fn merge(&self, after: Option<&ZoneCursor>, reach: Reach) -> QueryBuilder<MySql> {
        let mut query = QueryBuilder::new("SELECT z.id FROM (");
        for (position, (status, zone_type, signed)) in self.kinds.iter().enumerate() {
            query.push(if position == 0 { "(" } else { " UNION ALL (" });
            query.push("SELECT z.name, z.id FROM zones z").push(self.index("zones_tenant_kind", "zones_kind"));
            query.push(" WHERE ");
            push_tenant(&mut query, self.visibility.tenant());
            query.push("z.status = ").push_bind(status.as_str());
            query.push(" AND z.domain_type = ").push_bind(zone_type.as_str());
            query.push(" AND z.dnssec_enabled = ").push_bind(signed);
            self.push_search(&mut query);
            push_after(&mut query, after);
            push_order(&mut query, reach.backwards);
            query.push(" LIMIT ").push_bind(reach.skip + reach.take).push(")");
        }
        query.push(") z");
        push_order(&mut query, reach.backwards);
        query.push(" LIMIT ").push_bind(reach.take).push(" OFFSET ").push_bind(reach.skip);
        query
    }

    /// All that is wanted, in an index by name; single zones are looked up one by one.
    fn push_walked(&self, query: &mut QueryBuilder<MySql>) {
        if let Some(zones) = self.visibility.zones() {
            query.push(" WHERE z.id IN (NULL");
            for zone in zones {
                query.push(", ").push_bind(zone.0);
            }
            query.push(") AND ");
        } else {
            query.push(self.index("zones_tenant_walk", "zones_walk")).push(" WHERE ");
        }
        push_tenant(query, self.visibility.tenant());
        self.push_kinds(query);
        self.push_search(query);
    }

    fn push_kinds(&self, query: &mut QueryBuilder<MySql>) {
        let Kinds { statuses, types, signed } = &self.kinds;
        push_in(query, "z.status", statuses.iter().map(|status| status.as_str()));
        push_in(query.push(" AND "), "z.domain_type", types.iter().map(|zone_type| zone_type.as_str()));
        push_in(query.push(" AND "), "z.dnssec_enabled", signed.iter().copied());
    }

    fn push_search(&self, query: &mut QueryBuilder<MySql>) {
        match &self.filter.search {
            None => {}
            Some(Search::Name(text)) => {
                query.push(" AND z.name LIKE ").push_bind(like_pattern(&text.to_ascii_lowercase()));
            }
            Some(Search::NameOrNetwork(text)) => {
                let pattern = like_pattern(&text.to_ascii_lowercase());
                query.push(" AND (z.name LIKE ").push_bind(pattern.clone());
                query.push(" OR z.cidr LIKE ").push_bind(pattern).push(")");
            }
            Some(Search::Names(names)) => push_in(query.push(" AND "), "z.name", names.iter().map(String::as_str)),
        }
    }

    /// Named, since the optimizer guesses from how many zones there are, not from how many are wanted.
    fn index(&self, of_tenant: &str, of_all: &str) -> String {
        format!(" FORCE INDEX ({})", if self.visibility.tenant().is_some() { of_tenant } else { of_all })
    }
}

fn push_tenant(query: &mut QueryBuilder<MySql>, tenant: Option<TenantId>) {
    if let Some(tenant) = tenant {
        query.push("z.tenant_id = ").push_bind(tenant.0).push(" AND ");
    }
}

fn push_in<'a, T>(query: &mut QueryBuilder<MySql>, column: &str, values: impl Iterator<Item = T>)
where
    T: 'a + Send + sqlx::Encode<'a, MySql> + sqlx::Type<MySql>,
{
    query.push(column).push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

fn push_after(query: &mut QueryBuilder<MySql>, after: Option<&ZoneCursor>) {
    let Some(ZoneCursor { name, id }) = after else { return };
    // written so that the index is a range: a comparison of rows would read from its beginning
    query.push(" AND z.name >= ").push_bind(name).push(" AND (z.name > ").push_bind(name);
    query.push(" OR z.id > ").push_bind(id.0).push(")");
}

fn push_order(query: &mut QueryBuilder<MySql>, backwards: bool) {
    query.push(if backwards { " ORDER BY z.name DESC, z.id DESC" } else { " ORDER BY z.name, z.id" });
}

/// `%text%` with the text's own wildcards escaped.
fn like_pattern(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// The rows of a page; one that went meanwhile is left out.
async fn rows(connection: &mut MySqlConnection, ids: &[Uuid]) -> Result<Vec<ZoneRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM zones z WHERE "));
    push_in(&mut query, "z.id", ids.iter().copied());
    push_order(&mut query, false);
    Ok(query.build_query_as().fetch_all(connection).await?)
}

#[cfg(all(test, feature = "dev"))]
mod tests;
