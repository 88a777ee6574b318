//! The full pull from ScaiKey: partners, tenants, users, groups, memberships, each inserted or updated, and at the end
//! what ScaiKey has no more is deactivated.
//!
//! Every row is stamped with the moment the pull began, and one that has heard of something later is left alone. Nothing
//! is deactivated before everything was heard, nor because a list came empty, nor without asking for the one thing by
//! name.

mod members;

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;

use crate::authz::Actor;
use crate::ids::TenantId;
use crate::scaikey::{AdminApi, PartnerStatement, ScaiKeyError, TenantStatement, UserGroupStatement, UserStatement};
use crate::storage::directory::stale::{self, Kind};
use crate::storage::directory::{self, GroupRow, Reference, TenantRow};
use crate::storage::{recurring_jobs, within};
use crate::tenancy::Standing;

use super::mirror::decide::Step;
use super::mirror::{Intake, IntakeError, Made, Source, transaction};
use super::{ActorRecord, Error, RequestInfo, Result, Services};

/// The key of its row among what recurs.
pub const RECURRING: &str = "scaikey_sync";

/// Statements that go in with one transaction.
const ROWS_PER_TRANSACTION: usize = 500;

/// Questions that ScaiKey is asked at a time.
const CALLS_AT_A_TIME: usize = 8;

/// A pull by hand stands in for the next one by the clock.
const NEXT_SECONDS: u32 = 3_600;

/// What is to be pulled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the users and groups of this tenant (ours or ScaiKey's id), with all partners and tenants.
    pub tenant: Option<String>,
    /// Everything is done but written.
    pub dry_run: bool,
}

/// What became of the statements of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub seen: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// A later statement is there already, or what they belong to is not in the mirror.
    pub skipped: u64,
    /// Gone at ScaiKey; of memberships: removed.
    pub deactivated: u64,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub partners: Counts,
    pub tenants: Counts,
    pub users: Counts,
    pub groups: Counts,
    pub members: Counts,
    /// What was not done, and why.
    pub warnings: Vec<String>,
}

impl Report {
    /// How far the mirror was from ScaiKey.
    pub fn drift(&self) -> u64 {
        let Self { partners, tenants, users, groups, members, warnings: _ } = self;
        let each = [partners, tenants, users, groups, members];
        each.iter().map(|counts| counts.created + counts.updated + counts.deactivated).sum()
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub stage: &'static str,
    pub done: u64,
    pub total: u64,
}

/// By the clock: everything.
pub async fn hourly(services: &Services) -> Result<u64> {
    let report = pull(services, &Options::default(), &|_| {}).await?;
    for warning in &report.warnings {
        tracing::warn!(warning, "not all of ScaiKey was taken in");
    }
    metrics::gauge!("scaidns_mirror_drift").set(report.drift() as f64);
    Ok(report.drift())
}

/// Pulls everything, or one tenant; tells `told` how far it is.
pub async fn pull(services: &Services, options: &Options, told: &(dyn Fn(Progress) + Sync)) -> Result<Report> {
    let api = services.scaikey.admin();
    let source = Source {
        actor: ActorRecord::from(&Actor::System { name: "sync" }),
        request: RequestInfo::none(),
        at: services.clock.now(),
    };
    let mut run = Run { services, api: &api, source: &source, dry_run: options.dry_run, told, made: Made::default() };
    let mut run_groups = HashMap::new();
    let mut report = Report::default();

    let partners = api.partners().await?;
    run.partners(&partners, &mut report.partners).await?;
    let tenants = api.tenants().await?;
    run.tenants(&tenants, &mut report.tenants).await?;
    let only = match &options.tenant {
        Some(text) => Some(tenant_named(services, text).await?),
        None => None,
    };
    let filter = only.as_ref().map(|tenant| tenant.scaikey_id.as_str());
    let users = api.users(filter).await?;
    run.users(&users, &mut report.users).await?;
    let groups = api.groups(filter).await?;
    run.groups(&groups, &mut report.groups, &mut run_groups).await?;
    let ids: Vec<&str> = groups.iter().map(|group| group.id.as_str()).collect();
    run.members(&ids, &run_groups, only.is_none(), &mut report).await?;

    let only = only.map(|tenant| tenant.id);
    run.deactivate(only, Heard::of(&partners, &tenants, &users, &groups), &mut report).await?;
    if !options.dry_run && only.is_none() {
        within(recurring_jobs::postpone(&services.db, RECURRING, NEXT_SECONDS)).await?;
    }
    Ok(report)
}

async fn tenant_named(services: &Services, text: &str) -> Result<TenantRow> {
    let reference = Reference::parse(text).ok_or(Error::NotFound("Tenant"))?;
    within(directory::tenant(&services.db, &reference)).await?.ok_or(Error::NotFound("Tenant"))
}

impl Counts {
    fn add<T>(&mut self, steps: &[Step<T>]) {
        for step in steps {
            self.seen += 1;
            match step {
                Step::Create(_) => self.created += 1,
                Step::Update { .. } => self.updated += 1,
                Step::Unchanged(_) => self.unchanged += 1,
                Step::Old | Step::Homeless(_) => self.skipped += 1,
            }
        }
    }

    /// Of those that are gone: what was left to be done.
    fn add_gone<T>(&mut self, steps: &[Step<T>]) {
        self.deactivated += steps.iter().filter(|step| matches!(step, Step::Update { .. })).count() as u64;
    }
}

/// ScaiKey's ids of all that it spoke of.
struct Heard<'a> {
    partners: HashSet<&'a str>,
    tenants: HashSet<&'a str>,
    users: HashSet<&'a str>,
    groups: HashSet<&'a str>,
}

impl<'a> Heard<'a> {
    fn of(
        partners: &'a [PartnerStatement],
        tenants: &'a [TenantStatement],
        users: &'a [UserStatement],
        groups: &'a [UserGroupStatement],
    ) -> Self {
        Self {
            partners: partners.iter().map(|said| said.id.as_str()).collect(),
            tenants: tenants.iter().map(|said| said.id.as_str()).collect(),
            users: users.iter().map(|said| said.id.as_str()).collect(),
            groups: groups.iter().map(|said| said.id.as_str()).collect(),
        }
    }
}

/// One pull.
struct Run<'a> {
    services: &'a Services,
    api: &'a AdminApi,
    source: &'a Source,
    dry_run: bool,
    told: &'a (dyn Fn(Progress) + Sync),
    /// By a dry run.
    made: Made,
}

/// One transaction into the mirror; a dry run's is rolled back.
macro_rules! in_transaction {
    ($run:ident, |$intake:ident| $take:expr) => {
        transaction!({
            let mut $intake = Intake::begin($run.services, $run.source).await?;
            let done = $take;
            if !$run.dry_run {
                $intake.commit().await?;
            }
            Ok::<_, IntakeError>(done)
        })
    };
}
use in_transaction;

/// Statements of one kind, a transaction at a time.
macro_rules! in_chunks {
    ($run:ident, $stage:literal, $statements:ident, $counts:ident, |$intake:ident, $chunk:ident| $take:expr, |$row:ident| $remember:expr) => {
        for (index, $chunk) in $statements.chunks(ROWS_PER_TRANSACTION).enumerate() {
            let steps = in_transaction!($run, |$intake| $take)?;
            $counts.add(&steps);
            for step in &steps {
                if let (true, Step::Create($row)) = ($run.dry_run, step) {
                    $remember;
                }
            }
            $run.tell($stage, index * ROWS_PER_TRANSACTION + $chunk.len(), $statements.len());
        }
    };
}

impl Run<'_> {
    async fn partners(&mut self, said: &[PartnerStatement], counts: &mut Counts) -> Result<()> {
        in_chunks!(self, "partners", said, counts, |intake, chunk| intake.partners(chunk).await?, |row| {
            self.made.partners.insert(row.scaikey_id.clone(), row.id)
        });
        Ok(())
    }

    async fn tenants(&mut self, said: &[TenantStatement], counts: &mut Counts) -> Result<()> {
        in_chunks!(self, "tenants", said, counts, |intake, chunk| intake.tenants(chunk, &self.made).await?, |row| {
            self.made.tenants.insert(row.scaikey_id.clone(), row.id)
        });
        Ok(())
    }

    async fn users(&mut self, said: &[UserStatement], counts: &mut Counts) -> Result<()> {
        in_chunks!(self, "users", said, counts, |intake, chunk| intake.users(chunk, &self.made).await?, |row| {
            self.made.users.insert(row.scaikey_id.clone(), row.id)
        });
        Ok(())
    }

    async fn groups(
        &mut self,
        said: &[UserGroupStatement],
        counts: &mut Counts,
        made: &mut HashMap<String, GroupRow>,
    ) -> Result<()> {
        in_chunks!(self, "groups", said, counts, |intake, chunk| intake.groups(chunk, &self.made).await?, |row| {
            self.made.groups.insert(row.scaikey_id.clone(), row.id);
            made.insert(row.scaikey_id.clone(), row.clone())
        });
        Ok(())
    }

    /// What was not heard of is asked for by name, and deactivated if ScaiKey knows it no more.
    async fn deactivate(&self, only: Option<TenantId>, heard: Heard<'_>, report: &mut Report) -> Result<()> {
        let Heard { partners, tenants, users, groups } = heard;
        let api = self.api;
        let warnings = &mut report.warnings;
        for id in self.gone(Kind::Group, only, &groups, warnings).await?.chunks(ROWS_PER_TRANSACTION) {
            let said = asked(id, |id| api.group(id), gone_group).await?;
            report.groups.add_gone(&in_transaction!(self, |intake| intake.groups(&said, &self.made).await?)?);
        }
        for id in self.gone(Kind::User, only, &users, warnings).await?.chunks(ROWS_PER_TRANSACTION) {
            let said = asked(id, |id| api.user(id), gone_user).await?;
            report.users.add_gone(&in_transaction!(self, |intake| intake.users(&said, &self.made).await?)?);
        }
        for id in self.gone(Kind::Tenant, None, &tenants, warnings).await?.chunks(ROWS_PER_TRANSACTION) {
            let said = asked(id, |id| api.tenant(id), gone_tenant).await?;
            report.tenants.add_gone(&in_transaction!(self, |intake| intake.tenants(&said, &self.made).await?)?);
        }
        for id in self.gone(Kind::Partner, None, &partners, warnings).await?.chunks(ROWS_PER_TRANSACTION) {
            let said = asked(id, |id| api.partner(id), gone_partner).await?;
            report.partners.add_gone(&in_transaction!(self, |intake| intake.partners(&said).await?)?);
        }
        Ok(())
    }

    /// Those of the mirror that were not heard of. None where nothing was heard at all: that is no statement.
    async fn gone(
        &self,
        kind: Kind,
        only: Option<TenantId>,
        heard: &HashSet<&str>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>> {
        let mut unheard = stale::unheard(&self.services.db, kind, only, self.source.at).await?;
        unheard.retain(|id| !heard.contains(id.as_str()));
        if heard.is_empty() && !unheard.is_empty() {
            let count = unheard.len();
            warnings
                .push(format!("ScaiKey listed nothing of the kind {kind:?}; {count} known ones are left as they are"));
            return Ok(Vec::new());
        }
        Ok(unheard)
    }

    fn tell(&self, stage: &'static str, done: usize, total: usize) {
        (self.told)(Progress { stage, done: done as u64, total: total as u64 });
    }
}

/// What ScaiKey says of each by name; where it knows none, what `gone` makes of that.
async fn asked<'i, T, F: Future<Output = std::result::Result<Option<T>, ScaiKeyError>>>(
    ids: &'i [String],
    ask: impl Fn(&'i str) -> F,
    gone: fn(&str) -> T,
) -> Result<Vec<T>> {
    let mut answers = Vec::new();
    for chunk in ids.chunks(CALLS_AT_A_TIME) {
        let said = try_join_all(chunk.iter().map(|id| ask(id))).await?;
        answers.extend(said.into_iter().zip(chunk).map(|(said, id)| said.unwrap_or_else(|| gone(id))));
    }
    Ok(answers)
}

fn gone_partner(id: &str) -> PartnerStatement {
    PartnerStatement { id: id.to_owned(), name: None, slug: None, status: Some(Standing::Inactive) }
}

/// As one that a webhook says is deleted.
fn gone_tenant(id: &str) -> TenantStatement {
    let status = Some(Standing::Suspended);
    TenantStatement { id: id.to_owned(), name: None, slug: None, status, partner: None }
}

fn gone_user(id: &str) -> UserStatement {
    let status = Some(Standing::Inactive);
    UserStatement { id: id.to_owned(), email: None, name: None, status, tenant: None, admin_role: None }
}

fn gone_group(id: &str) -> UserGroupStatement {
    let status = Some(Standing::Inactive);
    UserGroupStatement { id: id.to_owned(), name: None, description: None, tenant: None, group_type: None, status }
}
