//! The admin API's write side. Whatever is written is told to who subscribed to webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::State;
use super::admin::value;
use super::directory::{ACTIVE, DELETED, Directory, Group, Member, PENDING, Partner, Tenant, User};
use super::webhooks::Happening;
use crate::dev::http::Refusal;
use crate::ids;

/// Shorter passwords are refused.
const PASSWORD_CHARACTERS_MIN: usize = 8;

/// Every field of every kind; each kind takes its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    display_name: Option<String>,
    password: Option<String>,
    tenant_id: Option<String>,
    partner_id: Option<String>,
    role: Option<String>,
    name: Option<String>,
    slug: Option<String>,
    description: Option<String>,
    group_type: Option<String>,
    status: Option<String>,
    settings: Option<Value>,
}

/// What is answered, and what is told of it.
struct Done {
    value: Value,
    event: String,
    resource: (&'static str, String),
    tenant: Option<String>,
}

type Outcome = Result<Done, Refusal>;

pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Path(collection): Path<String>,
    Json(written): Json<Written>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let done = {
        let directory = &mut *state.directory();
        match collection.as_str() {
            "users" => create_user(directory, written, ACTIVE),
            "groups" => create_group(directory, written),
            "tenants" => create_tenant(directory, written),
            "partners" => create_partner(directory, written),
            _ => Err(Refusal(StatusCode::NOT_FOUND, "Not Found".into())),
        }?
    };
    Ok((StatusCode::CREATED, Json(state.tell(done))))
}

pub(super) async fn invite(
    Shared(state): Shared<Arc<State>>,
    Json(written): Json<Written>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let done = create_user(&mut state.directory(), Written { password: None, ..written }, PENDING)?;
    Ok((StatusCode::CREATED, Json(state.tell(done))))
}

pub(super) async fn resend_invite(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let directory = state.directory();
    let user = directory.users.iter().find(|user| user.id == id).ok_or_else(|| Refusal::not_found(&id))?;
    match user.status.as_str() {
        PENDING => Ok(Json(value(user))),
        _ => Err(Refusal(StatusCode::CONFLICT, "the user has no open invitation".into())),
    }
}

/// Who was invited can log in from now on.
pub(super) async fn set_password(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Json(Written { password, .. }): Json<Written>,
) -> Result<Json<Value>, Refusal> {
    let password = good_password(password)?.ok_or_else(|| Refusal::invalid("password is required"))?;
    let was_invited = {
        let mut directory = state.directory();
        let user = user_mut(&mut directory, &id)?;
        user.password = Some(password);
        let was_invited = user.status == PENDING;
        if was_invited {
            user.status = ACTIVE.into();
        }
        was_invited.then(|| user_done(user, "user.activated"))
    };
    if let Some(done) = was_invited {
        state.tell(done);
    }
    Ok(Json(json!({"message": "password set"})))
}

pub(super) async fn update(
    Shared(state): Shared<Arc<State>>,
    Path((collection, id)): Path<(String, String)>,
    Json(written): Json<Written>,
) -> Result<Json<Value>, Refusal> {
    let status = written.status.as_deref();
    if status.is_some_and(|status| ![ACTIVE, "SUSPENDED"].contains(&status)) {
        return Err(Refusal::invalid("status must be ACTIVE or SUSPENDED"));
    }
    let done = {
        let directory = &mut *state.directory();
        match collection.as_str() {
            "users" => update_user(directory, &id, written),
            "groups" => update_group(directory, &id, written),
            "tenants" => update_tenant(directory, &id, written),
            "partners" => update_partner(directory, &id, written),
            _ => Err(Refusal(StatusCode::NOT_FOUND, "Not Found".into())),
        }?
    };
    Ok(Json(state.tell(done)))
}

/// Soft: what is deleted keeps its row and its id.
pub(super) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Path((collection, id)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let done = {
        let directory = &mut *state.directory();
        match collection.as_str() {
            "users" => {
                let user = user_mut(directory, &id)?;
                user.status = DELETED.into();
                user_done(user, "user.deleted")
            }
            "groups" => {
                let group = group_mut(directory, &id)?;
                group.status = DELETED.into();
                group.members.clear();
                let done = group_done(group, "group.deleted");
                directory.groups.iter_mut().for_each(|group| group.members.retain(|m| *m != Member::group(&id)));
                done
            }
            "tenants" => {
                let tenant = find_mut(&mut directory.tenants, &id, |tenant| &tenant.id)?;
                tenant.status = DELETED.into();
                tenant_done(tenant, "tenant.deleted")
            }
            "partners" => {
                let partner = find_mut(&mut directory.partners, &id, |partner| &partner.id)?;
                partner.status = DELETED.into();
                partner_done(partner, "partner.deleted")
            }
            _ => return Err(Refusal(StatusCode::NOT_FOUND, "Not Found".into())),
        }
    };
    state.tell(done);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewMember {
    user_id: Option<String>,
    group_id: Option<String>,
}

pub(super) async fn add_member(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Json(NewMember { user_id, group_id }): Json<NewMember>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (member, tenant) = {
        let mut directory = state.directory();
        let (member, tenant) = match (user_id, group_id) {
            (Some(user), None) => (Member::user(&user), user_mut(&mut directory, &user)?.tenant_id.clone()),
            (None, Some(group)) => (Member::group(&group), group_mut(&mut directory, &group)?.tenant_id.clone()),
            _ => return Err(Refusal::invalid("user_id or group_id is required")),
        };
        if let Member::Group { group_id } = &member
            && (*group_id == id || directory.groups_above(&id).contains(group_id))
        {
            return Err(Refusal(StatusCode::CONFLICT, "a group cannot be in itself".into()));
        }
        let group = group_mut(&mut directory, &id)?;
        if group.tenant_id != tenant {
            return Err(Refusal::not_found("member"));
        }
        if group.members.contains(&member) {
            return Err(Refusal(StatusCode::CONFLICT, "already a member".into()));
        }
        group.members.push(member.clone());
        (member, tenant)
    };
    state.tell_of_member("group.member_added", &id, &member, &tenant);
    Ok((StatusCode::CREATED, Json(value(&member))))
}

pub(super) async fn remove_member(
    Shared(state): Shared<Arc<State>>,
    Path((id, member)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let member = if member.starts_with("grp_") { Member::group(&member) } else { Member::user(&member) };
    let tenant = {
        let mut directory = state.directory();
        let group = group_mut(&mut directory, &id)?;
        let before = group.members.len();
        group.members.retain(|known| *known != member);
        if group.members.len() == before {
            return Err(Refusal::not_found("member"));
        }
        group.tenant_id.clone()
    };
    state.tell_of_member("group.member_removed", &id, &member, &tenant);
    Ok(StatusCode::NO_CONTENT)
}

impl State {
    fn tell(self: &Arc<Self>, Done { value, event, resource: (kind, id), tenant }: Done) -> Value {
        let partner = tenant.as_ref().and_then(|id| Some(self.directory().tenant(id)?.partner_id.clone()));
        self.happened(Happening {
            event_type: &event,
            resource: (kind, &id),
            tenant: tenant.as_deref(),
            partner: partner.as_deref(),
            data: value.clone(),
        });
        value
    }

    fn tell_of_member(self: &Arc<Self>, event_type: &str, group: &str, member: &Member, tenant: &str) {
        let data = match member {
            Member::User { user_id, membership_type } => {
                json!({"group_id": group, "user_id": user_id, "membership_type": membership_type})
            }
            Member::Group { group_id } => json!({"group_id": group, "member_group_id": group_id}),
        };
        let (resource, tenant) = (("group", group), Some(tenant));
        self.happened(Happening { event_type, resource, tenant, partner: None, data });
    }
}

fn create_user(directory: &mut Directory, written: Written, status: &str) -> Outcome {
    let Written { email, first_name, last_name, display_name, password, tenant_id, role, .. } = written;
    let email = email.filter(|email| email.contains('@')).ok_or_else(|| Refusal::invalid("email is required"))?;
    let tenant_id = tenant_id.ok_or_else(|| Refusal::invalid("tenant_id is required"))?;
    directory.tenant(&tenant_id).ok_or_else(|| Refusal::not_found(&tenant_id))?;
    if directory.users.iter().any(|user| user.email.eq_ignore_ascii_case(&email) && user.status != DELETED) {
        return Err(Refusal(StatusCode::CONFLICT, format!("{email} is taken")));
    }
    let (first_name, last_name) = (first_name.unwrap_or_default(), last_name.unwrap_or_default());
    let full = format!("{first_name} {last_name}");
    let user = User {
        id: new_id("usr"),
        display_name: display_name.unwrap_or_else(|| full.trim().to_owned()),
        email,
        first_name,
        last_name,
        status: status.to_owned(),
        tenant_id,
        role: role.unwrap_or_else(|| "user".into()),
        password: good_password(password)?,
    };
    let done = user_done(&user, "user.created");
    directory.users.push(user);
    Ok(done)
}

fn update_user(directory: &mut Directory, id: &str, written: Written) -> Outcome {
    let Written { email, first_name, last_name, display_name, role, status, .. } = written;
    let is_taken =
        |user: &User| email.as_ref().is_some_and(|email| user.email.eq_ignore_ascii_case(email)) && user.id != id;
    if directory.users.iter().any(|user| is_taken(user) && user.status != DELETED) {
        return Err(Refusal(StatusCode::CONFLICT, "this address is taken".into()));
    }
    let user = user_mut(directory, id)?;
    let event = match status.as_deref().filter(|status| *status != user.status) {
        Some("SUSPENDED") => "user.suspended",
        Some(_) => "user.activated",
        None => "user.updated",
    };
    set(&mut user.email, email);
    set(&mut user.first_name, first_name);
    set(&mut user.last_name, last_name);
    set(&mut user.display_name, display_name);
    set(&mut user.role, role);
    set(&mut user.status, status);
    Ok(user_done(user, event))
}

fn create_group(directory: &mut Directory, written: Written) -> Outcome {
    let Written { name, description, group_type, tenant_id, .. } = written;
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| Refusal::invalid("name is required"))?;
    let tenant_id = tenant_id.ok_or_else(|| Refusal::invalid("tenant_id is required"))?;
    directory.tenant(&tenant_id).ok_or_else(|| Refusal::not_found(&tenant_id))?;
    let is_same = |group: &Group| group.tenant_id == tenant_id && group.name == name && group.status != DELETED;
    if directory.groups.iter().any(is_same) {
        return Err(Refusal(StatusCode::CONFLICT, format!("{name} is taken")));
    }
    let group = Group {
        id: new_id("grp"),
        name,
        description: description.unwrap_or_default(),
        tenant_id,
        group_type: group_type.unwrap_or_else(|| "SECURITY".into()),
        status: ACTIVE.into(),
        members: Vec::new(),
    };
    let done = group_done(&group, "group.created");
    directory.groups.push(group);
    Ok(done)
}

fn update_group(directory: &mut Directory, id: &str, written: Written) -> Outcome {
    let Written { name, description, group_type, status, .. } = written;
    let group = group_mut(directory, id)?;
    set(&mut group.name, name);
    set(&mut group.description, description);
    set(&mut group.group_type, group_type);
    set(&mut group.status, status);
    Ok(group_done(group, "group.updated"))
}

fn create_tenant(directory: &mut Directory, written: Written) -> Outcome {
    let Written { name, slug, partner_id, settings, .. } = written;
    let (name, slug) = name.zip(slug).ok_or_else(|| Refusal::invalid("name and slug are required"))?;
    let partner_id = partner_id.ok_or_else(|| Refusal::invalid("partner_id is required"))?;
    if directory.tenants.iter().any(|tenant| tenant.slug == slug) {
        return Err(Refusal(StatusCode::CONFLICT, format!("{slug} is taken")));
    }
    let settings = settings.unwrap_or_else(|| json!({}));
    let tenant = Tenant { id: new_id("tnt"), name, slug, status: ACTIVE.into(), partner_id, settings };
    let done = tenant_done(&tenant, "tenant.created");
    directory.tenants.push(tenant);
    Ok(done)
}

fn update_tenant(directory: &mut Directory, id: &str, written: Written) -> Outcome {
    let Written { name, slug, status, settings, .. } = written;
    let tenant = find_mut(&mut directory.tenants, id, |tenant| &tenant.id)?;
    set(&mut tenant.name, name);
    set(&mut tenant.slug, slug);
    set(&mut tenant.status, status);
    set(&mut tenant.settings, settings);
    Ok(tenant_done(tenant, "tenant.updated"))
}

fn create_partner(directory: &mut Directory, Written { name, slug, .. }: Written) -> Outcome {
    let (name, slug) = name.zip(slug).ok_or_else(|| Refusal::invalid("name and slug are required"))?;
    let partner = Partner { id: new_id("prt"), name, slug, status: ACTIVE.into() };
    let done = partner_done(&partner, "partner.created");
    directory.partners.push(partner);
    Ok(done)
}

fn update_partner(directory: &mut Directory, id: &str, Written { name, slug, status, .. }: Written) -> Outcome {
    let partner = find_mut(&mut directory.partners, id, |partner| &partner.id)?;
    set(&mut partner.name, name);
    set(&mut partner.slug, slug);
    set(&mut partner.status, status);
    Ok(partner_done(partner, "partner.updated"))
}

fn user_done(user: &User, event: &str) -> Done {
    let tenant = Some(user.tenant_id.clone());
    Done { value: value(user), event: event.into(), resource: ("user", user.id.clone()), tenant }
}

fn group_done(group: &Group, event: &str) -> Done {
    let tenant = Some(group.tenant_id.clone());
    Done { value: value(group), event: event.into(), resource: ("group", group.id.clone()), tenant }
}

fn tenant_done(tenant: &Tenant, event: &str) -> Done {
    let id = tenant.id.clone();
    Done { value: value(tenant), event: event.into(), resource: ("tenant", id.clone()), tenant: Some(id) }
}

fn partner_done(partner: &Partner, event: &str) -> Done {
    Done { value: value(partner), event: event.into(), resource: ("partner", partner.id.clone()), tenant: None }
}

fn user_mut<'a>(directory: &'a mut Directory, id: &str) -> Result<&'a mut User, Refusal> {
    find_mut(&mut directory.users, id, |user| &user.id)
}

fn group_mut<'a>(directory: &'a mut Directory, id: &str) -> Result<&'a mut Group, Refusal> {
    find_mut(&mut directory.groups, id, |group| &group.id)
}

fn find_mut<'a, T>(all: &'a mut [T], id: &str, id_of: impl Fn(&T) -> &String) -> Result<&'a mut T, Refusal> {
    all.iter_mut().find(|one| id_of(one) == id).ok_or_else(|| Refusal::not_found(id))
}

fn set<T>(field: &mut T, written: Option<T>) {
    if let Some(value) = written {
        *field = value;
    }
}

fn good_password(password: Option<String>) -> Result<Option<String>, Refusal> {
    match password {
        Some(text) if text.chars().count() < PASSWORD_CHARACTERS_MIN => {
            Err(Refusal::invalid(format!("password must have at least {PASSWORD_CHARACTERS_MIN} characters")))
        }
        other => Ok(other),
    }
}

fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", ids::encode(Uuid::now_v7()))
}
