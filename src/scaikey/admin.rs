//! The admin API's read side: partners, tenants, users, groups and members, page by page, read tolerantly.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use super::provider::ScaiKey;
use super::statement::{Member, PartnerStatement, Statement, TenantStatement, UserGroupStatement, UserStatement, Wire};
use super::token::is_scaikey_id;
use super::{ScaiKeyError, http};

const SCOPES: &str = "admin:read admin:write";

const PAGE_SIZE: usize = 100;

/// No list is followed further: ten million entries, or a server that never says stop.
const PAGES_MAX: usize = 100_000;

/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// The token of this program itself, and until when it is used.
pub(super) type AdminToken = Mutex<Option<(Instant, SecretString)>>;

/// The admin API with a token that it renews.
pub struct AdminApi {
    pub(super) scaikey: ScaiKey,
}

impl AdminApi {
    pub(super) fn new(scaikey: ScaiKey) -> Self {
        Self { scaikey }
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

    /// The direct members of a group (`grp_…`). None: there is no such group.
    pub async fn members(&self, group: &str) -> Result<Option<Vec<Member>>, ScaiKeyError> {
        check_id(group)?;
        absent_is_none(self.all(&format!("groups/{group}/members"), &[]).await)
    }

    pub async fn partner(&self, id: &str) -> Result<Option<PartnerStatement>, ScaiKeyError> {
        self.one("partners", id).await
    }

    pub async fn tenant(&self, id: &str) -> Result<Option<TenantStatement>, ScaiKeyError> {
        self.one("tenants", id).await
    }

    pub async fn user(&self, id: &str) -> Result<Option<UserStatement>, ScaiKeyError> {
        self.one("users", id).await
    }

    pub async fn group(&self, id: &str) -> Result<Option<UserGroupStatement>, ScaiKeyError> {
        self.one("groups", id).await
    }

    async fn one<T: Statement>(&self, collection: &str, id: &str) -> Result<Option<T>, ScaiKeyError> {
        check_id(id)?;
        let url = self.url(&format!("{collection}/{id}"));
        let Some(wire) = absent_is_none(self.get::<Wire>(&url, &[], &[]).await)? else { return Ok(None) };
        // some platforms wrap a single object as they wrap lists
        let wire = wire.0.get("data").and_then(Value::as_object).cloned().map_or(wire, Wire);
        let said = T::from_wire(&wire).filter(|said| said.id() == id);
        said.map(Some).ok_or_else(|| ScaiKeyError::Malformed { url, reason: format!("it is not about {id}") })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/api/v1/admin/{path}", self.scaikey.inner().base)
    }

    /// Every page of one list.
    async fn all<T: Statement>(&self, path: &str, filter: &[(&str, &str)]) -> Result<Vec<T>, ScaiKeyError> {
        let url = self.url(path);
        let mut found = Vec::new();
        let mut previous: Option<Vec<Value>> = None;
        let mut seen = 0;
        for page in 1..=PAGES_MAX {
            let paging = [("page", page), ("per_page", PAGE_SIZE)];
            let list: ListBody = self.get(&url, &paging, filter).await?;
            let entries = list.entries();
            let malformed = |reason: String| ScaiKeyError::Malformed { url: url.clone(), reason };
            if page > 1 && !entries.is_empty() && previous.as_ref() == Some(&entries) {
                return Err(malformed("every page is the same".into()));
            }
            seen += entries.len();
            let is_last = list.is_last(page, entries.len(), seen);
            for entry in &entries {
                let wire = serde_json::from_value(entry.clone()).map_err(|error| malformed(error.to_string()))?;
                found.push(T::from_wire(&wire).ok_or_else(|| malformed("an entry without a usable id".into()))?);
            }
            if is_last {
                return match list.total() {
                    // what is missing would look as if it were gone
                    Some(total) if seen < total => Err(malformed(format!("{seen} entries of {total}"))),
                    _ => Ok(found),
                };
            }
            previous = Some(entries);
        }
        Err(ScaiKeyError::Malformed { url, reason: format!("more than {PAGES_MAX} pages") })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
        paging: &[(&str, usize)],
        filter: &[(&str, &str)],
    ) -> Result<T, ScaiKeyError> {
        let ask = async |token: SecretString| {
            let request = self.scaikey.inner().http.get(url).query(paging).query(filter);
            http::json(url, request.bearer_auth(token.expose_secret())).await
        };
        match ask(self.token().await?).await {
            Err(ScaiKeyError::Status { status: 401, .. }) => {
                // the token ended before its time, perhaps with a rotation: one fresh one
                self.forget_token().await;
                ask(self.token().await?).await
            }
            answer => answer,
        }
    }

    pub(super) async fn forget_token(&self) {
        *self.scaikey.inner().admin_token.lock().await = None;
    }

    pub(super) async fn token(&self) -> Result<SecretString, ScaiKeyError> {
        #[derive(Deserialize)]
        struct TokenBody {
            access_token: String,
            #[serde(default)]
            expires_in: Option<u64>,
        }
        let mut kept = self.scaikey.inner().admin_token.lock().await;
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

/// What stands in a path is nothing but an id.
pub(super) fn check_id(id: &str) -> Result<(), ScaiKeyError> {
    match is_scaikey_id(id) {
        true => Ok(()),
        false => Err(ScaiKeyError::Malformed { url: String::new(), reason: format!("{id:?} is no id") }),
    }
}

fn absent_is_none<T>(answer: Result<T, ScaiKeyError>) -> Result<Option<T>, ScaiKeyError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ScaiKeyError::Status { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
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

    /// Of the whole list, where it says.
    fn total(&self) -> Option<usize> {
        match self {
            Self::Bare(_) => None,
            Self::Wrapped(list) => list.pagination.unwrap_or(list.beside).total,
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
}
