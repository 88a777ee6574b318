//! Rows of the mirror that a full pull did not hear of: what may be gone at ScaiKey. Only asked for by that pull.

use sqlx::{MySql, QueryBuilder};
use time::OffsetDateTime;

use crate::ids::TenantId;

use super::super::{Db, Result, datetime};

/// Rows that one look brings.
const ROWS_PER_LOOK: u32 = 5_000;

/// What kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Partner,
    Tenant,
    User,
    Group,
}

impl Kind {
    /// Gone are those that may act and were neither made nor stated since. A tenant or partner of which ScaiKey never
    /// spoke was registered here by hand.
    fn query(self) -> &'static str {
        match self {
            Self::Partner => {
                "SELECT scaikey_id FROM partners WHERE status <> 'inactive' AND stated_at > '1970-01-02' \
                 AND stated_at < "
            }
            Self::Tenant => {
                "SELECT scaikey_id FROM tenants WHERE status = 'active' AND stated_at > '1970-01-02' AND stated_at < "
            }
            Self::User => "SELECT scaikey_id FROM users WHERE status <> 'inactive' AND stated_at < ",
            Self::Group => "SELECT scaikey_id FROM user_groups WHERE status <> 'inactive' AND stated_at < ",
        }
    }
}

/// ScaiKey's ids of those that were not heard of since `began`, of all tenants or of one.
pub async fn unheard(db: &Db, kind: Kind, tenant: Option<TenantId>, began: OffsetDateTime) -> Result<Vec<String>> {
    let mut all = Vec::new();
    loop {
        let mut query = QueryBuilder::<MySql>::new(kind.query());
        query.push_bind(datetime(began)).push(" AND created_at < ").push_bind(datetime(began));
        if let (Some(tenant), Kind::User | Kind::Group) = (tenant, kind) {
            query.push(" AND tenant_id = ").push_bind(tenant.0);
        }
        if let Some(last) = all.last() {
            query.push(" AND scaikey_id > ").push_bind(String::clone(last));
        }
        query.push(" ORDER BY scaikey_id LIMIT ").push_bind(ROWS_PER_LOOK);
        let page: Vec<String> = query.build_query_scalar().fetch_all(db.pool()).await?;
        let is_last = page.len() < ROWS_PER_LOOK as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Whether anybody is in any group.
pub async fn has_members(db: &Db) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM group_members LIMIT 1").fetch_optional(db.pool()).await?.is_some())
}
