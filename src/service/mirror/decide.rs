//! What one statement of ScaiKey does to one row of the mirror. Pure.
//!
//! What is absent stays as it is. A row that has heard of something later is left alone; any other takes the stamp. Of
//! two statements of one moment the one that ends more counts: whoever is deleted or suspended stays so.

use std::collections::HashMap;

use time::OffsetDateTime;

use crate::ids::{GroupId, PartnerId, TenantId, UserId};
use crate::scaikey::{PartnerStatement, TenantStatement, UserGroupStatement, UserStatement};
use crate::storage::directory::{GroupRow, PartnerRow, TenantRow, UserRow, Was, Write};
use crate::tenancy::{AdminRole, Standing};

/// What one statement does to the mirror.
#[derive(Debug)]
pub enum Step<T> {
    Create(T),
    Update {
        before: T,
        after: T,
    },
    /// It says what is known: only the stamp is newer.
    Unchanged(T),
    /// Something later is known.
    Old,
    /// What it belongs to is not in the mirror: ScaiKey's id of that.
    Homeless(String),
}

impl<T> Step<T> {
    /// What there is to write.
    pub fn write(&self) -> Option<Write<'_, T>> {
        match self {
            Self::Create(row) => Some((Was::Absent, row)),
            Self::Update { before, after } => Some((Was::Other(before), after)),
            Self::Unchanged(row) => Some((Was::Same, row)),
            Self::Old | Self::Homeless(_) => None,
        }
    }
}

/// What all rows of the mirror have.
trait Stated: Clone + PartialEq {
    fn stated_at(&self) -> OffsetDateTime;
    fn status(&self) -> Standing;
    fn stamp(&mut self, at: OffsetDateTime);
    fn touch(&mut self, at: OffsetDateTime);
}

macro_rules! stated {
    ($($row:ty),*) => {$(
        impl Stated for $row {
            fn stated_at(&self) -> OffsetDateTime {
                self.stated_at
            }

            fn status(&self) -> Standing {
                self.status
            }

            fn stamp(&mut self, at: OffsetDateTime) {
                self.stated_at = at;
            }

            fn touch(&mut self, at: OffsetDateTime) {
                self.updated_at = at;
            }
        }
    )*};
}
stated!(PartnerRow, TenantRow, UserRow, GroupRow);

/// A row that is known hears of something said at `at`.
fn hear<T: Stated>(before: T, at: OffsetDateTime, change: impl FnOnce(&mut T)) -> Step<T> {
    if before.stated_at() > at {
        return Step::Old;
    }
    let mut after = before.clone();
    change(&mut after);
    settle(before, after, at)
}

fn settle<T: Stated>(before: T, mut after: T, at: OffsetDateTime) -> Step<T> {
    let is_same = after == before;
    after.stamp(before.stated_at().max(at));
    if is_same {
        return Step::Unchanged(after);
    }
    after.touch(at);
    Step::Update { before, after }
}

/// The standing that counts of what is known and what is said of the same or a later moment.
fn standing<T: Stated>(known: &T, said: Option<Standing>, at: OffsetDateTime) -> Standing {
    let Some(said) = said else { return known.status() };
    let rank = |standing| match standing {
        Standing::Active => 0,
        Standing::Suspended => 1,
        Standing::Inactive => 2,
    };
    if known.stated_at() == at && rank(known.status()) > rank(said) { known.status() } else { said }
}

/// A new row that is not said to be otherwise is active.
pub fn decide_partner(known: Option<PartnerRow>, said: &PartnerStatement, at: OffsetDateTime) -> Step<PartnerRow> {
    let PartnerStatement { id, name, slug, status } = said;
    let Some(before) = known else {
        return Step::Create(PartnerRow {
            id: PartnerId::new(),
            scaikey_id: id.clone(),
            name: name.clone().unwrap_or_else(|| id.clone()),
            slug: slug.clone().unwrap_or_default(),
            status: status.unwrap_or(Standing::Active),
            stated_at: at,
            created_at: at,
            updated_at: at,
        });
    };
    hear(before, at, |row| {
        row.status = standing(row, *status, at);
        set(&mut row.name, name);
        set(&mut row.slug, slug);
    })
}

/// A tenant must not be free of a partner that may be suspended, only because we do not know it.
pub fn decide_tenant(
    known: Option<TenantRow>,
    said: &TenantStatement,
    partners: &HashMap<String, PartnerId>,
    at: OffsetDateTime,
) -> Step<TenantRow> {
    let TenantStatement { id, name, slug, status, partner } = said;
    let partner = match lookup(partner, partners) {
        Ok(partner) => partner.map(Some),
        Err(unknown) => return Step::Homeless(unknown),
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
            stated_at: at,
            created_at: at,
            updated_at: at,
        });
    };
    hear(before, at, |row| {
        row.status = standing(row, *status, at);
        set(&mut row.name, name);
        set(&mut row.slug, slug);
        set(&mut row.partner, &partner);
    })
}

/// The admin role has a stamp of its own: tokens speak of it, too.
pub fn decide_user(
    known: Option<UserRow>,
    said: &UserStatement,
    tenants: &HashMap<String, TenantId>,
    at: OffsetDateTime,
) -> Step<UserRow> {
    let UserStatement { id, email, name, status, tenant, admin_role } = said;
    let tenant = match lookup(tenant, tenants) {
        Ok(tenant) => tenant,
        Err(unknown) => return Step::Homeless(unknown),
    };
    let Some(before) = known else {
        let Some(tenant) = tenant else { return Step::Homeless(id.clone()) };
        return Step::Create(UserRow {
            id: UserId::new(),
            scaikey_id: id.clone(),
            tenant,
            email: email.clone().unwrap_or_default(),
            name: name.clone().or_else(|| email.clone()).unwrap_or_else(|| id.clone()),
            status: status.unwrap_or(Standing::Active),
            admin_role: admin_role.unwrap_or(AdminRole::None),
            stated_at: at,
            admin_role_stated_at: admin_role.map_or(OffsetDateTime::UNIX_EPOCH, |_| at),
            created_at: at,
            updated_at: at,
        });
    };
    let mut after = before.clone();
    let is_old = before.stated_at > at;
    if !is_old {
        after.status = standing(&before, *status, at);
        set(&mut after.email, email);
        set(&mut after.name, name);
        set(&mut after.tenant, &tenant);
    }
    let has_role = admin_role.is_some() && before.admin_role_stated_at <= at;
    if has_role {
        set(&mut after.admin_role, admin_role);
    }
    if is_old && after == before {
        return Step::Old;
    }
    match settle(before, after, at) {
        Step::Update { before, after } => Step::Update { before, after: with_role_stamp(after, has_role, at) },
        Step::Unchanged(after) => Step::Unchanged(with_role_stamp(after, has_role, at)),
        other => other,
    }
}

fn with_role_stamp(row: UserRow, has_role: bool, at: OffsetDateTime) -> UserRow {
    let admin_role_stated_at = if has_role { at } else { row.admin_role_stated_at };
    UserRow { admin_role_stated_at, ..row }
}

pub fn decide_group(
    known: Option<GroupRow>,
    said: &UserGroupStatement,
    tenants: &HashMap<String, TenantId>,
    at: OffsetDateTime,
) -> Step<GroupRow> {
    let UserGroupStatement { id, name, description, tenant, group_type, status } = said;
    let tenant = match lookup(tenant, tenants) {
        Ok(tenant) => tenant,
        Err(unknown) => return Step::Homeless(unknown),
    };
    let Some(before) = known else {
        let Some(tenant) = tenant else { return Step::Homeless(id.clone()) };
        return Step::Create(GroupRow {
            id: GroupId::new(),
            scaikey_id: id.clone(),
            tenant,
            name: name.clone().unwrap_or_else(|| id.clone()),
            description: description.clone().unwrap_or_default(),
            group_type: group_type.clone().unwrap_or_else(|| "SECURITY".into()),
            status: status.unwrap_or(Standing::Active),
            stated_at: at,
            created_at: at,
            updated_at: at,
        });
    };
    hear(before, at, |row| {
        row.status = standing(row, *status, at);
        set(&mut row.name, name);
        set(&mut row.description, description);
        set(&mut row.group_type, group_type);
        set(&mut row.tenant, &tenant);
    })
}

/// Ours for the id that was said, if any was.
fn lookup<T: Copy>(said: &Option<String>, known: &HashMap<String, T>) -> Result<Option<T>, String> {
    said.as_ref().map(|id| known.get(id).copied().ok_or_else(|| id.clone())).transpose()
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
        assert!(matches!(decide_user(Some(row), &said, &tenants, began), Step::Old));
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
        assert!(matches!(decide_user(None, &said, &HashMap::new(), OffsetDateTime::UNIX_EPOCH), Step::Homeless(_)));
    }

    #[test]
    fn of_two_statements_of_one_moment_the_one_that_ends_more_counts() {
        let at = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        for (first, second, counts) in [
            (Standing::Inactive, Standing::Active, Standing::Inactive),
            (Standing::Suspended, Standing::Active, Standing::Suspended),
            (Standing::Suspended, Standing::Inactive, Standing::Inactive),
            (Standing::Active, Standing::Suspended, Standing::Suspended),
        ] {
            let (mut row, tenants) = known(at);
            row.status = first;
            let after = match decide_user(Some(row), &statement(None, Some(second)), &tenants, at) {
                Step::Update { after, .. } | Step::Unchanged(after) => after,
                other => panic!("{other:?}"),
            };
            assert_eq!(after.status, counts, "{first:?} and {second:?}");
        }
    }
}
