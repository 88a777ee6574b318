//! What the tokens say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::sessions::{Issuer, Session};
use super::{CLIENT_ID, State};

/// How long an access token lives unless asked otherwise.
pub(super) const ACCESS_TOKEN_SECONDS: i64 = 3600;
/// What a platform token may do.
pub(super) const PLATFORM_SCOPE: &str = "admin:read admin:write";
/// Roles that reach beyond one tenant; their tokens are issued by the platform itself.
const PLATFORM_ROLES: [&str; 2] = ["super_admin", "partner_admin"];

/// A token's claims before its times are set.
type Claims = Map<String, Value>;

impl State {
    /// A user's access token; `claims` are set last and replace any other (null takes one away).
    pub(super) fn access_token(&self, user: &str, lifetime: i64, claims: Claims) -> Option<String> {
        let issuer = {
            let directory = self.directory();
            let user = directory.user(user)?;
            match PLATFORM_ROLES.contains(&user.role.as_str()) {
                true => Issuer::Platform,
                false => Issuer::Tenant(user.tenant_id.clone()),
            }
        };
        let mut all = self.user_claims(user, &issuer)?;
        self.set_times(&mut all, lifetime);
        for (name, value) in claims {
            match value {
                Value::Null => all.remove(&name),
                value => all.insert(name, value),
            };
        }
        self.keys().sign(&all)
    }

    /// What a login gives: the access token of `session`, by which it is revoked, and an ID token.
    pub(super) fn login_tokens(&self, session: &Session) -> Option<(String, String)> {
        let Session { id, user, issuer, nonce, scope } = session;
        let mut access = self.user_claims(user, issuer)?;
        access.insert("sid".into(), id.as_str().into());
        access.insert("scope".into(), scope.as_str().into());
        self.set_times(&mut access, ACCESS_TOKEN_SECONDS);
        let access = self.keys().sign(&access)?;
        let half = &Sha256::digest(access.as_bytes())[..16];
        let mut id_token = {
            let directory = self.directory();
            let user = directory.user(user)?;
            object(json!({
                "iss": issuer.url(&self.base), "aud": CLIENT_ID, "azp": CLIENT_ID, "sub": user.id,
                "email": user.email, "name": user.display_name, "at_hash": URL_SAFE_NO_PAD.encode(half),
            }))
        };
        if let Some(nonce) = nonce {
            id_token.insert("nonce".into(), nonce.as_str().into());
        }
        self.set_times(&mut id_token, ACCESS_TOKEN_SECONDS);
        Some((access, self.keys().sign(&id_token)?))
    }

    fn user_claims(&self, user: &str, issuer: &Issuer) -> Option<Claims> {
        let directory = self.directory();
        let user = directory.user(user)?;
        let tenant_id = &user.tenant_id;
        Some(object(json!({
            "iss": issuer.url(&self.base),
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
        })))
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
        self.keys().sign(&claims)
    }

    /// Whether this is a platform token of ours that still holds.
    pub(super) fn is_platform_token(&self, token: &str) -> bool {
        self.keys().verify(token).is_some_and(|claims| {
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

    pub(super) fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
