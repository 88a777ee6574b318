//! Reading the audit log: a tenant's own entries, or all for the platform's admin. Nothing here changes one.

use crate::authz::{Permission, Visibility, decide_tenant};
use crate::ids::{AuditId, TenantId, UserId};
use crate::storage;
use crate::storage::audit::AuditEntry;
use crate::storage::audit_log::{self, AuditFilter, COUNT_MAX};
use crate::storage::directory::{self, HolderKind, Reference};

use super::{Context, Error, PageRequest, Result, Services};

/// What is asked of the list; ids in either form.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub tenant: Option<String>,
    /// All but `tenant`, and `actor_id` as it was given.
    pub filter: AuditFilter,
}

/// One page, newest first.
#[derive(Debug)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    pub total: u64,
    /// There are more than `total`.
    pub total_capped: bool,
    /// There is another page behind this one.
    pub more: bool,
}

pub async fn list(
    services: &Services,
    context: &Context,
    query: AuditQuery,
    page: PageRequest,
    after: Option<AuditId>,
) -> Result<AuditPage> {
    decide_tenant(&context.caller, Permission::AuditRead)?;
    let visible = Visibility::of_list(&context.caller);
    let nothing = AuditPage { entries: Vec::new(), total: 0, total_capped: false, more: false };
    let AuditQuery { tenant, mut filter } = query;
    if let Some(text) = tenant {
        match find_tenant(services, &text).await? {
            Some(id) => filter.tenant = Some(id),
            None => return Ok(nothing),
        }
    }
    filter.actor_id = match filter.actor_id {
        Some(text) => Some(actor_id(services, text).await?),
        None => None,
    };
    let offset = if after.is_some() { 0 } else { page.offset() };
    // beyond what is counted there are no pages: only a cursor goes there
    let limit = if offset >= COUNT_MAX { 0 } else { page.page_size + 1 };
    let look = audit_log::list(&services.db, &visible, &filter, after, (offset.min(COUNT_MAX), limit));
    let (mut entries, counted) = storage::within(look).await?;
    let more = entries.len() > page.page_size as usize;
    entries.truncate(page.page_size as usize);
    Ok(AuditPage { entries, total: counted.min(COUNT_MAX), total_capped: counted > COUNT_MAX, more })
}

pub async fn get(services: &Services, context: &Context, id: AuditId) -> Result<AuditEntry> {
    decide_tenant(&context.caller, Permission::AuditRead)?;
    let visible = Visibility::of_lookup(&context.caller);
    let found = storage::within(audit_log::find(&services.db, &visible, id)).await?;
    found.ok_or(Error::NotFound("Audit entry"))
}

async fn find_tenant(services: &Services, text: &str) -> Result<Option<TenantId>> {
    match Reference::parse(text) {
        None => Ok(None),
        Some(Reference::Ours(id)) => Ok(Some(id)),
        Some(reference) => {
            let tenant = storage::within(directory::tenant(&services.db, &reference)).await?;
            Ok(tenant.map(|tenant| tenant.id))
        }
    }
}

/// Entries name users by ScaiKey's id; ours is taken, too.
async fn actor_id(services: &Services, text: String) -> Result<String> {
    let Ok(id) = text.parse::<UserId>() else { return Ok(text) };
    let everywhere = Visibility::system();
    let found = storage::within(directory::user(&services.db, &everywhere, &Reference::Ours(id))).await?;
    Ok(match found.map(|holder| holder.kind) {
        Some(HolderKind::User(user)) => user.scaikey_id,
        Some(HolderKind::Group(_)) | None => text,
    })
}
