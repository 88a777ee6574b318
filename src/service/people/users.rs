//! Users.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::authz::{Permission, SystemRole, Visibility, decide_tenant};
use crate::ids::UserId;
use crate::scaikey::UserStatement;
use crate::storage::directory::lists::{self, DirectoryFilter};
use crate::storage::directory::{self, Holder, HolderKind, Reference, UserRow};
use crate::storage::within;
use crate::tenancy::{AdminRole, Standing};

use super::super::escalation::may_write;
use super::super::mirror::{Intake, Made, Source, transaction};
use super::super::{Context, Error, PageRequest, Result, Services};
use super::{After, PeoplePage, check_length, fields, may, paged, part, scaikey_status, source, tenant_meant};

/// What the mirror's column holds, and what RFC 5321 lets an address have.
const EMAIL_CHARACTERS_MAX: usize = 254;
const NAME_CHARACTERS_MAX: usize = 127;
const PASSWORD_CHARACTERS_MAX: usize = 1_024;

/// A user, and what it administers: as ScaiKey states, or by a role that it holds itself.
#[derive(Debug)]
pub struct ShownUser {
    pub row: UserRow,
    pub is_platform_admin: bool,
    pub is_tenant_admin: bool,
}

/// What is asked of a new user.
#[derive(Debug)]
pub struct NewUser {
    pub email: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub display_name: Option<String>,
    /// None: an invitation, or none yet.
    pub password: Option<SecretString>,
    pub tenant: Option<String>,
}

/// What is to change; None leaves a field as it is.
#[derive(Debug, Default)]
pub struct UserPatch {
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub display_name: Option<String>,
    pub status: Option<String>,
}

/// Users of the tenant acted in, by name; for the platform's admin those of all, unless it has chosen one.
pub async fn list(
    services: &Services,
    context: &Context,
    (status, search, tenant): (Option<Standing>, Option<String>, Option<String>),
    page: PageRequest,
    after: After,
) -> Result<PeoplePage<ShownUser>> {
    decide_tenant(&context.caller, Permission::UsersRead)?;
    let tenant = match tenant {
        Some(named) => Some(tenant_meant(services, context, Some(&named)).await?.id),
        None => None,
    };
    let filter = DirectoryFilter { status, search, tenant };
    let (visible, part) = (Visibility::of_list(&context.caller), part(page, after));
    let PeoplePage { rows, total, more } =
        paged(within(lists::list_users(&services.db, &visible, &filter, &part)).await?, page);
    Ok(PeoplePage { rows: shown(services, rows).await?, total, more })
}

/// With the roles of all of them read at once.
async fn shown(services: &Services, rows: Vec<UserRow>) -> Result<Vec<ShownUser>> {
    let ids: Vec<UserId> = rows.iter().map(|row| row.id).collect();
    let held = within(lists::own_admin_roles(&services.db, &ids)).await?;
    let show = |row: UserRow| {
        let holds = |role: SystemRole, scopes: &[&str]| {
            held.iter()
                .any(|(user, held, scope)| *user == row.id && held == role.as_str() && scopes.contains(&scope.as_str()))
        };
        let is_platform_admin =
            row.admin_role == AdminRole::SuperAdmin || holds(SystemRole::PlatformAdmin, &["platform"]);
        let is_tenant_admin = is_platform_admin
            || row.admin_role != AdminRole::None
            || holds(SystemRole::TenantAdmin, &["platform", "tenant"]);
        ShownUser { row, is_platform_admin, is_tenant_admin }
    };
    Ok(rows.into_iter().map(show).collect())
}

async fn show(services: &Services, row: UserRow) -> Result<ShownUser> {
    let gone = || Error::Internal("a user is not shown".into());
    shown(services, vec![row]).await?.pop().ok_or_else(gone)
}

pub async fn get(services: &Services, context: &Context, id: &str) -> Result<ShownUser> {
    let holder = find(services, context, id).await?;
    may(context, Permission::UsersRead, holder.home.id)?;
    show(services, user_of(&holder)?.clone()).await
}

pub async fn create(services: &Services, context: &Context, new: NewUser) -> Result<ShownUser> {
    make(services, context, new, false).await
}

/// ScaiKey sends an invitation; the user is active once it is taken up.
pub async fn invite(services: &Services, context: &Context, new: NewUser) -> Result<ShownUser> {
    make(services, context, new, true).await
}

async fn make(services: &Services, context: &Context, new: NewUser, is_invited: bool) -> Result<ShownUser> {
    decide_tenant(&context.caller, Permission::UsersCreate)?;
    let NewUser { email, first_name, last_name, display_name, password, tenant } = new;
    let tenant = tenant_meant(services, context, tenant.as_deref()).await?;
    may(context, Permission::UsersCreate, tenant.id)?;
    check_email(&email)?;
    check_names(&first_name, &last_name, &display_name)?;
    let mut fields = fields([
        ("email", Some(email)),
        ("first_name", first_name),
        ("last_name", last_name),
        ("display_name", display_name),
        ("tenant_id", Some(tenant.scaikey_id.clone())),
    ]);
    if let Some(password) = password {
        check_password(&password)?;
        fields.insert("password".into(), Value::String(password.expose_secret().to_owned()));
    }
    let source = source(context, services.clock.now());
    let api = services.scaikey.admin();
    let said = if is_invited { api.invite_user(&fields).await? } else { api.create_user(&fields).await? };
    let said = UserStatement { tenant: said.tenant.or(Some(tenant.scaikey_id)), ..said };
    show(services, take_in(services, context, &source, said).await?).await
}

pub async fn update(services: &Services, context: &Context, id: &str, patch: UserPatch) -> Result<ShownUser> {
    let user = changeable(services, context, id, Permission::UsersUpdate).await?;
    let UserPatch { email, first_name, last_name, display_name, status } = patch;
    if let Some(email) = &email {
        check_email(email)?;
    }
    check_names(&first_name, &last_name, &display_name)?;
    let fields = fields([
        ("email", email),
        ("first_name", first_name),
        ("last_name", last_name),
        ("display_name", display_name),
        ("status", scaikey_status(status.as_deref())?),
    ]);
    if fields.is_empty() {
        return show(services, user).await;
    }
    let source = source(context, services.clock.now());
    let said = services.scaikey.admin().update_user(&user.scaikey_id, &fields).await?;
    show(services, take_in(services, context, &source, said).await?).await
}

/// Disabled in ScaiKey; here the row stays, inactive.
pub async fn delete(services: &Services, context: &Context, id: &str) -> Result<()> {
    let user = changeable(services, context, id, Permission::UsersDelete).await?;
    let source = source(context, services.clock.now());
    services.scaikey.admin().delete_user(&user.scaikey_id).await?;
    let gone = UserStatement {
        id: user.scaikey_id,
        email: None,
        name: None,
        status: Some(Standing::Inactive),
        tenant: None,
        admin_role: None,
    };
    take_in(services, context, &source, gone).await.map(drop)
}

pub async fn set_password(services: &Services, context: &Context, id: &str, password: SecretString) -> Result<()> {
    let user = changeable(services, context, id, Permission::UsersUpdate).await?;
    check_password(&password)?;
    services.scaikey.admin().set_password(&user.scaikey_id, &password).await?;
    note(services, context, &user, "password").await
}

pub async fn resend_invite(services: &Services, context: &Context, id: &str) -> Result<()> {
    let user = changeable(services, context, id, Permission::UsersUpdate).await?;
    services.scaikey.admin().resend_invite(&user.scaikey_id).await?;
    note(services, context, &user, "resend_invite").await
}

/// What leaves no trace in the mirror leaves one in the audit log.
async fn note(services: &Services, context: &Context, user: &UserRow, verb: &str) -> Result<()> {
    let source = source(context, services.clock.now());
    let noted = transaction!({
        let mut intake = Intake::begin(services, &source).await?;
        let subject = (user.id.to_string(), user.email.clone(), Some(user.tenant));
        intake.note("user", verb, subject, (Value::Null, Value::Null));
        intake.commit().await
    });
    Ok(noted?)
}

async fn take_in(services: &Services, context: &Context, source: &Source, said: UserStatement) -> Result<UserRow> {
    let id = said.id.clone();
    let said = [said];
    transaction!({
        let mut intake = Intake::begin(services, source).await?;
        intake.users(&said, &Made::default()).await?;
        intake.commit().await
    })?;
    Ok(user_of(&find(services, context, &id).await?)?.clone())
}

async fn changeable(services: &Services, context: &Context, id: &str, permission: Permission) -> Result<UserRow> {
    let holder = find(services, context, id).await?;
    may(context, permission, holder.home.id)?;
    may_write(&context.caller, &holder, services.clock.now())?;
    Ok(user_of(&holder)?.clone())
}

pub(super) async fn find(services: &Services, context: &Context, id: &str) -> Result<Holder> {
    let absent = Error::NotFound("User");
    let reference: Reference<UserId> = Reference::parse(id).ok_or(absent.clone())?;
    let visible = Visibility::of_lookup(&context.caller);
    within(directory::user(&services.db, &visible, &reference)).await?.ok_or(absent)
}

pub(super) fn user_of(holder: &Holder) -> Result<&UserRow> {
    match &holder.kind {
        HolderKind::User(user) => Ok(user),
        HolderKind::Group(group) => Err(Error::Internal(format!("group {} was found as a user", group.id))),
    }
}

fn check_email(email: &str) -> Result<()> {
    let is_one = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let is_plain =
        email.chars().count() <= EMAIL_CHARACTERS_MAX && !email.chars().any(|c| c.is_control() || c.is_whitespace());
    if is_one && is_plain { Ok(()) } else { Err(Error::schema(&["body", "email"], "must be an e-mail address")) }
}

fn check_names(first: &Option<String>, last: &Option<String>, display: &Option<String>) -> Result<()> {
    check_length("first_name", first.as_ref(), 0, NAME_CHARACTERS_MAX)?;
    check_length("last_name", last.as_ref(), 0, NAME_CHARACTERS_MAX)?;
    check_length("display_name", display.as_ref(), 1, 2 * NAME_CHARACTERS_MAX + 1)
}

/// How good it has to be is ScaiKey's to say.
fn check_password(password: &SecretString) -> Result<()> {
    let length = password.expose_secret().chars().count();
    if (1..=PASSWORD_CHARACTERS_MAX).contains(&length) {
        return Ok(());
    }
    Err(Error::schema(&["body", "password"], format!("must have 1 to {PASSWORD_CHARACTERS_MAX} characters")))
}
