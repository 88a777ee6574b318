//! What one statement of ScaiKey does to one row of the mirror. Pure.
//!
//! What is absent stays as it is. A row that has heard of something later is left alone; any other takes the stamp.

use std::collections::HashMap;

use time::OffsetDateTime;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::scaikey::{PartnerStatement, TenantStatement, UserGroupStatement, UserStatement};
use crate::storage::directory::{GroupRow, PartnerRow, TenantRow, UserRow};
use crate::tenancy::{AdminRole, Standing};

/// What one statement does to the mirror.
pub enum Step<T> {
    Create(T),
    Update {
        before: T,
        after: T,
    },
    /// It says what is known: only the stamp is newer.
    Unchanged(T),
    Skip,
}

/// What is absent stays; a new row that is not said to be otherwise is active.
pub fn decide_partner(known: Option<PartnerRow>, said: &PartnerStatement, began: OffsetDateTime) -> Step<PartnerRow> {
    let PartnerStatement { id, name, slug, status } = said;
    let Some(before) = known else {
        return Step::Create(PartnerRow {
            id: PartnerId::new(),
            scaikey_id: id.clone(),
            name: name.clone().unwrap_or_else(|| id.clone()),
            slug: slug.clone().unwrap_or_default(),
            status: status.unwrap_or(Standing::Active),
            stated_at: began,
            created_at: began,
            updated_at: began,
        });
    };
    if before.stated_at > began {
        return Step::Skip;
    }
    let mut after = before.clone();
    set(&mut after.name, name);
    set(&mut after.slug, slug);
    set(&mut after.status, status);
    let is_same = after == before;
    after.stated_at = began;
    if is_same {
        return Step::Unchanged(after);
    }
    after.updated_at = began;
    Step::Update { before, after }
}

pub fn decide_tenant(
    known: Option<TenantRow>,
    said: &TenantStatement,
    partners: &HashMap<String, PartnerId>,
    began: OffsetDateTime,
) -> Step<TenantRow> {
    let TenantStatement { id, name, slug, status, partner } = said;
    let partner = match partner {
        None => None,
        Some(partner) => match partners.get(partner) {
            Some(id) => Some(Some(*id)),
            // a tenant must not be free of a partner that may be suspended, only because we do not know it
            None => return Step::Skip,
        },
    };
    let Some(before) = known else {
        return Step::Create(TenantRow {
            id: TenantId::new(),
            scaikey_id: id.clone(),
            partner: partner.flatten(),
            name: name.clone().unwrap_or_else(|| id.clone()),
            slug: slug.clone().unwrap_or_default(),
            status: status.unwrap_or(Standing::Active),
            partner_status: None,
            settings: "{}".into(),
            stated_at: began,
            created_at: began,
            updated_at: began,
        });
    };
    if before.stated_at > began {
        return Step::Skip;
    }
    let mut after = before.clone();
    set(&mut after.name, name);
    set(&mut after.slug, slug);
    set(&mut after.status, status);
    set(&mut after.partner, &partner);
    let is_same = after == before;
    after.stated_at = began;
    if is_same {
        return Step::Unchanged(after);
    }
    after.updated_at = began;
    Step::Update { before, after }
}

pub fn decide_user(
    known: Option<UserRow>,
    said: &UserStatement,
    tenants: &HashMap<String, TenantId>,
    began: OffsetDateTime,
) -> Step<UserRow> {
    let UserStatement { id, email, name, status, tenant, admin_role } = said;
    let tenant = match tenant {
        None => None,
        Some(tenant) => match tenants.get(tenant) {
            Some(id) => Some(*id),
            None => return Step::Skip,
        },
    };
    let Some(before) = known else {
        let Some(tenant) = tenant else { return Step::Skip };
        return Step::Create(UserRow {
            id: UserId::new(),
            scaikey_id: id.clone(),
            tenant,
            email: email.clone().unwrap_or_default(),
            name: name.clone().or_else(|| email.clone()).unwrap_or_else(|| id.clone()),
            status: status.unwrap_or(Standing::Active),
            admin_role: admin_role.unwrap_or(AdminRole::None),
            stated_at: began,
            admin_role_stated_at: admin_role.map_or(OffsetDateTime::UNIX_EPOCH, |_| began),
            created_at: began,
            updated_at: began,
        });
    };
    let mut after = before.clone();
    if before.stated_at <= began {
        set(&mut after.email, email);
        set(&mut after.name, name);
        set(&mut after.status, status);
        set(&mut after.tenant, &tenant);
    }
    if before.admin_role_stated_at <= began {
        set(&mut after.admin_role, admin_role);
    }
    let is_same = after == before;
    after.stated_at = before.stated_at.max(began);
    if admin_role.is_some() {
        after.admin_role_stated_at = before.admin_role_stated_at.max(began);
    }
    if is_same {
        return if before.stated_at > began { Step::Skip } else { Step::Unchanged(after) };
    }
    after.updated_at = began;
    Step::Update { before, after }
}

pub fn decide_group(
    known: Option<GroupRow>,
    said: &UserGroupStatement,
    tenants: &HashMap<String, TenantId>,
    began: OffsetDateTime,
) -> Step<GroupRow> {
    let UserGroupStatement { id, name, description, tenant, group_type, status } = said;
    let tenant = match tenant {
        None => None,
        Some(tenant) => match tenants.get(tenant) {
            Some(id) => Some(*id),
            None => return Step::Skip,
        },
    };
    let Some(before) = known else {
        let Some(tenant) = tenant else { return Step::Skip };
        return Step::Create(GroupRow {
            id: GroupId::new(),
            scaikey_id: id.clone(),
            tenant,
            name: name.clone().unwrap_or_else(|| id.clone()),
            description: description.clone().unwrap_or_default(),
            group_type: group_type.clone().unwrap_or_else(|| "SECURITY".into()),
            status: status.unwrap_or(Standing::Active),
            stated_at: began,
            created_at: began,
            updated_at: began,
        });
    };
    if before.stated_at > began {
        return Step::Skip;
    }
    let mut after = before.clone();
    set(&mut after.name, name);
    set(&mut after.description, description);
    set(&mut after.group_type, group_type);
    set(&mut after.status, status);
    set(&mut after.tenant, &tenant);
    let is_same = after == before;
    after.stated_at = began;
    if is_same {
        return Step::Unchanged(after);
    }
    after.updated_at = began;
    Step::Update { before, after }
}

fn set<T: Clone>(field: &mut T, said: &Option<T>) {
    if let Some(value) = said {
        *field = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn statement(role: Option<AdminRole>, status: Option<Standing>) -> UserStatement {
        UserStatement {
            id: "usr_1".into(),
            email: None,
            name: None,
            status,
            tenant: Some("tnt_1".into()),
            admin_role: role,
        }
    }

    fn known(stated_at: OffsetDateTime) -> (UserRow, HashMap<String, TenantId>) {
        let tenant = TenantId::new();
        let row = UserRow {
            id: UserId::new(),
            scaikey_id: "usr_1".into(),
            tenant,
            email: "a@example.org".into(),
            name: "A".into(),
            status: Standing::Active,
            admin_role: AdminRole::TenantAdmin,
            stated_at,
            admin_role_stated_at: stated_at,
            created_at: stated_at,
            updated_at: stated_at,
        };
        (row, HashMap::from([("tnt_1".to_owned(), tenant)]))
    }

    #[test]
    fn an_absent_field_blanks_nothing_and_the_row_takes_the_stamp() {
        let began = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        let (row, tenants) = known(OffsetDateTime::UNIX_EPOCH);
        let Step::Unchanged(after) = decide_user(Some(row.clone()), &statement(None, None), &tenants, began) else {
            panic!("nothing changed");
        };
        assert_eq!((after.email, after.stated_at), (row.email, began));
        assert_eq!(after.admin_role_stated_at, row.admin_role_stated_at, "nothing was said of the role");
    }

    #[test]
    fn a_row_that_has_heard_of_something_later_is_left_alone() {
        let began = OffsetDateTime::UNIX_EPOCH;
        let (row, tenants) = known(began + Duration::seconds(1));
        let said = statement(Some(AdminRole::SuperAdmin), Some(Standing::Suspended));
        assert!(matches!(decide_user(Some(row), &said, &tenants, began), Step::Skip));
    }

    #[test]
    fn a_role_that_a_later_token_stated_outlives_the_pull() {
        let began = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        let (mut row, tenants) = known(OffsetDateTime::UNIX_EPOCH);
        row.admin_role_stated_at = began + Duration::seconds(1);
        let said = statement(Some(AdminRole::None), Some(Standing::Suspended));
        let Step::Update { after, .. } = decide_user(Some(row), &said, &tenants, began) else {
            panic!("the standing changed");
        };
        assert_eq!((after.status, after.admin_role), (Standing::Suspended, AdminRole::TenantAdmin));
        assert_eq!(after.admin_role_stated_at, began + Duration::seconds(1));
    }

    #[test]
    fn a_user_of_an_unknown_tenant_is_left_out() {
        let said = statement(None, None);
        assert!(matches!(decide_user(None, &said, &HashMap::new(), OffsetDateTime::UNIX_EPOCH), Step::Skip));
    }
}
