//! Users, groups, tenants and partners for those who administer them. Identities are ScaiKey's: what is written is
//! written there, and what it answers is taken into the mirror at once; what is read is the mirror's.

pub mod groups;
pub mod tenants;
pub mod users;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authz::{Permission, Target, Visibility, decide};
use crate::ids::TenantId;
use crate::scaikey::WriteError;
use crate::storage::directory::lists::Part;
use crate::storage::directory::{self, Reference, TenantRow};
use crate::storage::within;

use super::mirror::Source;
use super::{ActorRecord, Context, Error, PageRequest, Result, Services};

/// One page.
pub struct PeoplePage<T> {
    pub rows: Vec<T>,
    pub total: u64,
    /// There is another page behind this one.
    pub more: bool,
}

/// Where a list goes on: behind this name and id.
pub type After = Option<(String, Uuid)>;

/// One row more than is shown, to know whether there is another page.
fn part(page: PageRequest, after: After) -> Part {
    let offset = if after.is_some() { 0 } else { page.offset() };
    Part { after, offset, limit: page.page_size + 1 }
}

fn paged<T>((mut rows, total): (Vec<T>, u64), page: PageRequest) -> PeoplePage<T> {
    let more = rows.len() > page.page_size as usize;
    rows.truncate(page.page_size as usize);
    PeoplePage { rows, total, more }
}

/// What is found is changed only by who may in its tenant.
fn may(context: &Context, permission: Permission, tenant: TenantId) -> Result<()> {
    Ok(decide(&context.caller, permission, Target::Tenant(tenant))?)
}

/// The tenant that is meant: the one named, if the caller sees it, else the one acted in.
async fn tenant_meant(services: &Services, context: &Context, named: Option<&str>) -> Result<TenantRow> {
    let absent = Error::NotFound("Tenant");
    let reference = match named {
        Some(text) => Reference::parse(text).ok_or(absent.clone())?,
        None => Reference::Ours(context.caller.tenant),
    };
    let visible = Visibility::of_lookup(&context.caller);
    let found = within(directory::tenant(&services.db, &reference)).await?;
    found.filter(|tenant| visible.tenant().is_none_or(|id| id == tenant.id)).ok_or(absent)
}

/// In the caller's name, as of before ScaiKey was asked: whatever it tells later is newer.
fn source(context: &Context, asked_at: OffsetDateTime) -> Source {
    Source { actor: ActorRecord::from(&context.caller.actor), request: context.request.clone(), at: asked_at }
}

/// Fields that are there.
fn fields<const N: usize>(all: [(&str, Option<String>); N]) -> Map<String, Value> {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))).collect()
}

fn check_length(field: &str, text: Option<&String>, least: usize, most: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let length = text.chars().count();
    if length < least || length > most || text.chars().any(char::is_control) {
        let message = format!("must have {least} to {most} characters, none of them a control character");
        return Err(Error::schema(&["body", field], message));
    }
    Ok(())
}

/// `active` or `suspended`, as ScaiKey writes it.
fn scaikey_status(status: Option<&str>) -> Result<Option<String>> {
    match status {
        None => Ok(None),
        Some("active") => Ok(Some("ACTIVE".into())),
        Some("suspended") => Ok(Some("SUSPENDED".into())),
        Some(_) => Err(Error::invalid("status", "must be active or suspended")),
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused { status: 404, .. } => Self::NotFound("Object"),
            WriteError::Refused { status: 409, detail } => Self::conflict("scaikey_conflict", detail),
            WriteError::Refused { status: 400 | 422, detail } => {
                Self::Invalid { message: detail, field: None, code: "scaikey_refused" }
            }
            WriteError::Refused { status: 429, .. } => Self::unavailable("ScaiKey is asked too often"),
            WriteError::Refused { status, detail } => {
                tracing::warn!(status, detail, "ScaiKey does not let this program write");
                Self::Upstream("ScaiKey refuses to be written to".into())
            }
            WriteError::ScaiKey(error) => error.into(),
        }
    }
}
