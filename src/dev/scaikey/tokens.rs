//! What the tokens say.

use serde_json::{Map, Value, json};

use super::{CLIENT_ID, State};

/// How long an access token lives unless asked otherwise.
pub(super) const ACCESS_TOKEN_SECONDS: i64 = 3600;
/// What a platform token may do.
pub(super) const PLATFORM_SCOPE: &str = "admin:read admin:write";
/// Roles that reach beyond one tenant; their tokens are issued by the platform itself.
const PLATFORM_ROLES: [&str; 2] = ["super_admin", "partner_admin"];

impl State {
    /// A user's access token; `claims` are set last and replace any other (null takes one away).
    pub(super) fn access_token(&self, user: &str, lifetime: i64, claims: Map<String, Value>) -> Option<String> {
        let base = &self.base;
        let mut all = {
            let directory = self.directory();
            let user = directory.user(user)?;
            let tenant_id = &user.tenant_id;
            let issuer = match PLATFORM_ROLES.contains(&user.role.as_str()) {
                true => base.clone(),
                false => format!("{base}/tenants/{tenant_id}"),
            };
            object(json!({
                "iss": issuer,
                "aud": CLIENT_ID,
                "sub": user.id,
                "email": user.email,
                "name": user.display_name,
                "tenant_id": tenant_id,
                "partner_id": directory.tenant(tenant_id).map(|tenant| &tenant.partner_id),
                "role": user.role,
                "roles": [user.role],
                "groups": directory.groups_of(&user.id),
                "scope": "openid profile email",
                "token_type": "access_token",
            }))
        };
        self.set_times(&mut all, lifetime);
        for (name, value) in claims {
            match value {
                Value::Null => all.remove(&name),
                value => all.insert(name, value),
            };
        }
        self.key.sign(&all)
    }

    /// The token of ScaiDNS itself for the admin API.
    pub(super) fn platform_token(&self) -> Option<String> {
        let mut claims = object(json!({
            "iss": self.base,
            "aud": CLIENT_ID,
            "sub": CLIENT_ID,
            "client_id": CLIENT_ID,
            "scope": PLATFORM_SCOPE,
            "platform_token": true,
            "token_type": "client_credentials",
        }));
        self.set_times(&mut claims, ACCESS_TOKEN_SECONDS);
        self.key.sign(&claims)
    }

    /// Whether this is a platform token of ours that still holds.
    pub(super) fn is_platform_token(&self, token: &str) -> bool {
        self.key.verify(token).is_some_and(|claims| {
            claims.get("platform_token") == Some(&Value::Bool(true))
                && claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > self.now())
        })
    }

    fn set_times(&self, claims: &mut Map<String, Value>, lifetime: i64) {
        let now = self.now();
        claims.insert("iat".into(), now.into());
        claims.insert("nbf".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(lifetime).into());
        claims.insert("jti".into(), hex::encode(rand::random::<[u8; 16]>()).into());
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
