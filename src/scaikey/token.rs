//! Access tokens: what they must look like, and what they say. Pure but for the signature.

use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::OffsetDateTime;

use crate::tenancy::AdminRole;

use super::ScaiKeyError;
use super::jwks::VerificationKey;

/// Longer tokens are refused unread.
const TOKEN_BYTES_MAX: usize = 8 * 1024; // contract

/// How far clocks may be apart.
const LEEWAY_SECONDS: f64 = 30.0; // contract

/// A `kid` longer than this is none of ScaiKey's.
const KID_BYTES_MAX: usize = 256;

/// ScaiKey's ids: a prefix and some letters and digits. What the mirror's column holds.
const ID_BYTES_MAX: usize = 64;

/// Why a token is not taken. The text goes to the caller and says nothing that it does not know.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    #[error("Token is longer than 8 KB")]
    TooLong,
    #[error("Token is malformed")]
    Malformed,
    #[error("Token is signed with an algorithm that is not accepted")]
    Algorithm,
    #[error("Token is signed with an unknown key")]
    UnknownKey,
    #[error("Token has an invalid signature")]
    Signature,
    #[error("Token has expired")]
    Expired,
    #[error("Token is not valid yet")]
    NotYetValid,
    #[error("Token is of a foreign issuer")]
    Issuer,
    #[error("Token is for another audience")]
    Audience,
    #[error("Token is no access token")]
    NotAnAccessToken,
    #[error("Token is not of a user")]
    NotAUser,
    /// Whether it is good cannot be said now.
    #[error(transparent)]
    ScaiKey(#[from] ScaiKeyError),
}

/// Which of the two flavours of ScaiKey made the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// `{base}`: may speak of the platform's and partners' roles.
    Platform,
    /// `{base}/tenants/{tenant_id}`: speaks of its tenant only.
    Tenant,
}

/// What a good token says. An absent claim is None: unknown, not empty.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessToken {
    pub issuer: Issuer,
    /// `usr_…`
    pub subject: String,
    /// `tnt_…`
    pub tenant: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    /// What it states of the user's admin role, as far as its issuer may.
    pub admin_role: Option<AdminRole>,
    pub scopes: Vec<String>,
    /// When ScaiKey made these statements; the epoch if it does not say.
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl AccessToken {
    /// Whether one that was good a moment ago still is: only its end can have come.
    pub(super) fn check_times(&self, now: OffsetDateTime) -> Result<(), TokenError> {
        let has_ended = (now - self.expires_at).as_seconds_f64() >= LEEWAY_SECONDS;
        if has_ended { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// The header, read before any key is looked for.
#[derive(Debug)]
pub(super) struct Envelope {
    pub kid: String,
    algorithm: Algorithm,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Option<Texts>,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    role: Option<Texts>,
    #[serde(default)]
    roles: Option<Texts>,
    #[serde(default)]
    scope: Option<Texts>,
    #[serde(default)]
    scopes: Option<Texts>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    token_use: Option<String>,
    /// Of any kind: only what it names matters.
    #[serde(default)]
    typ: Option<Value>,
    #[serde(default)]
    auth_time: Option<Value>,
    #[serde(default)]
    azp: Option<Value>,
    #[serde(default)]
    amr: Option<Value>,
    #[serde(default)]
    acr: Option<Value>,
    #[serde(default)]
    platform_token: Option<Value>,
    #[serde(default)]
    nonce: Option<Value>,
    #[serde(default)]
    at_hash: Option<Value>,
    #[serde(default)]
    c_hash: Option<Value>,
}

/// A string, or an array of them; a string may hold several, separated by blanks.
#[derive(Debug, PartialEq)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Many(Vec<String>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(text) => Self(text.split_ascii_whitespace().map(str::to_owned).collect()),
            Either::Many(texts) => Self(texts),
        })
    }
}

/// Reads the header: enough to look for the key.
pub(super) fn open(token: &str) -> Result<Envelope, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(TokenError::Algorithm);
    }
    if header.crit.is_some() {
        // what must be understood is not (RFC 7515, 4.1.11)
        return Err(TokenError::Malformed);
    }
    let kid = header.kid.filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len())).ok_or(TokenError::UnknownKey)?;
    Ok(Envelope { kid, algorithm: header.alg, typ: header.typ })
}

/// Checks the signature, then everything that the token says of itself.
pub(super) fn read(
    token: &str,
    envelope: &Envelope,
    key: &VerificationKey,
    base: &str,
    client_id: &str,
    now: OffsetDateTime,
) -> Result<AccessToken, TokenError> {
    if envelope.algorithm != key.algorithm {
        return Err(TokenError::Algorithm);
    }
    let claims = verified_claims(token, key)?;
    check_times(&claims, now)?;
    let issuer = issuer(&claims, base)?;
    check_audience(&claims, client_id)?;
    check_kind(&claims, envelope)?;
    if !claims.sub.starts_with("usr_") || !is_scaikey_id(&claims.sub) {
        return Err(TokenError::NotAUser);
    }
    let Claims { sub, exp, iat, tenant_id, email, name, role, roles, scope, scopes, .. } = claims;
    if tenant_id.as_deref().is_some_and(|id| !is_scaikey_id(id)) {
        return Err(TokenError::Malformed);
    }
    Ok(AccessToken {
        issuer,
        subject: sub,
        tenant: tenant_id,
        email: email.filter(|text| is_printable(text, 320)),
        name: name.filter(|text| is_printable(text, 255)),
        admin_role: admin_role(issuer, role, roles),
        scopes: [scope, scopes].into_iter().flatten().flat_map(|Texts(texts)| texts).collect(),
        issued_at: iat.and_then(moment).map_or(OffsetDateTime::UNIX_EPOCH, |at| at.min(now)),
        expires_at: moment(exp).ok_or(TokenError::Malformed)?,
    })
}

/// Whether this may stand in a path, and in the mirror's `scaikey_id`.
pub(super) fn is_scaikey_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn verified_claims(token: &str, key: &VerificationKey) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    // the times and the audience are checked here, against the clock that was passed in
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let data = jsonwebtoken::decode::<Claims>(token, &key.key, &validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
        _ => TokenError::Malformed,
    })?;
    Ok(data.claims)
}

fn check_times(claims: &Claims, now: OffsetDateTime) -> Result<(), TokenError> {
    let now = now.unix_timestamp_nanos() as f64 / 1e9;
    if claims.exp + LEEWAY_SECONDS <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf - LEEWAY_SECONDS > now) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

fn issuer(claims: &Claims, base: &str) -> Result<Issuer, TokenError> {
    if claims.iss == base {
        return Ok(Issuer::Platform);
    }
    let tenant = claims.iss.strip_prefix(base).and_then(|rest| rest.strip_prefix("/tenants/"));
    match (tenant, &claims.tenant_id) {
        (Some(stated), Some(claimed)) if stated == claimed => Ok(Issuer::Tenant),
        _ => Err(TokenError::Issuer),
    }
}

fn check_audience(claims: &Claims, client_id: &str) -> Result<(), TokenError> {
    let for_us = claims.aud.as_ref().is_some_and(|Texts(audience)| audience.iter().any(|aud| aud == client_id));
    if for_us { Ok(()) } else { Err(TokenError::Audience) }
}

/// An ID token has the same signer, issuer and audience: it is told apart by what it carries, and an access token by
/// what it says of rights (scopes, roles, a tenant) or by saying what it is.
fn check_kind(claims: &Claims, envelope: &Envelope) -> Result<(), TokenError> {
    let of_the_platform = claims.platform_token.as_ref().is_some_and(|value| *value != Value::Bool(false));
    let claimed = [&claims.token_type, &claims.token_use, &envelope.typ].map(Option::as_deref);
    let typ = claims.typ.as_ref().and_then(Value::as_str);
    let kinds: Vec<String> = claimed.into_iter().chain([typ]).flatten().map(str::to_ascii_lowercase).collect();
    let is_one_of = |names: &[&str]| kinds.iter().any(|kind| names.contains(&kind.as_str()));
    if of_the_platform || is_one_of(&["client_credentials", "client", "platform", "machine"]) {
        return Err(TokenError::NotAUser);
    }
    let hashes = claims.nonce.is_some() || claims.at_hash.is_some() || claims.c_hash.is_some();
    let another_kind =
        is_one_of(&["id", "id_token", "id+jwt", "refresh", "refresh_token", "logout+jwt", "logout_token"]);
    let says_so = is_one_of(&["access", "access_token", "bearer", "at+jwt", "application/at+jwt"]);
    let speaks_of_rights = claims.scope.is_some()
        || claims.scopes.is_some()
        || claims.role.is_some()
        || claims.roles.is_some()
        || claims.tenant_id.is_some();
    // how somebody logged in is an ID token's to say; an access token that repeats it says what it is good for, too
    let of_a_login = [&claims.auth_time, &claims.azp, &claims.amr, &claims.acr].into_iter().any(Option::is_some);
    let says_what_for =
        claims.scope.is_some() || claims.scopes.is_some() || claims.role.is_some() || claims.roles.is_some();
    if hashes || another_kind || !(says_so || speaks_of_rights) || (of_a_login && !says_so && !says_what_for) {
        return Err(TokenError::NotAnAccessToken);
    }
    Ok(())
}

/// A tenant's issuer cannot speak of the platform: such names under it are void, and if there were no others then it
/// said nothing.
fn admin_role(issuer: Issuer, role: Option<Texts>, roles: Option<Texts>) -> Option<AdminRole> {
    if role.is_none() && roles.is_none() {
        return None;
    }
    let named: Vec<String> = [role, roles].into_iter().flatten().flat_map(|Texts(texts)| texts).collect();
    let is_void = |name: &&String| issuer == Issuer::Tenant && matches!(name.as_str(), "super_admin" | "partner_admin");
    let valid: Vec<&str> = named.iter().filter(|name| !is_void(name)).map(String::as_str).collect();
    if valid.is_empty() && !named.is_empty() { None } else { Some(AdminRole::strongest(valid)) }
}

fn moment(seconds: f64) -> Option<OffsetDateTime> {
    if !seconds.is_finite() || !(0.0..253_402_300_799.0).contains(&seconds) {
        return None;
    }
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

fn is_printable(text: &str, characters: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= characters && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(value: Value) -> Option<Vec<String>> {
        serde_json::from_value::<Texts>(value).ok().map(|Texts(texts)| texts)
    }

    #[test]
    fn scopes_and_roles_may_be_a_string_or_an_array() {
        assert_eq!(texts(json!("openid  email")), Some(vec!["openid".into(), "email".into()]));
        assert_eq!(texts(json!(["a b", "c"])), Some(vec!["a b".into(), "c".into()]));
        assert_eq!(texts(json!(["a", 1])), None);
        assert_eq!(texts(json!({})), None);
    }

    #[test]
    fn a_tenants_issuer_cannot_speak_of_the_platform() {
        let role = |issuer, names: &[&str]| {
            admin_role(issuer, None, Some(Texts(names.iter().map(|name| (*name).to_owned()).collect())))
        };
        assert_eq!(role(Issuer::Platform, &["super_admin"]), Some(AdminRole::SuperAdmin));
        assert_eq!(role(Issuer::Tenant, &["super_admin"]), None);
        assert_eq!(role(Issuer::Tenant, &["partner_admin", "tenant_admin"]), Some(AdminRole::TenantAdmin));
        assert_eq!(role(Issuer::Tenant, &["partner_admin", "user"]), Some(AdminRole::None));
        assert_eq!(role(Issuer::Platform, &[]), Some(AdminRole::None));
        assert_eq!(admin_role(Issuer::Platform, None, None), None);
    }
}
