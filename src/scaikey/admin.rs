//! The admin API: partners, tenants, users, groups and members, page by page, read tolerantly. An absent field is
//! unknown, not empty; unknown fields are ignored.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::tenancy::{AdminRole, Standing};

use super::provider::ScaiKey;
use super::token::is_scaikey_id;
use super::{ScaiKeyError, http};

const SCOPES: &str = "admin:read admin:write";

const PAGE_SIZE: usize = 100;

/// No list is followed further: ten million entries, or a server that never says stop.
const PAGES_MAX: usize = 100_000;

/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

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

/// The admin API with a token that it renews.
pub struct AdminApi {
    scaikey: ScaiKey,
    token: Mutex<Option<(Instant, SecretString)>>,
}

impl AdminApi {
    pub(super) fn new(scaikey: ScaiKey) -> Self {
        Self { scaikey, token: Mutex::default() }
    }

    pub async fn partners(&self) -> Result<Vec<PartnerStatement>, ScaiKeyError> {
        self.all("partners/", &[]).await
    }

    pub async fn tenants(&self) -> Result<Vec<TenantStatement>, ScaiKeyError> {
        self.all("tenants/", &[]).await
    }

    /// Of one tenant (`tnt_…`), or of all.
    pub async fn users(&self, tenant: Option<&str>) -> Result<Vec<UserStatement>, ScaiKeyError> {
        self.all("users/", &tenant_filter(tenant)).await
    }

    /// Of one tenant (`tnt_…`), or of all.
    pub async fn groups(&self, tenant: Option<&str>) -> Result<Vec<UserGroupStatement>, ScaiKeyError> {
        self.all("groups/", &tenant_filter(tenant)).await
    }

    /// The direct members of a group (`grp_…`).
    pub async fn members(&self, group: &str) -> Result<Vec<Member>, ScaiKeyError> {
        if !is_scaikey_id(group) {
            return Err(ScaiKeyError::Malformed { url: String::new(), reason: format!("{group:?} is no group id") });
        }
        self.all(&format!("groups/{group}/members"), &[]).await
    }

    /// Every page of one list.
    async fn all<T: Statement>(&self, path: &str, filter: &[(&str, &str)]) -> Result<Vec<T>, ScaiKeyError> {
        let url = format!("{}/api/v1/admin/{path}", self.scaikey.inner().base);
        let mut found = Vec::new();
        let mut previous: Option<Vec<Value>> = None;
        let mut seen = 0;
        for page in 1..=PAGES_MAX {
            let list: ListBody = self.get(&url, page, filter).await?;
            let entries = list.entries();
            let malformed = |reason: String| ScaiKeyError::Malformed { url: url.clone(), reason };
            if page > 1 && !entries.is_empty() && previous.as_ref() == Some(&entries) {
                return Err(malformed("every page is the same".into()));
            }
            seen += entries.len();
            let is_last = list.is_last(page, entries.len(), seen);
            for entry in &entries {
                let wire = serde_json::from_value(entry.clone()).map_err(|error| malformed(error.to_string()))?;
                found.push(T::from_wire(wire).ok_or_else(|| malformed("an entry without a usable id".into()))?);
            }
            if is_last {
                return Ok(found);
            }
            previous = Some(entries);
        }
        Err(ScaiKeyError::Malformed { url, reason: format!("more than {PAGES_MAX} pages") })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
        page: usize,
        filter: &[(&str, &str)],
    ) -> Result<T, ScaiKeyError> {
        let paging = [("page", page), ("per_page", PAGE_SIZE)];
        let ask = async |token: SecretString| {
            let request = self.scaikey.inner().http.get(url).query(&paging).query(filter);
            http::json(url, request.bearer_auth(token.expose_secret())).await
        };
        match ask(self.token().await?).await {
            Err(ScaiKeyError::Status { status: 401, .. }) => {
                // the token ended before its time, perhaps with a rotation: one fresh one
                *self.token.lock().await = None;
                ask(self.token().await?).await
            }
            answer => answer,
        }
    }

    async fn token(&self) -> Result<SecretString, ScaiKeyError> {
        #[derive(Deserialize)]
        struct TokenBody {
            access_token: String,
            #[serde(default)]
            expires_in: Option<u64>,
        }
        let mut kept = self.token.lock().await;
        if let Some((until, token)) = kept.as_ref()
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let url = self.scaikey.discovery().await?.token_endpoint;
        let inner = self.scaikey.inner();
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", SCOPES),
            ("client_id", inner.client_id.as_str()),
            ("client_secret", inner.client_secret.expose_secret()),
        ];
        let TokenBody { access_token, expires_in } = http::json(&url, inner.http.post(&url).form(&form)).await?;
        let access_token = SecretString::from(access_token);
        let lifetime = Duration::from_secs(expires_in.unwrap_or_default().min(86_400));
        *kept = Some((Instant::now() + lifetime.saturating_sub(TOKEN_MARGIN), access_token.clone()));
        Ok(access_token)
    }
}

fn tenant_filter(tenant: Option<&str>) -> Vec<(&'static str, &str)> {
    tenant.map(|tenant| ("tenant_id", tenant)).into_iter().collect()
}

/// A list in either form: `data` or `items`, the paging nested or beside.
#[derive(Deserialize)]
#[serde(untagged)]
enum ListBody {
    Bare(Vec<Value>),
    Wrapped(WrappedList),
}

#[derive(Deserialize)]
struct WrappedList {
    #[serde(alias = "items")]
    data: Vec<Value>,
    #[serde(default)]
    pagination: Option<Paging>,
    #[serde(flatten)]
    beside: Paging,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Paging {
    #[serde(default)]
    total: Option<usize>,
    #[serde(default, alias = "pages")]
    total_pages: Option<usize>,
}

impl ListBody {
    fn entries(&self) -> Vec<Value> {
        match self {
            Self::Bare(entries) => entries.clone(),
            Self::Wrapped(list) => list.data.clone(),
        }
    }

    /// An empty page always is the last; else what the server says; else a page that is not full.
    fn is_last(&self, page: usize, entries: usize, seen: usize) -> bool {
        let paging = match self {
            Self::Bare(_) => return true,
            Self::Wrapped(list) => list.pagination.unwrap_or(list.beside),
        };
        match (paging.total_pages, paging.total) {
            _ if entries == 0 => true,
            (Some(pages), _) => page >= pages,
            (None, Some(total)) => seen >= total,
            (None, None) => entries < PAGE_SIZE,
        }
    }
}

/// An entry of a list; every field may be absent.
trait Statement: Sized {
    fn from_wire(wire: Wire) -> Option<Self>;
}

/// All that is read of any entry. Values of an unexpected kind count as absent.
#[derive(Default, Deserialize)]
struct Wire(serde_json::Map<String, Value>);

impl Wire {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Something to show: trimmed, without control characters, cut to what the mirror holds.
    fn label(&self, name: &str, characters: usize) -> Option<String> {
        let text: String = self.text(name)?.chars().filter(|c| !c.is_control()).collect();
        Some(text.trim().chars().take(characters).collect::<String>()).filter(|text| !text.is_empty())
    }

    fn id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| is_scaikey_id(id))
    }

    /// `{name}_id`, or nested `{name: {id}}`.
    fn reference(&self, name: &str) -> Option<String> {
        let nested = || self.0.get(name)?.get("id")?.as_str().map(str::to_owned).filter(|id| is_scaikey_id(id));
        self.id(&format!("{name}_id")).or_else(nested)
    }

    fn status(&self) -> Option<Standing> {
        self.text("status").map(|text| Standing::parse(&text))
    }

    /// `role` or `roles`; names, or objects with a `name`.
    fn admin_role(&self) -> Option<AdminRole> {
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
    fn from_wire(wire: Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            slug: wire.label("slug", 255),
            status: wire.status(),
        })
    }
}

impl Statement for TenantStatement {
    fn from_wire(wire: Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            slug: wire.label("slug", 255),
            status: wire.status(),
            partner: wire.reference("partner"),
        })
    }
}

impl Statement for UserStatement {
    fn from_wire(wire: Wire) -> Option<Self> {
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
}

impl Statement for UserGroupStatement {
    fn from_wire(wire: Wire) -> Option<Self> {
        Some(Self {
            id: wire.id("id")?,
            name: wire.label("name", 255),
            description: wire.label("description", 2_000),
            tenant: wire.reference("tenant"),
            group_type: wire.id("group_type").map(|text| text.chars().take(32).collect()),
            status: wire.status(),
        })
    }
}

impl Statement for Member {
    /// `{user_id}`, nested `{group_id}`, or `{id}`, which its prefix tells apart.
    fn from_wire(wire: Wire) -> Option<Self> {
        if let Some(user) = wire.reference("user") {
            return Some(Self::User(user));
        }
        if let Some(group) = wire.reference("group") {
            return Some(Self::Group(group));
        }
        wire.id("id").map(|id| if id.starts_with("grp_") { Self::Group(id) } else { Self::User(id) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_last(value: Value, page: usize, seen: usize) -> bool {
        let list: ListBody = serde_json::from_value(value).expect("a list");
        let entries = list.entries().len();
        list.is_last(page, entries, seen)
    }

    #[test]
    fn either_paging_form_ends_where_it_says() {
        assert!(is_last(json!({"data": [1], "pagination": {"page": 2, "total_pages": 2}}), 2, 101));
        assert!(!is_last(json!({"data": [1], "pagination": {"page": 1, "total": 2, "total_pages": 2}}), 1, 1));
        assert!(!is_last(json!({"items": [1, 2], "total": 3, "page": 1}), 1, 2));
        assert!(is_last(json!({"items": [3], "total": 3, "page": 2}), 2, 3));
        assert!(is_last(json!({"items": [], "total": 9}), 4, 3));
        assert!(is_last(json!({"items": [1]}), 1, 1));
    }

    #[test]
    fn an_absent_field_is_unknown_and_an_odd_one_is_absent() {
        let wire = serde_json::from_value(json!({"id": "usr_1", "status": "SUSPENDED", "email": 7, "more": {}}));
        let user = UserStatement::from_wire(wire.expect("an object")).expect("a user");
        assert_eq!(user.status, Some(Standing::Suspended));
        assert_eq!((user.email, user.name, user.admin_role, user.tenant), (None, None, None, None));
        let wire = serde_json::from_value(json!({"id": "../x"})).expect("an object");
        assert!(UserStatement::from_wire(wire).is_none());
    }

    #[test]
    fn a_member_is_a_user_or_a_nested_group() {
        let member = |value| Member::from_wire(serde_json::from_value(value).expect("an object"));
        assert_eq!(member(json!({"user_id": "usr_1", "group_id": "grp_1"})), Some(Member::User("usr_1".into())));
        assert_eq!(member(json!({"group_id": "grp_2"})), Some(Member::Group("grp_2".into())));
        assert_eq!(member(json!({"id": "usr_3", "membership_type": "DIRECT"})), Some(Member::User("usr_3".into())));
        assert_eq!(member(json!({"membership_type": "DIRECT"})), None);
    }
}
