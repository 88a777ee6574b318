//! Taking in what ScaiKey states, by whatever way it comes: a webhook, the full pull, the answer to a write. Rows are
//! read under their locks, decided upon ([`decide`]), written, and told of in the audit log, in one transaction that
//! says whose rights it changes.

pub mod decide;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::scaikey::{Member, PartnerStatement, TenantStatement, UserGroupStatement, UserStatement};
use crate::storage::audit::AuditEntry;
use crate::storage::directory::{
    self, GroupRow, MemberKind, Membership, PairStamp, PartnerRow, TenantRow, UserRow, Write,
};
use crate::storage::revocations::{self, RightsTx};
use crate::storage::{self, StorageError};
use crate::tenancy::Standing;

use super::audit::{Resource, entry};
use super::{ActorRecord, Error, RequestInfo, Services};
use decide::{Step, decide_group, decide_partner, decide_tenant, decide_user};

/// How often a transaction is begun anew that was in another's way.
pub const ATTEMPTS: u32 = 4;

/// Why a statement was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What it is about, or belongs to, is not in the mirror: ScaiKey's id.
    #[error("{0} is not known here yet")]
    Homeless(String),
}

pub type Result<T> = std::result::Result<T, IntakeError>;

impl From<IntakeError> for Error {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Storage(error) => error.into(),
            IntakeError::Homeless(_) => Self::Upstream(format!("ScaiKey speaks of what is not known here: {error}")),
        }
    }
}

/// In whose name statements are taken in, and of when they are.
#[derive(Clone, Debug)]
pub struct Source {
    pub actor: ActorRecord,
    pub request: RequestInfo,
    /// When ScaiKey said so, or, where it does not say, before it was asked.
    pub at: OffsetDateTime,
}

/// Our ids by ScaiKey's, for what is not in the database: what a dry run would have made.
#[derive(Clone, Debug, Default)]
pub struct Made {
    pub partners: HashMap<String, PartnerId>,
    pub tenants: HashMap<String, TenantId>,
    pub users: HashMap<String, UserId>,
    pub groups: HashMap<String, GroupId>,
}

/// One transaction of it.
pub struct Intake<'a> {
    services: &'a Services,
    source: &'a Source,
    pub tx: RightsTx,
    entries: Vec<AuditEntry>,
}

impl<'a> Intake<'a> {
    pub async fn begin(services: &'a Services, source: &'a Source) -> Result<Self> {
        Ok(Self { services, source, tx: revocations::begin(&services.db).await?, entries: Vec::new() })
    }

    pub async fn commit(mut self) -> Result<()> {
        if !self.entries.is_empty() {
            storage::audit::append(&mut self.tx, None, &self.entries).await?;
        }
        self.services.identity.forget(&self.tx.commit().await?);
        Ok(())
    }

    pub async fn partners(&mut self, said: &[PartnerStatement]) -> Result<Vec<Step<PartnerRow>>> {
        let named: Vec<&str> = said.iter().map(|statement| statement.id.as_str()).collect();
        let mut known = directory::partners_for_update(&mut self.tx, &named).await?;
        let at = self.source.at;
        let decide = |statement: &PartnerStatement| decide_partner(known.remove(&statement.id), statement, at);
        let steps: Vec<_> = said.iter().map(decide).collect();
        directory::upsert_partners(&mut self.tx, &writes(&steps)).await?;
        self.tell(&steps, "partner", |row| (row.id.to_string(), row.name.clone(), None, partner_json(row)));
        Ok(steps)
    }

    pub async fn tenants(&mut self, said: &[TenantStatement], made: &Made) -> Result<Vec<Step<TenantRow>>> {
        let named: Vec<&str> = said.iter().map(|statement| statement.id.as_str()).collect();
        let homes = distinct(said.iter().filter_map(|statement| statement.partner.as_deref()));
        let mut partners = directory::partner_ids(&self.services.db, &homes).await?;
        partners.extend(made.partners.clone());
        let mut known = directory::tenants_for_update(&mut self.tx, &named).await?;
        let at = self.source.at;
        let decide = |statement: &TenantStatement| decide_tenant(known.remove(&statement.id), statement, &partners, at);
        let steps: Vec<_> = said.iter().map(decide).collect();
        directory::upsert_tenants(&mut self.tx, &writes(&steps)).await?;
        self.tell(&steps, "tenant", |row| (row.id.to_string(), row.name.clone(), Some(row.id), tenant_json(row)));
        Ok(steps)
    }

    pub async fn users(&mut self, said: &[UserStatement], made: &Made) -> Result<Vec<Step<UserRow>>> {
        let named: Vec<&str> = said.iter().map(|statement| statement.id.as_str()).collect();
        let tenants = self.tenants_of(said.iter().filter_map(|statement| statement.tenant.as_deref()), made).await?;
        let mut known = directory::users_for_update(&mut self.tx, &named).await?;
        let at = self.source.at;
        let decide = |statement: &UserStatement| decide_user(known.remove(&statement.id), statement, &tenants, at);
        let steps: Vec<_> = said.iter().map(decide).collect();
        self.write_users(&steps).await?;
        Ok(steps)
    }

    /// A user that is spoken of beside something else: made if it is not known. Whatever is said of the user itself
    /// counts, however old it is when it comes: of that this says nothing.
    pub async fn user_in_passing(&mut self, said: &UserStatement) -> Result<Vec<Step<UserRow>>> {
        let tenants = self.tenants_of(said.tenant.as_deref().into_iter(), &Made::default()).await?;
        if directory::users_for_update(&mut self.tx, &[&said.id]).await?.contains_key(&said.id) {
            return Ok(Vec::new());
        }
        let step = match decide_user(None, said, &tenants, self.source.at) {
            Step::Create(row) => Step::Create(UserRow { stated_at: OffsetDateTime::UNIX_EPOCH, ..row }),
            other => other,
        };
        let steps = vec![step];
        self.write_users(&steps).await?;
        Ok(steps)
    }

    async fn write_users(&mut self, steps: &[Step<UserRow>]) -> Result<()> {
        directory::upsert_users(&mut self.tx, &writes(steps)).await?;
        self.tell(steps, "user", |row| (row.id.to_string(), row.email.clone(), Some(row.tenant), user_json(row)));
        Ok(())
    }

    /// A group that is gone takes its memberships with it.
    pub async fn groups(&mut self, said: &[UserGroupStatement], made: &Made) -> Result<Vec<Step<GroupRow>>> {
        let named: Vec<&str> = said.iter().map(|statement| statement.id.as_str()).collect();
        let tenants = self.tenants_of(said.iter().filter_map(|statement| statement.tenant.as_deref()), made).await?;
        let mut known = directory::groups_for_update(&mut self.tx, &named).await?;
        let at = self.source.at;
        let decide =
            |statement: &UserGroupStatement| decide_group(known.remove(&statement.id), statement, &tenants, at);
        let steps: Vec<_> = said.iter().map(decide).collect();
        directory::upsert_groups(&mut self.tx, &writes(&steps)).await?;
        for step in &steps {
            if let Step::Update { before, after } = step
                && after.status == Standing::Inactive
                && before.status != Standing::Inactive
            {
                directory::empty_group(&mut self.tx, after).await?;
            }
        }
        self.tell(&steps, "group", |row| (row.id.to_string(), row.name.clone(), Some(row.tenant), group_json(row)));
        Ok(steps)
    }

    async fn tenants_of<'s>(
        &self,
        named: impl Iterator<Item = &'s str>,
        made: &Made,
    ) -> Result<HashMap<String, TenantId>> {
        let mut tenants = directory::tenant_ids(&self.services.db, &distinct(named)).await?;
        tenants.extend(made.tenants.clone());
        Ok(tenants)
    }

    /// One member of one group came or went. False: something later is known, or it is so already.
    pub async fn membership(&mut self, group: &str, member: &Member, belongs: bool) -> Result<bool> {
        let (kind, member_id) = match member {
            Member::User(id) => (MemberKind::User, id.as_str()),
            Member::Group(id) => (MemberKind::Group, id.as_str()),
        };
        let at = self.source.at;
        let (known, listed_at) = directory::pair_for_update(&mut self.tx, group, member_id).await?;
        let is_old = known
            .is_some_and(|stamp| stamp.stated_at > at || (stamp.stated_at == at && !stamp.belongs && belongs))
            || listed_at.is_some_and(|listed| listed > at);
        if is_old {
            return Ok(false);
        }
        let ours = self.member_id(kind, member_id).await?;
        let row = directory::groups_for_update(&mut self.tx, &[group]).await?.remove(group);
        directory::stamp_pair(&mut self.tx, group, member_id, PairStamp { stated_at: at, belongs }).await?;
        let (row, ours) = match (row, ours) {
            (Some(row), Some(ours)) => (row, ours),
            // what is not there is in nothing
            _ if !belongs => return Ok(false),
            (None, _) => return Err(IntakeError::Homeless(group.to_owned())),
            (Some(_), None) => return Err(IntakeError::Homeless(member_id.to_owned())),
        };
        let membership = [Membership::new(&row, kind, ours)];
        let changed = match belongs {
            true if row.status == Standing::Inactive => 0,
            true => directory::add_members(&mut self.tx, &membership).await?,
            false => directory::remove_members(&mut self.tx, &membership).await?,
        };
        if changed > 0 {
            let named = json!({ "members": [member_id] });
            self.tell_members(&row, belongs, named);
        }
        Ok(changed > 0)
    }

    /// Who may use an application is kept as it was said last; nothing follows from it here: ScaiKey gives no token to
    /// who may not. False: something later is known.
    pub async fn assignment(&mut self, application: &str, assignee: &Member, belongs: bool) -> Result<bool> {
        let (Member::User(id) | Member::Group(id)) = assignee;
        let at = self.source.at;
        let (known, _) = directory::pair_for_update(&mut self.tx, application, id).await?;
        if known.is_some_and(|stamp| stamp.stated_at > at || (stamp.stated_at == at && !stamp.belongs)) {
            return Ok(false);
        }
        directory::stamp_pair(&mut self.tx, application, id, PairStamp { stated_at: at, belongs }).await?;
        Ok(true)
    }

    async fn member_id(&self, kind: MemberKind, id: &str) -> Result<Option<Uuid>> {
        let db = &self.services.db;
        Ok(match kind {
            MemberKind::User => directory::user_ids(db, &[id]).await?.remove(id).map(|UserId(id)| id),
            MemberKind::Group => directory::group_ids(db, &[id]).await?.remove(id).map(|GroupId(id)| id),
        })
    }

    /// An entry for members that came or went.
    pub fn tell_members(&mut self, group: &GroupRow, belong: bool, members: Value) {
        let (verb, change) = match belong {
            true => ("member_add", (Value::Null, members)),
            false => ("member_remove", (members, Value::Null)),
        };
        let subject = (group.id.to_string(), group.name.clone(), Some(group.tenant));
        self.note("group", verb, subject, change);
    }

    fn tell<T>(
        &mut self,
        steps: &[Step<T>],
        kind: &'static str,
        describe: impl Fn(&T) -> (String, String, Option<TenantId>, Value),
    ) where
        T: HasStanding,
    {
        for step in steps {
            let (verb, before, row) = match step {
                Step::Create(row) => ("create", Value::Null, row),
                Step::Update { before, after } => {
                    (verb(before.standing(), after.standing()), describe(before).3, after)
                }
                Step::Unchanged(_) | Step::Old | Step::Homeless(_) => continue,
            };
            let (id, name, tenant, after) = describe(row);
            self.note(kind, verb, (id, name, tenant), (before, after));
        }
    }

    /// An entry of this transaction.
    pub fn note(
        &mut self,
        kind: &'static str,
        verb: &str,
        (id, name, tenant): (String, String, Option<TenantId>),
        change: (Value, Value),
    ) {
        let Source { actor, request, at: _ } = self.source;
        let resource = Resource { resource_type: kind, id: Some(id), name: Some(name) };
        let now = self.services.clock.now();
        self.entries.push(entry(actor, request, tenant, &format!("{kind}.{verb}"), resource, change, now));
    }
}

/// Bounds one transaction; after `Unavailable` its outcome is unknown, and it bears being run again.
pub async fn within_write<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match storage::within_write(async { Ok(work.await) }).await {
        Ok(done) => done,
        Err(error) => Err(error.into()),
    }
}

impl IntakeError {
    /// The transaction was in another's way: a deadlock, or a row that somebody else has just made.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Storage(StorageError::Deadlock(_) | StorageError::Duplicate { .. }))
    }
}

/// A moment, each time longer, so that those who were in each other's way do not meet again.
pub(super) async fn stand_back(attempt: u32) {
    let most = 20 * u64::from(attempt);
    let pause = std::time::Duration::from_millis(rand::Rng::random_range(&mut rand::rng(), 1..=most));
    tokio::time::sleep(pause).await;
}

/// Runs a transaction, a block that ends in a `Result<_, IntakeError>`, and runs it anew where it was in another's way.
/// A macro, as a closure that borrows and is async cannot yet be shown to be `Send`.
macro_rules! transaction {
    ($work:block) => {{
        let mut attempt = 1;
        loop {
            match $crate::service::mirror::within_write(async $work).await {
                Err(error) if error.is_passing() && attempt < $crate::service::mirror::ATTEMPTS => {
                    $crate::service::mirror::stand_back(attempt).await;
                    attempt += 1;
                }
                done => break done,
            }
        }
    }};
}
pub(super) use transaction;

/// What has a standing, whose change has a name in the audit log.
trait HasStanding {
    fn standing(&self) -> Standing;
}

macro_rules! has_standing {
    ($($row:ty),*) => {$(
        impl HasStanding for $row {
            fn standing(&self) -> Standing {
                self.status
            }
        }
    )*};
}
has_standing!(PartnerRow, TenantRow, UserRow, GroupRow);

fn verb(before: Standing, after: Standing) -> &'static str {
    match after {
        _ if before == after => "update",
        Standing::Active => "activate",
        Standing::Suspended => "suspend",
        Standing::Inactive => "delete",
    }
}

fn writes<T>(steps: &[Step<T>]) -> Vec<Write<'_, T>> {
    steps.iter().filter_map(Step::write).collect()
}

fn distinct<'s>(ids: impl Iterator<Item = &'s str>) -> Vec<&'s str> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
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
