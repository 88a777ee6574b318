//! Who is in which group; and when ScaiKey said so last, pair by pair, as its statements overtake each other.

use std::collections::HashMap;

use sqlx::{MySql, QueryBuilder, Row, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{GroupId, TenantId};

use super::super::revocations::{Revocation, RightsTx};
use super::super::{Result, datetime};
use super::GroupRow;

type Tx<'a> = Transaction<'a, MySql>;

/// Rows that one statement writes or removes.
const ROWS_PER_STATEMENT: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberKind {
    User,
    Group,
}

impl MemberKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// A group and one of its members. It concerns the group's tenant alone: to members that belong to another one the
/// group gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership {
    pub tenant: TenantId,
    pub group: GroupId,
    pub kind: MemberKind,
    pub member: Uuid,
}

impl Membership {
    pub fn new(group: &GroupRow, kind: MemberKind, member: Uuid) -> Self {
        Self { tenant: group.tenant, group: group.id, kind, member }
    }
}

/// The newest statement about a group and a member, or an application and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairStamp {
    pub stated_at: OffsetDateTime,
    pub belongs: bool,
}

/// The direct members of these groups.
pub async fn members_of(tx: &mut Tx<'_>, groups: &[&GroupRow]) -> Result<Vec<Membership>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: HashMap<GroupId, TenantId> = groups.iter().map(|group| (group.id, group.tenant)).collect();
    let mut query =
        QueryBuilder::<MySql>::new("SELECT group_id, member_type, member_id FROM group_members WHERE group_id IN (");
    let mut list = query.separated(", ");
    for group in groups {
        list.push_bind(group.id.0);
    }
    query.push(")");
    let mut found = Vec::new();
    for row in query.build().fetch_all(&mut **tx).await? {
        let group = GroupId(row.try_get("group_id")?);
        let kind =
            if row.try_get::<String, _>("member_type")? == "user" { MemberKind::User } else { MemberKind::Group };
        let Some(tenant) = tenants.get(&group).copied() else { continue };
        found.push(Membership { tenant, group, kind, member: row.try_get("member_id")? });
    }
    Ok(found)
}

/// Adds those that are not there yet. Answers how many these were.
pub async fn add_members(tx: &mut RightsTx, members: &[Membership]) -> Result<u64> {
    let mut added = 0;
    for chunk in members.chunks(ROWS_PER_STATEMENT) {
        let mut query =
            QueryBuilder::<MySql>::new("INSERT IGNORE INTO group_members (group_id, member_type, member_id) ");
        query.push_values(chunk, |mut values, member| {
            values.push_bind(member.group.0).push_bind(member.kind.as_str()).push_bind(member.member);
        });
        let count = query.build().execute(&mut ***tx).await?.rows_affected();
        if count > 0 {
            chunk.iter().for_each(|member| tx.revoke(Revocation::Tenant(member.tenant)));
        }
        added += count;
    }
    Ok(added)
}

/// Removes those that are there. Answers how many these were.
pub async fn remove_members(tx: &mut RightsTx, members: &[Membership]) -> Result<u64> {
    let mut removed = 0;
    for chunk in members.chunks(ROWS_PER_STATEMENT) {
        let mut query =
            QueryBuilder::<MySql>::new("DELETE FROM group_members WHERE (group_id, member_type, member_id) IN (");
        let mut list = query.separated(", ");
        for member in chunk {
            list.push("(");
            list.push_bind_unseparated(member.group.0);
            list.push_unseparated(", ");
            list.push_bind_unseparated(member.kind.as_str());
            list.push_unseparated(", ");
            list.push_bind_unseparated(member.member);
            list.push_unseparated(")");
        }
        query.push(")");
        let count = query.build().execute(&mut ***tx).await?.rows_affected();
        if count > 0 {
            chunk.iter().for_each(|member| tx.revoke(Revocation::Tenant(member.tenant)));
        }
        removed += count;
    }
    Ok(removed)
}

/// A group that is gone has no members and is in no other.
pub async fn empty_group(tx: &mut RightsTx, group: &GroupRow) -> Result<u64> {
    const QUERY: &str = "DELETE FROM group_members WHERE group_id = ? OR (member_type = 'group' AND member_id = ?)";
    let done = sqlx::query(QUERY).bind(group.id.0).bind(group.id.0).execute(&mut ***tx).await?;
    if done.rows_affected() > 0 {
        tx.revoke(Revocation::Tenant(group.tenant));
    }
    Ok(done.rows_affected())
}

/// What was said last of a pair of ScaiKey's ids, locked; and when the group's list of members was asked for last.
pub async fn pair_for_update(
    tx: &mut Tx<'_>,
    container: &str,
    member: &str,
) -> Result<(Option<PairStamp>, Option<OffsetDateTime>)> {
    const PAIR: &str = "SELECT stated_at, belongs FROM pair_stamps WHERE container = ? AND member = ? FOR UPDATE";
    const LIST: &str = "SELECT members_stated_at FROM user_groups WHERE scaikey_id = ?";
    let pair = sqlx::query(PAIR).bind(container).bind(member).fetch_optional(&mut **tx).await?;
    let list = sqlx::query_scalar(LIST).bind(container).fetch_optional(&mut **tx).await?;
    let stamp = pair
        .map(|row| {
            Ok::<_, sqlx::Error>(PairStamp { stated_at: row.try_get("stated_at")?, belongs: row.try_get("belongs")? })
        })
        .transpose()?;
    Ok((stamp, list))
}

/// Keeps what was said of a pair, if it was said after what is kept.
pub async fn stamp_pair(tx: &mut Tx<'_>, container: &str, member: &str, stamp: PairStamp) -> Result<()> {
    const QUERY: &str = "INSERT INTO pair_stamps (container, member, stated_at, belongs) VALUES (?, ?, ?, ?) \
                         ON DUPLICATE KEY UPDATE belongs = IF(VALUES(stated_at) >= stated_at, VALUES(belongs), \
                         belongs), stated_at = GREATEST(stated_at, VALUES(stated_at))";
    let PairStamp { stated_at, belongs } = stamp;
    let query = sqlx::query(QUERY).bind(container).bind(member).bind(datetime(stated_at)).bind(belongs);
    query.execute(&mut **tx).await?;
    Ok(())
}

/// What was said of single members of these groups (ScaiKey's ids) after `since`, by both ids.
pub async fn pairs_since(
    tx: &mut Tx<'_>,
    groups: &[&str],
    since: OffsetDateTime,
) -> Result<HashMap<(String, String), PairStamp>> {
    let mut query = QueryBuilder::<MySql>::new(
        "SELECT container, member, stated_at, belongs FROM pair_stamps WHERE container IN (",
    );
    let mut list = query.separated(", ");
    for group in groups {
        list.push_bind((*group).to_owned());
    }
    query.push(") AND stated_at > ").push_bind(datetime(since));
    let rows = query.build().fetch_all(&mut **tx).await?;
    let pair = |row: sqlx::mysql::MySqlRow| {
        let stamp = PairStamp { stated_at: row.try_get("stated_at")?, belongs: row.try_get("belongs")? };
        Ok(((row.try_get("container")?, row.try_get("member")?), stamp))
    };
    Ok(rows.into_iter().map(pair).collect::<sqlx::Result<_>>()?)
}

/// Notes that the members of these groups are known as of `stated_at`, and forgets what was said of single ones before.
/// Nobody's right is changed by that.
pub async fn stamp_lists(tx: &mut RightsTx, groups: &[&GroupRow], stated_at: OffsetDateTime) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let mut update = QueryBuilder::<MySql>::new("UPDATE user_groups SET members_stated_at = ");
    update.push_bind(datetime(stated_at)).push(" WHERE id IN (");
    let mut list = update.separated(", ");
    for group in groups {
        list.push_bind(group.id.0);
    }
    update.push(") AND members_stated_at < ").push_bind(datetime(stated_at));
    update.build().execute(&mut ***tx).await?;
    let mut forget = QueryBuilder::<MySql>::new("DELETE FROM pair_stamps WHERE container IN (");
    let mut list = forget.separated(", ");
    for group in groups {
        list.push_bind(group.scaikey_id.clone());
    }
    forget.push(") AND stated_at <= ").push_bind(datetime(stated_at));
    forget.build().execute(&mut ***tx).await?;
    Ok(())
}
