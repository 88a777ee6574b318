//! Who there is: the seed of partners, tenants, users and groups, with ids that stay the same for ever.
//!
//! | who | e-mail | role | tenant |
//! |---|---|---|---|
//! | [`SUPER_ADMIN`] | `root@northwind.test` | `super_admin` | Northwind |
//! | [`NORTHWIND_ADMIN`] | `alice@northwind.test` | `tenant_admin` | Northwind |
//! | [`NORTHWIND_USER`] | `bob@northwind.test` | `user` | Northwind, in the group *DNS operators* |
//! | [`NORTHWIND_USER_2`] | `carol@northwind.test` | `user` | Northwind, in the group *On call*, itself in *DNS operators* |
//! | [`FABRIKAM_ADMIN`] | `dave@fabrikam.test` | `tenant_admin` | Fabrikam |
//! | [`FABRIKAM_USER`] | `erin@fabrikam.test` | `user` | Fabrikam |
//! | [`PARTNER_ADMIN`] | `frank@fabrikam.test` | `partner_admin` | Fabrikam |

use serde::Serialize;
use serde_json::{Value, json};

pub const PARTNER: &str = "prt_01j2g00000e008000000000001";
pub const NORTHWIND: &str = "tnt_01j2g00000e00800000000000g";
pub const FABRIKAM: &str = "tnt_01j2g00000e008000000000010";
pub const SUPER_ADMIN: &str = "usr_01j2g00000e008000000000080";
pub const NORTHWIND_ADMIN: &str = "usr_01j2g00000e008000000000081";
pub const NORTHWIND_USER: &str = "usr_01j2g00000e008000000000082";
pub const NORTHWIND_USER_2: &str = "usr_01j2g00000e008000000000083";
pub const FABRIKAM_ADMIN: &str = "usr_01j2g00000e0080000000000g1";
pub const FABRIKAM_USER: &str = "usr_01j2g00000e0080000000000g2";
pub const PARTNER_ADMIN: &str = "usr_01j2g00000e0080000000000r0";
pub const OPERATORS: &str = "grp_01j2g00000e008000000000100";
pub const ON_CALL: &str = "grp_01j2g00000e008000000000101";

/// Of everybody in the seed.
pub const PASSWORD: &str = "scaikey-dev";

/// Everybody and everything the small ScaiKey knows.
#[derive(Debug, Clone)]
pub struct Directory {
    pub partners: Vec<Partner>,
    pub tenants: Vec<Tenant>,
    pub users: Vec<User>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Partner {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub status: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub status: String,
    pub partner_id: String,
    pub settings: Value,
}

#[derive(Debug, Clone, Serialize)]
pub struct User {
    pub id: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub display_name: String,
    pub status: String,
    pub tenant_id: String,
    pub role: String,
    /// None: it cannot log in yet.
    #[serde(skip)]
    pub password: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub description: String,
    pub tenant_id: String,
    pub group_type: String,
    pub status: String,
    /// Answered by `/groups/{id}/members` only.
    #[serde(skip)]
    pub members: Vec<Member>,
}

/// A user, or a group within a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Member {
    User { user_id: String, membership_type: String },
    Group { group_id: String },
}

impl Member {
    pub fn user(id: &str) -> Self {
        Self::User { user_id: id.to_owned(), membership_type: "DIRECT".to_owned() }
    }

    pub fn group(id: &str) -> Self {
        Self::Group { group_id: id.to_owned() }
    }
}

impl Directory {
    /// What every stack starts from.
    pub fn seed() -> Self {
        Self {
            partners: vec![Partner {
                id: PARTNER.into(),
                name: "Contoso Partners".into(),
                slug: "contoso".into(),
                status: ACTIVE.into(),
            }],
            tenants: vec![tenant(NORTHWIND, "Northwind", "northwind"), tenant(FABRIKAM, "Fabrikam", "fabrikam")],
            users: vec![
                user(SUPER_ADMIN, "Rita", "Root", "root@northwind.test", NORTHWIND, "super_admin"),
                user(NORTHWIND_ADMIN, "Alice", "Admin", "alice@northwind.test", NORTHWIND, "tenant_admin"),
                user(NORTHWIND_USER, "Bob", "Baker", "bob@northwind.test", NORTHWIND, "user"),
                user(NORTHWIND_USER_2, "Carol", "Cook", "carol@northwind.test", NORTHWIND, "user"),
                user(FABRIKAM_ADMIN, "Dave", "Admin", "dave@fabrikam.test", FABRIKAM, "tenant_admin"),
                user(FABRIKAM_USER, "Erin", "Ellis", "erin@fabrikam.test", FABRIKAM, "user"),
                user(PARTNER_ADMIN, "Frank", "Partner", "frank@fabrikam.test", FABRIKAM, "partner_admin"),
            ],
            groups: vec![
                group(OPERATORS, "DNS operators", vec![Member::user(NORTHWIND_USER), Member::group(ON_CALL)]),
                group(ON_CALL, "On call", vec![Member::user(NORTHWIND_USER_2)]),
            ],
        }
    }

    /// The user with this id or e-mail address.
    pub fn user(&self, id_or_email: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id_or_email || user.email.eq_ignore_ascii_case(id_or_email))
    }

    pub fn tenant(&self, id: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The groups a user is in, by itself or through a group within a group.
    pub fn groups_of(&self, user_id: &str) -> Vec<String> {
        self.around(Member::user(user_id))
    }

    /// The groups that a group is in.
    pub fn groups_above(&self, group_id: &str) -> Vec<String> {
        self.around(Member::group(group_id))
    }

    fn around(&self, member: Member) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut wanted = vec![member];
        while let Some(member) = wanted.pop() {
            for group in self.groups.iter().filter(|group| group.members.contains(&member)) {
                if !found.contains(&group.id) {
                    found.push(group.id.clone());
                    wanted.push(Member::group(&group.id));
                }
            }
        }
        found.sort();
        found
    }
}

pub const ACTIVE: &str = "ACTIVE";
/// What is deleted stays, with this status; lists leave it out.
pub const DELETED: &str = "DELETED";
/// Invited, and has not chosen a password yet.
pub const PENDING: &str = "PENDING";

fn tenant(id: &str, name: &str, slug: &str) -> Tenant {
    Tenant {
        id: id.into(),
        name: name.into(),
        slug: slug.into(),
        status: ACTIVE.into(),
        partner_id: PARTNER.into(),
        settings: json!({}),
    }
}

fn user(id: &str, first: &str, last: &str, email: &str, tenant: &str, role: &str) -> User {
    User {
        id: id.into(),
        email: email.into(),
        first_name: first.into(),
        last_name: last.into(),
        display_name: format!("{first} {last}"),
        status: ACTIVE.into(),
        tenant_id: tenant.into(),
        role: role.into(),
        password: Some(PASSWORD.into()),
    }
}

fn group(id: &str, name: &str, members: Vec<Member>) -> Group {
    Group {
        id: id.into(),
        name: name.into(),
        description: format!("{name} of Northwind"),
        tenant_id: NORTHWIND.into(),
        group_type: "SECURITY".into(),
        status: ACTIVE.into(),
        members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_reaches_through_nested_groups() {
        let directory = Directory::seed();
        assert_eq!(directory.groups_of(NORTHWIND_USER), [OPERATORS]);
        assert_eq!(directory.groups_of(NORTHWIND_USER_2), [OPERATORS, ON_CALL]);
        assert!(directory.groups_of(FABRIKAM_USER).is_empty());
    }
}
