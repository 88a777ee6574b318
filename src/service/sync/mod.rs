//! The full pull from ScaiKey in its plain form: partners, tenants, users, groups, memberships, each inserted or
//! updated. It never deactivates what ScaiKey no longer lists and never takes a membership away.
//!
//! Every row is stamped with the moment the pull began, and one that has heard of something later is left alone.

mod decide;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::authz::Actor;
use crate::ids::{GroupId, TenantId, UserId};
use crate::scaikey::{AdminApi, Member, PartnerStatement, TenantStatement, UserGroupStatement, UserStatement};
use crate::storage;
use crate::storage::audit::AuditEntry;
use crate::storage::directory::{self, GroupRow, PartnerRow, Reference, TenantRow, UserRow, Was};
use crate::storage::revocations::{self, RightsTx};

use super::audit::{Resource, entry};
use super::{ActorRecord, Error, RequestInfo, Result, Services};
use decide::{Step, decide_group, decide_partner, decide_tenant, decide_user};

/// Statements that go in with one transaction.
const ROWS_PER_TRANSACTION: usize = 100;

/// What became of the statements of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub seen: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// A later statement is there already, or what they belong to is not in the mirror.
    pub skipped: u64,
}

/// What a sync did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub partners: Counts,
    pub tenants: Counts,
    pub users: Counts,
    pub groups: Counts,
    pub members: Counts,
}

/// Pulls everything; or the users and groups of one tenant (ours or ScaiKey's id) with all partners and tenants.
pub async fn pull(services: &Services, tenant: Option<&str>) -> Result<Report> {
    let api = services.scaikey.admin();
    let run = Run { services, began: services.clock.now(), request: RequestInfo::none() };
    let mut report = Report {
        partners: run.partners(api.partners().await?).await?,
        tenants: run.tenants(api.tenants().await?).await?,
        ..Report::default()
    };
    let only = match tenant {
        Some(text) => Some(scaikey_tenant(services, text).await?),
        None => None,
    };
    report.users = run.users(api.users(only.as_deref()).await?).await?;
    let groups = api.groups(only.as_deref()).await?;
    let ids: Vec<String> = groups.iter().map(|group| group.id.clone()).collect();
    report.groups = run.groups(groups).await?;
    report.members = run.members(&api, &ids).await?;
    Ok(report)
}

async fn scaikey_tenant(services: &Services, text: &str) -> Result<String> {
    let reference = Reference::parse(text).ok_or(Error::NotFound("Tenant"))?;
    let found = directory::tenant(&services.db, &reference).await?;
    Ok(found.ok_or(Error::NotFound("Tenant"))?.scaikey_id)
}

impl Counts {
    fn add<T>(&mut self, step: &Step<T>) {
        self.seen += 1;
        match step {
            Step::Create(_) => self.created += 1,
            Step::Update { .. } => self.updated += 1,
            Step::Unchanged(_) => self.unchanged += 1,
            Step::Skip => self.skipped += 1,
        }
    }
}

/// One pull.
struct Run<'a> {
    services: &'a Services,
    began: OffsetDateTime,
    request: RequestInfo,
}

impl Run<'_> {
    async fn partners(&self, statements: Vec<PartnerStatement>) -> Result<Counts> {
        let mut counts = Counts::default();
        for chunk in statements.chunks(ROWS_PER_TRANSACTION) {
            let mut tx = revocations::begin(&self.services.db).await?;
            let mut entries = Vec::new();
            for statement in chunk {
                let known = directory::partner_for_update(&mut tx, &statement.id).await?;
                let step = decide_partner(known, statement, self.began);
                counts.add(&step);
                if let Some(Written { was, row, change }) = written(&step, partner_json) {
                    directory::upsert_partner(&mut tx, was, row).await?;
                    entries.extend(self.entry("partner", row.id.to_string(), &row.name, None, change));
                }
            }
            self.settle(tx, &entries).await?;
        }
        Ok(counts)
    }

    async fn tenants(&self, statements: Vec<TenantStatement>) -> Result<Counts> {
        let partners = directory::partner_ids(&self.services.db).await?;
        let mut counts = Counts::default();
        for chunk in statements.chunks(ROWS_PER_TRANSACTION) {
            let mut tx = revocations::begin(&self.services.db).await?;
            let mut entries = Vec::new();
            for statement in chunk {
                let known = directory::tenant_for_update(&mut tx, &statement.id).await?;
                let step = decide_tenant(known, statement, &partners, self.began);
                counts.add(&step);
                if let Some(Written { was, row, change }) = written(&step, tenant_json) {
                    directory::upsert_tenant(&mut tx, was, row).await?;
                    entries.extend(self.entry("tenant", row.id.to_string(), &row.name, Some(row.id), change));
                }
            }
            self.settle(tx, &entries).await?;
        }
        Ok(counts)
    }

    async fn users(&self, statements: Vec<UserStatement>) -> Result<Counts> {
        let tenants = directory::tenant_ids(&self.services.db).await?;
        let mut counts = Counts::default();
        for chunk in statements.chunks(ROWS_PER_TRANSACTION) {
            let mut tx = revocations::begin(&self.services.db).await?;
            let mut entries = Vec::new();
            for statement in chunk {
                let known = directory::user_for_update(&mut tx, &statement.id).await?;
                let step = decide_user(known, statement, &tenants, self.began);
                counts.add(&step);
                if let Some(Written { was, row, change }) = written(&step, user_json) {
                    directory::upsert_user(&mut tx, was, row).await?;
                    entries.extend(self.entry("user", row.id.to_string(), &row.email, Some(row.tenant), change));
                }
            }
            self.settle(tx, &entries).await?;
        }
        Ok(counts)
    }

    async fn groups(&self, statements: Vec<UserGroupStatement>) -> Result<Counts> {
        let tenants = directory::tenant_ids(&self.services.db).await?;
        let mut counts = Counts::default();
        for chunk in statements.chunks(ROWS_PER_TRANSACTION) {
            let mut tx = revocations::begin(&self.services.db).await?;
            let mut entries = Vec::new();
            for statement in chunk {
                let known = directory::group_for_update(&mut tx, &statement.id).await?;
                let step = decide_group(known, statement, &tenants, self.began);
                counts.add(&step);
                if let Some(Written { was, row, change }) = written(&step, group_json) {
                    directory::upsert_group(&mut tx, was, row).await?;
                    entries.extend(self.entry("group", row.id.to_string(), &row.name, Some(row.tenant), change));
                }
            }
            self.settle(tx, &entries).await?;
        }
        Ok(counts)
    }

    /// Adds the members that are missing, group by group.
    async fn members(&self, api: &AdminApi, groups: &[String]) -> Result<Counts> {
        let (user_ids, group_ids) =
            (directory::user_ids(&self.services.db).await?, directory::group_ids(&self.services.db).await?);
        let mut counts = Counts::default();
        for group in groups {
            let members = api.members(group).await?;
            let mut tx = revocations::begin(&self.services.db).await?;
            let Some(row) = directory::group_for_update(&mut tx, group).await? else {
                counts.seen += members.len() as u64;
                counts.skipped += members.len() as u64;
                continue;
            };
            let mut added = Vec::new();
            for member in &members {
                counts.seen += 1;
                let (kind, id, name) = match member {
                    Member::User(name) => ("user", user_ids.get(name).map(|UserId(id)| *id), name),
                    Member::Group(name) => ("group", group_ids.get(name).map(|GroupId(id)| *id), name),
                };
                match id {
                    None => counts.skipped += 1,
                    Some(id) if directory::add_member(&mut tx, &row, kind, id).await? => {
                        counts.created += 1;
                        added.push(name.as_str());
                    }
                    Some(_) => counts.unchanged += 1,
                }
            }
            let change = (!added.is_empty()).then(|| ("member_added", Value::Null, json!({ "members": added })));
            let entry = self.entry("group", row.id.to_string(), &row.name, Some(row.tenant), change);
            self.settle(tx, entry.as_slice()).await?;
        }
        Ok(counts)
    }

    fn entry(
        &self,
        kind: &'static str,
        id: String,
        name: &str,
        tenant: Option<TenantId>,
        change: Option<(&'static str, Value, Value)>,
    ) -> Option<AuditEntry> {
        let (verb, before, after) = change?;
        let actor = ActorRecord::from(&Actor::System { name: "sync" });
        let resource = Resource { resource_type: kind, id: Some(id), name: Some(name.to_owned()) };
        let action = format!("{kind}.{verb}");
        Some(entry(&actor, &self.request, tenant, &action, resource, (before, after), self.services.clock.now()))
    }

    async fn settle(&self, mut tx: RightsTx, entries: &[AuditEntry]) -> Result<()> {
        if !entries.is_empty() {
            storage::audit::append(&mut tx, None, entries).await?;
        }
        self.services.identity.forget(&tx.commit().await?);
        Ok(())
    }
}

/// A row to write, what it was before, and what the audit log says of it: nothing where only the stamp is newer.
struct Written<'a, T> {
    was: Was<'a, T>,
    row: &'a T,
    change: Option<(&'static str, Value, Value)>,
}

fn written<T>(step: &Step<T>, describe: fn(&T) -> Value) -> Option<Written<'_, T>> {
    match step {
        Step::Create(row) => {
            Some(Written { was: Was::Absent, row, change: Some(("create", Value::Null, describe(row))) })
        }
        Step::Update { before, after } => {
            let change = Some(("update", describe(before), describe(after)));
            Some(Written { was: Was::Other(before), row: after, change })
        }
        Step::Unchanged(row) => Some(Written { was: Was::Same, row, change: None }),
        Step::Skip => None,
    }
}

fn partner_json(row: &PartnerRow) -> Value {
    json!({ "name": row.name, "slug": row.slug, "status": row.status })
}

fn tenant_json(row: &TenantRow) -> Value {
    let partner = row.partner.map(|id| id.to_string());
    json!({ "name": row.name, "slug": row.slug, "status": row.status, "partner_id": partner })
}

fn user_json(row: &UserRow) -> Value {
    json!({ "email": row.email, "name": row.name, "status": row.status, "admin_role": row.admin_role.as_str() })
}

fn group_json(row: &GroupRow) -> Value {
    json!({ "name": row.name, "description": row.description, "group_type": row.group_type, "status": row.status })
}
