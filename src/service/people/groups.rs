//! Groups and who is in them.

use crate::authz::{Permission, Visibility, decide_tenant};
use crate::ids::GroupId;
use crate::scaikey::{Member, UserGroupStatement};
use crate::storage::directory::lists::{self, DirectoryFilter, MemberPlace, MemberRow, MembersPart};
use crate::storage::directory::{self, GroupRow, Holder, HolderKind, Reference};
use crate::storage::within;
use crate::tenancy::Standing;

use super::super::escalation::may_write;
use super::super::mirror::{Intake, Made, Source, transaction};
use super::super::{Context, Error, PageRequest, Result, Services};
use super::users;
use super::{After, PeoplePage, check_length, fields, may, paged, part, scaikey_status, source, tenant_meant};

const NAME_CHARACTERS_MAX: usize = 255;
const DESCRIPTION_CHARACTERS_MAX: usize = 2_000;

/// A group and how many direct members it has.
pub struct CountedGroup {
    pub row: GroupRow,
    pub members: u64,
}

/// What is asked of a new group.
#[derive(Debug)]
pub struct NewGroup {
    pub name: String,
    pub description: Option<String>,
    pub group_type: Option<String>,
    pub tenant: Option<String>,
}

/// What is to change; None leaves a field as it is.
#[derive(Debug, Default)]
pub struct GroupPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub group_type: Option<String>,
    pub status: Option<String>,
}

/// Groups of the tenant acted in, by name; for the platform's admin those of all, unless it has chosen one.
pub async fn list(
    services: &Services,
    context: &Context,
    (status, search, tenant): (Option<Standing>, Option<String>, Option<String>),
    page: PageRequest,
    after: After,
) -> Result<PeoplePage<CountedGroup>> {
    decide_tenant(&context.caller, Permission::GroupsRead)?;
    let tenant = match tenant {
        Some(named) => Some(tenant_meant(services, context, Some(&named)).await?.id),
        None => None,
    };
    let filter = DirectoryFilter { status, search, tenant };
    let (visible, part) = (Visibility::of_list(&context.caller), part(page, after));
    let (rows, total) = within(lists::list_groups(&services.db, &visible, &filter, &part)).await?;
    let rows = rows.into_iter().map(|(row, members)| CountedGroup { row, members }).collect();
    Ok(paged((rows, total), page))
}

pub async fn get(services: &Services, context: &Context, id: &str) -> Result<CountedGroup> {
    let holder = find(services, context, id).await?;
    may(context, Permission::GroupsRead, holder.home.id)?;
    counted(services, group_of(&holder)?.clone()).await
}

pub async fn create(services: &Services, context: &Context, new: NewGroup) -> Result<CountedGroup> {
    decide_tenant(&context.caller, Permission::GroupsCreate)?;
    let NewGroup { name, description, group_type, tenant } = new;
    let tenant = tenant_meant(services, context, tenant.as_deref()).await?;
    may(context, Permission::GroupsCreate, tenant.id)?;
    check(Some(&name), description.as_ref(), group_type.as_deref())?;
    let fields = fields([
        ("name", Some(name)),
        ("description", description),
        ("group_type", Some(group_type.unwrap_or_else(|| "SECURITY".into()))),
        ("tenant_id", Some(tenant.scaikey_id.clone())),
    ]);
    let source = source(context, services.clock.now());
    let said = services.scaikey.admin().create_group(&fields).await?;
    let said = UserGroupStatement { tenant: said.tenant.or(Some(tenant.scaikey_id)), ..said };
    take_in(services, context, &source, said).await
}

pub async fn update(services: &Services, context: &Context, id: &str, patch: GroupPatch) -> Result<CountedGroup> {
    let group = changeable(services, context, id, Permission::GroupsUpdate).await?;
    let GroupPatch { name, description, group_type, status } = patch;
    check(name.as_ref(), description.as_ref(), group_type.as_deref())?;
    let fields = fields([
        ("name", name),
        ("description", description),
        ("group_type", group_type),
        ("status", scaikey_status(status.as_deref())?),
    ]);
    if fields.is_empty() {
        return counted(services, group).await;
    }
    let source = source(context, services.clock.now());
    let said = services.scaikey.admin().update_group(&group.scaikey_id, &fields).await?;
    take_in(services, context, &source, said).await
}

pub async fn delete(services: &Services, context: &Context, id: &str) -> Result<()> {
    let group = changeable(services, context, id, Permission::GroupsDelete).await?;
    let source = source(context, services.clock.now());
    services.scaikey.admin().delete_group(&group.scaikey_id).await?;
    let gone = UserGroupStatement {
        id: group.scaikey_id,
        name: None,
        description: None,
        tenant: None,
        group_type: None,
        status: Some(Standing::Inactive),
    };
    take_in(services, context, &source, gone).await.map(drop)
}

/// The direct members: groups first, then users, each by name.
pub async fn members(
    services: &Services,
    context: &Context,
    id: &str,
    page: PageRequest,
    after: Option<MemberPlace>,
) -> Result<PeoplePage<MemberRow>> {
    let holder = find(services, context, id).await?;
    may(context, Permission::GroupsRead, holder.home.id)?;
    let group = group_of(&holder)?.id;
    let offset = if after.is_some() { 0 } else { page.offset() };
    // one more than is shown, to know whether there is another page
    let part = MembersPart { after, offset, limit: page.page_size + 1 };
    Ok(paged(within(lists::list_members(&services.db, group, &part)).await?, page))
}

/// Who comes into a group takes what it holds.
pub async fn add_member(
    services: &Services,
    context: &Context,
    id: &str,
    user: Option<String>,
    inner: Option<String>,
) -> Result<MemberRow> {
    let group = changeable(services, context, id, Permission::GroupsUpdate).await?;
    let ((Some(member), None) | (None, Some(member))) = (user, inner) else {
        return Err(Error::schema(&["body", "user_id"], "exactly one of user_id and group_id is required"));
    };
    let (row, member) = member_of(services, context, &group, &member).await?;
    let source = source(context, services.clock.now());
    services.scaikey.admin().add_member(&group.scaikey_id, &member).await?;
    hear_member(services, &source, &group, &member, true).await?;
    Ok(row)
}

pub async fn remove_member(services: &Services, context: &Context, id: &str, member: &str) -> Result<()> {
    let group = changeable(services, context, id, Permission::GroupsUpdate).await?;
    let (_, member) = member_of(services, context, &group, member).await?;
    let source = source(context, services.clock.now());
    services.scaikey.admin().remove_member(&group.scaikey_id, &member).await?;
    hear_member(services, &source, &group, &member, false).await
}

async fn hear_member(
    services: &Services,
    source: &Source,
    group: &GroupRow,
    member: &Member,
    belongs: bool,
) -> Result<()> {
    let heard = transaction!({
        let mut intake = Intake::begin(services, source).await?;
        intake.membership(&group.scaikey_id, member, belongs).await?;
        intake.commit().await
    });
    Ok(heard?)
}

/// A user or a group of the group's own tenant.
async fn member_of(services: &Services, context: &Context, group: &GroupRow, id: &str) -> Result<(MemberRow, Member)> {
    let absent = Error::NotFound("Member");
    let is_group = id.starts_with("grp_") || id.starts_with("g_");
    let (row, member, tenant) = if is_group {
        let holder = find(services, context, id).await?;
        let row = group_of(&holder)?.clone();
        (MemberRow::Group(row.clone()), Member::Group(row.scaikey_id), row.tenant)
    } else {
        let holder = users::find(services, context, id).await?;
        let row = users::user_of(&holder)?.clone();
        (MemberRow::User(row.clone()), Member::User(row.scaikey_id), row.tenant)
    };
    if tenant == group.tenant { Ok((row, member)) } else { Err(absent) }
}

async fn take_in(
    services: &Services,
    context: &Context,
    source: &Source,
    said: UserGroupStatement,
) -> Result<CountedGroup> {
    let id = said.id.clone();
    let said = [said];
    transaction!({
        let mut intake = Intake::begin(services, source).await?;
        intake.groups(&said, &Made::default()).await?;
        intake.commit().await
    })?;
    let holder = find(services, context, &id).await?;
    counted(services, group_of(&holder)?.clone()).await
}

async fn counted(services: &Services, row: GroupRow) -> Result<CountedGroup> {
    let members = within(lists::count_members(&services.db, row.id)).await?;
    Ok(CountedGroup { row, members })
}

async fn changeable(services: &Services, context: &Context, id: &str, permission: Permission) -> Result<GroupRow> {
    let holder = find(services, context, id).await?;
    may(context, permission, holder.home.id)?;
    may_write(&context.caller, &holder, services.clock.now())?;
    Ok(group_of(&holder)?.clone())
}

async fn find(services: &Services, context: &Context, id: &str) -> Result<Holder> {
    let absent = Error::NotFound("Group");
    let reference: Reference<GroupId> = Reference::parse(id).ok_or(absent.clone())?;
    let visible = Visibility::of_lookup(&context.caller);
    within(directory::group(&services.db, &visible, &reference)).await?.ok_or(absent)
}

fn group_of(holder: &Holder) -> Result<&GroupRow> {
    match &holder.kind {
        HolderKind::Group(group) => Ok(group),
        HolderKind::User(user) => Err(Error::Internal(format!("user {} was found as a group", user.id))),
    }
}

fn check(name: Option<&String>, description: Option<&String>, group_type: Option<&str>) -> Result<()> {
    check_length("name", name, 1, NAME_CHARACTERS_MAX)?;
    check_length("description", description, 0, DESCRIPTION_CHARACTERS_MAX)?;
    match group_type {
        None | Some("SECURITY" | "DISTRIBUTION_LIST") => Ok(()),
        Some(_) => Err(Error::invalid("group_type", "must be SECURITY or DISTRIBUTION_LIST")),
    }
}
