//! `/admin/groups/`: groups of users and of groups. They are ScaiKey's; writes go there, reads are the mirror's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::ids;
use crate::service::Services;
use crate::service::people::PeoplePage;
use crate::service::people::groups::{self, CountedGroup, GroupPatch, NewGroup};
use crate::storage::directory::GroupRow;
use crate::storage::directory::lists::{MemberPlace, MemberRow};

use super::error::ApiError;
use super::extract::{ApiJson, ApiPath, ApiQuery, Authenticated};
use super::paging::{Page, decode_cursor, page_request};
use super::people::{Asked, PeopleQuery, answer, bad_cursor};
use super::users::OfTenant;

#[derive(Serialize, ToSchema)]
pub struct Group {
    #[schema(example = "g_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    #[schema(example = "grp_5f1c2a")]
    pub scaikey_group_id: String,
    #[schema(example = "DNS operators")]
    pub name: String,
    pub description: String,
    /// `SECURITY` or `DISTRIBUTION_LIST`.
    #[schema(example = "SECURITY")]
    pub group_type: String,
    #[schema(example = "active")]
    pub status: String,
    /// Direct ones.
    pub member_count: u64,
    #[schema(example = "t_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub tenant_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    #[schema(min_length = 1, max_length = 255, example = "DNS operators")]
    pub name: String,
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// `SECURITY` (default) or `DISTRIBUTION_LIST`.
    #[serde(default)]
    pub group_type: Option<String>,
    /// Ours or ScaiKey's id; the tenant acted in where it is absent.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateGroup {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    #[serde(default)]
    pub group_type: Option<String>,
    /// `active` or `suspended`.
    #[serde(default)]
    pub status: Option<String>,
}

/// Exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// Ours or ScaiKey's id.
    #[serde(default)]
    #[schema(example = "usr_5f1c2a")]
    pub user_id: Option<String>,
    /// Ours or ScaiKey's id of a group that is to be within this one.
    #[serde(default)]
    pub group_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct GroupMember {
    /// `user` or `group`.
    #[schema(example = "user")]
    pub member_type: &'static str,
    #[schema(example = "u_01jd3v9q4m8k2x7r5w0n6b1c3d")]
    pub id: String,
    /// ScaiKey's.
    #[schema(example = "usr_5f1c2a")]
    pub scaikey_id: String,
    pub name: String,
    /// Of users.
    pub email: Option<String>,
    #[schema(example = "active")]
    pub status: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MembersQuery {
    #[param(minimum = 1, default = 1)]
    page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Groups of the tenant, by name; for the platform's admin those of all tenants.
#[utoipa::path(get, path = "/api/v1/admin/groups/", tag = "groups", params(PeopleQuery, OfTenant),
    responses((status = 200, body = Page<Group>)))]
pub async fn list(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiQuery(query): ApiQuery<PeopleQuery>,
    ApiQuery(OfTenant { tenant_id }): ApiQuery<OfTenant>,
) -> Result<Json<Page<Group>>, ApiError> {
    let Asked { page, after, status, search } = query.check()?;
    let found = groups::list(&services, &context, (status, search, tenant_id), page, after).await?;
    Ok(Json(answer(page, found, |group| (group.row.name.clone(), group.row.id.0), Group::from)))
}

/// Makes a group in ScaiKey.
#[utoipa::path(post, path = "/api/v1/admin/groups/", tag = "groups", request_body = CreateGroup,
    responses((status = 200, body = Group)))]
pub async fn create(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiJson(body): ApiJson<CreateGroup>,
) -> Result<Json<Group>, ApiError> {
    let CreateGroup { name, description, group_type, tenant_id } = body;
    let new = NewGroup { name, description, group_type, tenant: tenant_id };
    Ok(Json(groups::create(&services, &context, new).await?.into()))
}

/// One group, by ours or ScaiKey's id.
#[utoipa::path(get, path = "/api/v1/admin/groups/{group_id}", tag = "groups", params(("group_id" = String, Path)),
    responses((status = 200, body = Group)))]
pub async fn get(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Group>, ApiError> {
    Ok(Json(groups::get(&services, &context, &id).await?.into()))
}

/// Changes a group in ScaiKey that holds nothing that the caller lacks.
#[utoipa::path(patch, path = "/api/v1/admin/groups/{group_id}", tag = "groups", params(("group_id" = String, Path)),
    request_body = UpdateGroup, responses((status = 200, body = Group)))]
pub async fn update(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<UpdateGroup>,
) -> Result<Json<Group>, ApiError> {
    let UpdateGroup { name, description, group_type, status } = body;
    let patch = GroupPatch { name, description, group_type, status };
    Ok(Json(groups::update(&services, &context, &id, patch).await?.into()))
}

/// Deletes a group in ScaiKey, and its memberships.
#[utoipa::path(delete, path = "/api/v1/admin/groups/{group_id}", tag = "groups", params(("group_id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    groups::delete(&services, &context, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The direct members: groups first, then users, each by name.
#[utoipa::path(get, path = "/api/v1/admin/groups/{group_id}/members", tag = "groups",
    params(("group_id" = String, Path), MembersQuery), responses((status = 200, body = Page<GroupMember>)))]
pub async fn members(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(MembersQuery { page, page_size, cursor }): ApiQuery<MembersQuery>,
) -> Result<Json<Page<GroupMember>>, ApiError> {
    let page = page_request(page, page_size)?;
    let after = match decode_cursor::<(String, String, String)>(cursor.as_deref())? {
        Some((member_type, name, id)) if ["group", "user"].contains(&member_type.as_str()) => {
            Some(MemberPlace { member_type, name, id: ids::decode(&id).ok_or_else(bad_cursor)? })
        }
        Some(_) => return Err(bad_cursor().into()),
        None => None,
    };
    let PeoplePage { rows, total, more } = groups::members(&services, &context, &id, page, after).await?;
    let next = rows.last().filter(|_| more).map(MemberRow::place);
    let next = next.map(|MemberPlace { member_type, name, id }| (member_type, name, ids::encode(id)));
    Ok(Json(Page::new(&page, rows.into_iter().map(GroupMember::from).collect(), total, next)))
}

/// Puts a user or a group into the group, in ScaiKey.
#[utoipa::path(post, path = "/api/v1/admin/groups/{group_id}/members", tag = "groups",
    params(("group_id" = String, Path)), request_body = AddMember, responses((status = 200, body = GroupMember)))]
pub async fn add_member(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath(id): ApiPath<String>,
    ApiJson(body): ApiJson<AddMember>,
) -> Result<Json<GroupMember>, ApiError> {
    let AddMember { user_id, group_id } = body;
    Ok(Json(groups::add_member(&services, &context, &id, user_id, group_id).await?.into()))
}

/// Takes a user or a group out of the group, in ScaiKey.
#[utoipa::path(delete, path = "/api/v1/admin/groups/{group_id}/members/{user_id}", tag = "groups",
    params(("group_id" = String, Path), ("user_id" = String, Path)), responses((status = 204)))]
pub async fn remove_member(
    Authenticated(context): Authenticated,
    State(services): State<Arc<Services>>,
    ApiPath((id, member)): ApiPath<(String, String)>,
) -> Result<StatusCode, ApiError> {
    groups::remove_member(&services, &context, &id, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<CountedGroup> for Group {
    fn from(CountedGroup { row, members }: CountedGroup) -> Self {
        let GroupRow {
            id,
            scaikey_id,
            tenant,
            name,
            description,
            group_type,
            status,
            stated_at: _,
            created_at,
            updated_at: _,
        } = row;
        Self {
            id: id.to_string(),
            scaikey_group_id: scaikey_id,
            name,
            description,
            group_type,
            status: status.as_str().to_owned(),
            member_count: members,
            tenant_id: tenant.to_string(),
            created_at,
        }
    }
}

impl From<MemberRow> for GroupMember {
    fn from(member: MemberRow) -> Self {
        match member {
            MemberRow::User(row) => Self {
                member_type: "user",
                id: row.id.to_string(),
                scaikey_id: row.scaikey_id,
                name: row.name,
                email: Some(row.email),
                status: row.status.as_str().to_owned(),
            },
            MemberRow::Group(row) => Self {
                member_type: "group",
                id: row.id.to_string(),
                scaikey_id: row.scaikey_id,
                name: row.name,
                email: None,
                status: row.status.as_str().to_owned(),
            },
        }
    }
}
