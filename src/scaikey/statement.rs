//! What ScaiKey says of its partners, tenants, users, groups and members: in lists, in answers to writes and in webhooks
//! alike. Read tolerantly: an absent field is unknown, not empty; unknown fields are ignored.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::tenancy::{AdminRole, Standing};

use super::token::is_scaikey_id;

/// What ScaiKey says of a partner.
#[derive(Clone, Debug)]
pub struct PartnerStatement {
    pub id: String,
    pub name: Option<String>,
    pub slug: Option<String>,
    pub status: Option<Standing>,
}

/// What ScaiKey says of a tenant.
#[derive(Clone, Debug)]
pub struct TenantStatement {
    pub id: String,
    pub name: Option<String>,
    pub slug: Option<String>,
    pub status: Option<Standing>,
    /// `prt_…`
    pub partner: Option<String>,
}

/// What ScaiKey says of a user.
#[derive(Clone, Debug)]
pub struct UserStatement {
    pub id: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub status: Option<Standing>,
    /// `tnt_…`
    pub tenant: Option<String>,
    pub admin_role: Option<AdminRole>,
}

/// What ScaiKey says of a group.
#[derive(Clone, Debug)]
pub struct UserGroupStatement {
    pub id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    /// `tnt_…`
    pub tenant: Option<String>,
    pub group_type: Option<String>,
    pub status: Option<Standing>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// `usr_…`
    User(String),
    /// `grp_…`, nested
    Group(String),
}

/// An entry of a list; every field may be absent.
pub(super) trait Statement: Sized {
    /// None: without a usable id.
    fn from_wire(wire: &Wire) -> Option<Self>;
    fn id(&self) -> &str;
}

/// All that is read of any entry. Values of an unexpected kind count as absent.
#[derive(Default, Deserialize)]
pub(super) struct Wire(pub Map<String, Value>);

impl Wire {
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Something to show: trimmed, without control characters, cut to what the mirror holds.
    pub fn label(&self, name: &str, characters: usize) -> Option<String> {
        let text: String = self.text(name)?.chars().filter(|c| !c.is_control()).collect();
        Some(text.trim().chars().take(characters).collect::<String>()).filter(|text| !text.is_empty())
    }

    pub fn id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| is_scaikey_id(id))
    }

    /// `{name}_id`, or nested `{name: {id}}`.
    pub fn reference(&self, name: &str) -> Option<String> {
        let nested = || self.0.get(name)?.get("id")?.as_str().map(str::to_owned).filter(|id| is_scaikey_id(id));
        self.id(&format!("{name}_id")).or_else(nested)
    }

    pub fn status(&self) -> Option<Standing> {
        self.text("status").map(|text| Standing::parse(&text))
    }

    /// `role` or `roles`; names, or objects with a `name`.
    pub fn admin_role(&self) -> Option<AdminRole> {
        let values = [self.0.get("role"), self.0.get("roles")].into_iter().flatten().filter(|value| !value.is_null());
        let mut stated = false;
        let mut names = Vec::new();
        for value in values {
            stated = true;
            let each = value.as_array().map_or_else(|| vec![value], |list| list.iter().collect());
            names.extend(each.into_iter().filter_map(|v| v.as_str().or_else(|| v.get("name")?.as_str())));
        }
        stated.then(|| AdminRole::strongest(names))
    }
}

impl Statement for PartnerStatement {
    fn from_wire(wire: &Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            slug: wire.label("slug", 255),
            status: wire.status(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Statement for TenantStatement {
    fn from_wire(wire: &Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            slug: wire.label("slug", 255),
            status: wire.status(),
            partner: wire.reference("partner"),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Statement for UserStatement {
    fn from_wire(wire: &Wire) -> Option<Self> {
        let full_name = || {
            let parts = [wire.label("first_name", 127), wire.label("last_name", 127)];
            Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
        };
        Some(Self {
            id: wire.id("id")?,
            email: wire.label("email", 320),
            name: wire.label("display_name", 255).or_else(full_name).or_else(|| wire.label("name", 255)),
            status: wire.status(),
            tenant: wire.reference("tenant"),
            admin_role: wire.admin_role(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Statement for UserGroupStatement {
    fn from_wire(wire: &Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            description: wire.label("description", 2_000),
            tenant: wire.reference("tenant"),
            group_type: wire.id("group_type").map(|text| text.chars().take(32).collect()),
            status: wire.status(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Statement for Member {
    /// `{user_id}`, nested `{group_id}`, or `{id}`, which its prefix tells apart.
    fn from_wire(wire: &Wire) -> Option<Self> {
        if let Some(user) = wire.reference("user") {
            return Some(Self::User(user));
        }
        if let Some(group) = wire.reference("group") {
            return Some(Self::Group(group));
        }
        wire.id("id").map(|id| if id.starts_with("grp_") { Self::Group(id) } else { Self::User(id) })
    }

    fn id(&self) -> &str {
        let (Self::User(id) | Self::Group(id)) = self;
        id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_field_is_unknown_and_an_odd_one_is_absent() {
        let wire: Result<Wire, _> =
            serde_json::from_value(json!({"id": "usr_1", "status": "SUSPENDED", "email": 7, "more": {}}));
        let user = UserStatement::from_wire(&wire.expect("an object")).expect("a user");
        assert_eq!(user.status, Some(Standing::Suspended));
        assert_eq!((user.email, user.name, user.admin_role, user.tenant), (None, None, None, None));
        let wire: Wire = serde_json::from_value(json!({"id": "../x"})).expect("an object");
        assert!(UserStatement::from_wire(&wire).is_none());
    }

    #[test]
    fn a_member_is_a_user_or_a_nested_group() {
        let member = |value| Member::from_wire(&serde_json::from_value(value).expect("an object"));
        assert_eq!(member(json!({"user_id": "usr_1", "group_id": "grp_1"})), Some(Member::User("usr_1".into())));
        assert_eq!(member(json!({"group_id": "grp_2"})), Some(Member::Group("grp_2".into())));
        assert_eq!(member(json!({"id": "usr_3", "membership_type": "DIRECT"})), Some(Member::User("usr_3".into())));
        assert_eq!(member(json!({"membership_type": "DIRECT"})), None);
    }
}
